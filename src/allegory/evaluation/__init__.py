"""How good is a model? Bits/dim, samples, and what both are compared with."""

from .baselines import pixel_histogram
from .compare import BoundEstimate, compare_bounds
from .distances import frechet, sliced_wasserstein
from .evaluate import Distance, Evaluation, evaluate
from .label_accuracy import LabelClassifier
from .likelihood import Likelihood, evaluate_bound, label_cost
from .measure import Measure
from .samples import draw, walk

__all__ = [
    "BoundEstimate",
    "Distance",
    "Evaluation",
    "LabelClassifier",
    "Likelihood",
    "Measure",
    "compare_bounds",
    "draw",
    "evaluate",
    "evaluate_bound",
    "frechet",
    "label_cost",
    "pixel_histogram",
    "sliced_wasserstein",
    "walk",
]  # fmt: skip
