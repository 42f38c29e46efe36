"""Calibration of posterior samples: ranks, expected coverage, a kernel Stein discrepancy."""

from .calibrate import calibrate, compare
from .config import CalibrationConfig
from .coverage import Coverage, interval_coverage, region_coverage, tarp_ranks
from .draws import PosteriorDraws, own_samples
from .quantities import default_quantities
from .ranks import RankTest, rank_test, ranks
from .result import Calibration, Finding
from .significance import holm
from .stein import SteinTest, stein_kernel, stein_test

__all__ = [
    "Calibration",
    "CalibrationConfig",
    "Coverage",
    "Finding",
    "PosteriorDraws",
    "RankTest",
    "SteinTest",
    "calibrate",
    "compare",
    "default_quantities",
    "holm",
    "interval_coverage",
    "own_samples",
    "rank_test",
    "ranks",
    "region_coverage",
    "stein_kernel",
    "stein_test",
    "tarp_ranks",
]
