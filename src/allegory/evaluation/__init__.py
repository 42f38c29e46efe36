"""How good is a model? Bits/dim, samples, and what both are compared with."""

from .baselines import pixel_histogram
from .compare import Reading, compare_bounds
from .evaluate import Distance, Evaluation, evaluate
from .judge import Judge
from .likelihood import Likelihood, evaluate_bound, label_cost
from .measure import Measure
from .quality import frechet, sliced_wasserstein
from .samples import draw, walk

__all__ = [
    "Distance", "Evaluation", "Judge", "Likelihood", "Measure", "Reading", "compare_bounds", "draw", "evaluate",
    "evaluate_bound", "frechet", "label_cost", "pixel_histogram", "sliced_wasserstein", "walk",
]  # fmt: skip
