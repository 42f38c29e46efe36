"""Weights in safetensors files."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from ..files import check_readable

REMEDY = "restore it from a copy, or train again into an empty folder"


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors in the safetensors file `path`, by name.

    Raises:
        ValueError: for a file that is missing, truncated, or of another format.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        check_readable(path)
        return load_file(path)
    except ValueError as error:
        raise ValueError(f"{error}: {REMEDY}") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror or error}): {REMEDY}") from error
    except SafetensorError as error:
        raise ValueError(f"{path} is truncated or no safetensors file: {REMEDY}") from error


def load_weights(module: nn.Module, path: Path) -> None:
    """Load the safetensors file `path` into `module`.

    Raises:
        ValueError: for a file that cannot be read, and for the first weight that does not fit.
    """
    fill(module, read_weights(path), str(path))


def fill(module: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Load weights into a module.

    Args:
        module: the module, changed in place.
        weights: its tensors by name.
        source: where they come from, for the error.

    Raises:
        ValueError: for the first weight that is missing, unknown, or of another shape.
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
