"""Evaluation of models: bits/dim, quality of samples, and references for both."""

from .baselines import pixel_histogram
from .classification import AtLogSNR, Classification, evaluate_classifier
from .compare import BoundEstimate, compare_bounds
from .config import BoundConfig, EvaluationConfig
from .distances import frechet, sliced_wasserstein
from .evaluate import evaluate
from .item_scores import ItemScores, item_scores
from .label_accuracy import LabelClassifier
from .likelihood import Likelihood, evaluate_bound, label_cost
from .neighbours import precision_recall
from .restoration import energy_score, psnr
from .result import Accuracy, Distance, Evaluation, Figures, Measure
from .sample_quality import sample_accuracy
from .tables import TableEvaluation, evaluate_table

__all__ = [
    "Accuracy",
    "AtLogSNR",
    "BoundConfig",
    "BoundEstimate",
    "Classification",
    "Distance",
    "Evaluation",
    "EvaluationConfig",
    "Figures",
    "ItemScores",
    "LabelClassifier",
    "Likelihood",
    "Measure",
    "TableEvaluation",
    "compare_bounds",
    "energy_score",
    "evaluate",
    "evaluate_bound",
    "evaluate_classifier",
    "evaluate_table",
    "frechet",
    "item_scores",
    "label_cost",
    "pixel_histogram",
    "precision_recall",
    "psnr",
    "sample_accuracy",
    "sliced_wasserstein",
]
