"""Figures of a model, one function each, and a report that holds them."""

from .accuracy import accuracy_over_log_snr, classifier_sections
from .bound import bound_terms, bounds_compared
from .calibration import calibration_sections, coverage_figure, draws_figure, rank_histograms
from .conditioned import grid_of
from .curve import training_curve
from .edits import ShownEdits, edit_figure
from .field import energy_surface, score_field
from .loss_by_noise import loss_over_log_snr
from .marginals import marginals
from .report import Section, report
from .samples import sample_grid
from .sections import sections
from .table_sections import table_sections
from .trajectories import noising, trajectory_grid
from .walkers import walkers

__all__ = [
    "Section",
    "ShownEdits",
    "accuracy_over_log_snr",
    "bound_terms",
    "bounds_compared",
    "calibration_sections",
    "classifier_sections",
    "coverage_figure",
    "draws_figure",
    "edit_figure",
    "energy_surface",
    "grid_of",
    "loss_over_log_snr",
    "marginals",
    "noising",
    "rank_histograms",
    "report",
    "sample_grid",
    "score_field",
    "sections",
    "table_sections",
    "training_curve",
    "trajectory_grid",
    "walkers",
]
