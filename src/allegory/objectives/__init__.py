"""Training objectives: the bound, weighted denoising losses, score matching, losses of energies."""

from .base import OBJECTIVES, NeedsDecoder, Objective, objective_named
from .contrastive import Replay, contrastive_divergence, noise_contrastive
from .denoising import WeightedDenoising, denoising_loss, register_weight
from .draws import draw_noised, normal_like, random_signs, stratified_times, uniform_in_log_snr
from .elbo import Elbo
from .hybrid import Hybrid
from .score import (
    DualScoreMatching,
    Score,
    denoising_score_matching,
    dual_score_matching,
    exact_score_matching,
    fisher_divergence,
    score_at,
    score_weighting,
    sliced_score_matching,
)
from .weights import WEIGHTS, EdmWeight, Weight, weight_named

__all__ = [
    "OBJECTIVES",
    "WEIGHTS",
    "DualScoreMatching",
    "EdmWeight",
    "Elbo",
    "Hybrid",
    "NeedsDecoder",
    "Objective",
    "Replay",
    "Score",
    "Weight",
    "WeightedDenoising",
    "contrastive_divergence",
    "denoising_loss",
    "denoising_score_matching",
    "draw_noised",
    "dual_score_matching",
    "exact_score_matching",
    "fisher_divergence",
    "noise_contrastive",
    "normal_like",
    "objective_named",
    "random_signs",
    "register_weight",
    "score_at",
    "score_weighting",
    "sliced_score_matching",
    "stratified_times",
    "uniform_in_log_snr",
    "weight_named",
]
