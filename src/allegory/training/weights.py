"""Weights in safetensors files: read within what the model has, finite, and of its kinds."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..files import check_readable, open_regular

REMEDY = "restore it from a copy, or train again into an empty folder"

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
ITEM_METADATA = ("shape", "levels", "classes", "condition_hash")
"""What a file of weights says of the items of its model."""
_MOST_HEADER = 2**24
"""The largest header that is read, in bytes; one of 100,000 tensors has less."""


@dataclass(frozen=True)
class Header:
    """What a safetensors file says of its tensors, read without them.

    Args:
        tensors: shape and dtype by name.
        metadata: further words by name.
    """

    tensors: Mapping[str, tuple[tuple[int, ...], torch.dtype]]
    metadata: Mapping[str, str]


def read_header(path: Path) -> Header:
    """The header of the safetensors file `path`.

    Raises:
        ValueError: for a file that is missing, truncated, or of another format.
    """
    from safetensors import SafetensorError, safe_open

    _check_header(path)
    try:
        with safe_open(path, "pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            tensors = {
                name: (tuple(part.get_shape()), _DTYPES[part.get_dtype()])
                for name, part in slices.items()
            }
            return Header(tensors, file.metadata() or {})
    except (SafetensorError, OSError, KeyError, RuntimeError, TypeError) as error:
        raise _damaged(path, error) from None


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors in the safetensors file `path`, by name.

    Raises:
        ValueError: for a file that is missing, truncated, or of another format.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    read_header(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError, KeyError, RuntimeError, TypeError, MemoryError) as error:
        raise _damaged(path, error) from None


def load_weights(module: nn.Module, path: Path) -> None:
    """Load the safetensors file `path` into `module`.

    Names, shapes and dtypes are compared before a tensor is read.

    Raises:
        ValueError: for a file that cannot be read, and for the first weight that does not fit.
    """
    own = {name: (tuple(w.shape), w.dtype) for name, w in module.state_dict().items()}
    check_alike(own, read_header(path).tensors, str(path))
    fill(module, read_weights(path), str(path))


def fill(module: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Load weights into a module.

    Args:
        module: the module, changed in place.
        weights: its tensors by name.
        source: where they come from, for the error.

    Raises:
        ValueError: for the first weight that is missing, unknown, of another shape or dtype, or not
            finite where the module's own is.
    """
    own = module.state_dict()
    mine, theirs = (
        {name: (tuple(w.shape), w.dtype) for name, w in each.items()} for each in (own, weights)
    )
    check_alike(mine, theirs, source)

    for name in not_finite(weights):
        if name in dict(module.named_parameters()) or bool(own[name].isfinite().all()):
            raise ValueError(f"weight {name} in {source} is not finite: {REMEDY}")
    module.load_state_dict(weights)


def check_alike(
    own: Mapping[str, tuple[tuple[int, ...], torch.dtype]],
    others: Mapping[str, tuple[tuple[int, ...], torch.dtype]],
    source: str,
) -> None:
    """Compare the shapes and dtypes of weights with those of a model.

    Args:
        own: shape and dtype of the model's weights by name.
        others: those of the weights.
        source: where they come from, for the error.

    Raises:
        ValueError: for the first weight that is missing, unknown, of another shape, or of another
            dtype: floating-point numbers of any precision fit one another, other dtypes only
            themselves.
    """
    for name in [*own, *others]:
        mine, theirs = (each[name][0] if name in each else "absent" for each in (own, others))
        if mine != theirs:
            raise ValueError(
                f"weight {name} is {theirs} in {source} and {mine} in the model: build the model "
                "as it was trained"
            )

        kinds = own[name][1], others[name][1]
        if kinds[0] != kinds[1] and not all(kind.is_floating_point for kind in kinds):
            raise ValueError(
                f"weight {name} is {kinds[1]} in {source} and {kinds[0]} in the model: {REMEDY}"
            )


def not_finite(weights: Mapping[str, Tensor]) -> list[str]:
    """The names of the `weights` that hold NaN or infinity."""
    numbers = {name: each for name, each in weights.items() if each.is_floating_point()}
    if not numbers:
        return []

    finite = torch.stack([each.isfinite().all() for each in numbers.values()]).tolist()
    return [name for name, is_finite in zip(numbers, finite, strict=True) if not is_finite]


def item_metadata(spec: object) -> dict[str, str]:
    """What a file of weights says of the items of its model: their shape, as "1,8,8".

    Their numbers of levels and classes, and a hash of their condition, are in it too, where they
    have them.

    Args:
        spec: the `spec` of the model; None for a model without.
    """
    found = {name: getattr(spec, name, None) for name in ITEM_METADATA}
    if isinstance(found["shape"], tuple):
        found["shape"] = ",".join(map(str, found["shape"]))
    return {name: str(value) for name, value in found.items() if value is not None}


def _check_header(path: Path) -> None:
    """ValueError for a file whose header cannot be in it."""
    try:
        size = check_readable(path)
        with open_regular(path) as file:
            length = int.from_bytes(file.read(8), "little")
    except ValueError as error:
        raise ValueError(f"{error}: {REMEDY}") from None
    except OSError as error:
        raise _damaged(path, error) from None

    if not 2 <= length <= min(size - 8, _MOST_HEADER):
        raise ValueError(f"{path} is truncated or no safetensors file: {REMEDY}")


def _damaged(path: Path, error: Exception) -> ValueError:
    if isinstance(error, OSError) and error.strerror:
        return ValueError(f"{path} cannot be read ({error.strerror}): {REMEDY}")
    return ValueError(f"{path} is truncated or no safetensors file: {REMEDY}")
