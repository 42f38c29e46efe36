"""Weights in safetensors files, and errors that say what is wrong with one."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

REMEDY = "restore it from a copy, or train again into an empty folder"


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file. ValueError if it is missing, truncated or no such file."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror or error}): {REMEDY}") from error
    except SafetensorError as error:
        raise ValueError(f"{path} is truncated or no safetensors file: {REMEDY}") from error


def load_weights(module: nn.Module, path: Path) -> None:
    """Load a safetensors file into a module. ValueError names the first misfit."""
    fill(module, read_weights(path), str(path))


def fill(module: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Give a module these weights.

    ValueError names the first that is missing, unknown or misshapen.
    """
    own = module.state_dict()
    for name in [*own, *weights]:
        mine, theirs = (tuple(w[name].shape) if name in w else "absent" for w in (own, weights))
        if mine != theirs:
            raise ValueError(
                f"weight {name} is {theirs} in {source} and {mine} in the model: build the model "
                "as it was trained"
            )
    module.load_state_dict(weights)
