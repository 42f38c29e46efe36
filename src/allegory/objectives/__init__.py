"""Losses: weight(log_snr) |prediction - truth|^2, the score matching that needs no truth, and those of energies."""

from .contrastive import Replay, contrastive_divergence, noise_contrastive
from .denoising import WEIGHTS, Weight, denoising, low_discrepancy, weight_named
from .score import (
    Score,
    denoising_score_matching,
    dual_score_matching,
    even_in_log_snr,
    exact_score_matching,
    fisher_divergence,
    in_score,
    rademacher,
    score_at,
    sliced_score_matching,
)

__all__ = [
    "WEIGHTS", "Replay", "Score", "Weight", "contrastive_divergence", "denoising", "denoising_score_matching",
    "dual_score_matching", "even_in_log_snr", "exact_score_matching", "fisher_divergence", "in_score",
    "low_discrepancy", "noise_contrastive", "rademacher", "score_at", "sliced_score_matching", "weight_named",
]  # fmt: skip
