"""Losses: weight(log_snr) |prediction - truth|^2."""

from .denoising import WEIGHTS, Weight, denoising, low_discrepancy, weight_named

__all__ = ["WEIGHTS", "Weight", "denoising", "low_discrepancy", "weight_named"]
