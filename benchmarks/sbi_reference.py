"""The reference posteriors of sbibm 1.1.0 (Lueckmann et al. 2021): of each problem 10 observations,
their true parameters, and 10,000 draws from each posterior.

    pip install --no-deps sbibm==1.1.0 --target DIR

No code of the package is run: the files of its folder are read.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

OBSERVATIONS = 10


@dataclass(frozen=True)
class Reference:
    """Observations of a problem, with draws from their posteriors.

    Args:
        x: the observations, (10, k).
        theta: their true parameters, (10, d).
        draws: of each posterior, (10, 10000, d).
    """

    x: Tensor
    theta: Tensor
    draws: Tensor

    @classmethod
    def read(cls, problem: str, folder: Path | None = None) -> "Reference":
        """Those of a problem.

        Args:
            problem: its name.
            folder: that of `pip install --target`; None for the package that is installed.

        Raises:
            FileNotFoundError: where the files are not there, with the command that brings them.
        """
        files = tasks(folder) / problem / "files"
        places = [files / f"num_observation_{number + 1}" for number in range(OBSERVATIONS)]
        x, theta, draws = (
            torch.stack([_numbers(place / name) for place in places])
            for name in (
                "observation.csv",
                "true_parameters.csv",
                "reference_posterior_samples.csv.bz2",
            )
        )
        return cls(x[:, 0], theta[:, 0], draws)


def tasks(folder: Path | None = None) -> Path:
    """The folder of the problems of sbibm."""
    if folder is not None:
        found = folder / "sbibm" / "tasks"
    else:
        spec = find_spec("sbibm")
        places = [] if spec is None else list(spec.submodule_search_locations or [])
        found = Path(places[0]) / "tasks" if places else Path("sbibm") / "tasks"
    if not found.is_dir():
        raise FileNotFoundError(
            f"{found}: no such folder; run `pip install --no-deps sbibm==1.1.0 --target DIR` and "
            "give `--sbibm DIR`"
        )
    return found


def _numbers(file: Path) -> Tensor:
    """The rows of a CSV file with a header, in float64."""
    return torch.from_numpy(np.loadtxt(file, delimiter=",", skiprows=1, ndmin=2))
