"""Losses: weight(log_snr) |prediction - truth|^2, the score matching that needs no truth, and those of energies."""

from .contrastive import Replay, contrastive_divergence, noise_contrastive
from .denoising import WEIGHTS, Weight, denoising_loss, stratified_times, weight_named
from .score import (
    Score,
    denoising_score_matching,
    dual_score_matching,
    exact_score_matching,
    fisher_divergence,
    rademacher,
    score_at,
    score_weighting,
    sliced_score_matching,
    uniform_in_log_snr,
)

__all__ = [
    "WEIGHTS",
    "Replay",
    "Score",
    "Weight",
    "contrastive_divergence",
    "denoising_loss",
    "denoising_score_matching",
    "dual_score_matching",
    "exact_score_matching",
    "fisher_divergence",
    "noise_contrastive",
    "rademacher",
    "score_at",
    "score_weighting",
    "sliced_score_matching",
    "stratified_times",
    "uniform_in_log_snr",
    "weight_named",
]  # fmt: skip
