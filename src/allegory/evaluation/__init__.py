"""How good is a model? Bits/dim, samples, and what both are compared with."""

from .baselines import pixel_histogram
from .compare import BoundEstimate, compare_bounds
from .config import BoundConfig, EvaluationConfig
from .distances import frechet, sliced_wasserstein
from .evaluate import Accuracy, Distance, Evaluation, Measure, evaluate, sample_accuracy
from .label_accuracy import LabelClassifier
from .likelihood import Likelihood, evaluate_bound, label_cost

__all__ = [
    "Accuracy",
    "BoundConfig",
    "BoundEstimate",
    "Distance",
    "Evaluation",
    "EvaluationConfig",
    "LabelClassifier",
    "Likelihood",
    "Measure",
    "compare_bounds",
    "evaluate",
    "evaluate_bound",
    "frechet",
    "label_cost",
    "pixel_histogram",
    "sample_accuracy",
    "sliced_wasserstein",
]
