"""The networks that can be chosen by name, and constructors that take a DataSpec.

A network from outside the package is a frozen dataclass with `build`, and one call:

    NETWORKS.register("mine", MyConfig, "what it is, in one line")

From then on `MyConfig` may stand in a recipe, and is read from the `run.json` of a folder.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, runtime_checkable

from torch import nn

from ..conditions import Condition
from ..lookup import Registry

_P = ParamSpec("_P")


@runtime_checkable
class NetworkConfig(Protocol):
    """The choice of a network: a frozen dataclass of plain values that builds it."""

    def build(
        self, shape: tuple[int, ...], condition: Condition | None = None, outputs: int | None = None
    ) -> nn.Module:
        """A new network, forward(x, log_snr, condition) -> (b, outputs, *shape[1:]).

        Args:
            shape: of one item.
            condition: what the network is conditioned on; None for nothing.
            outputs: the number of output channels; None means those of the items.
        """
        ...


@runtime_checkable
class ItemSpec(Protocol):
    """What a constructor needs to know of the data; a `DataSpec` is one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one item."""
        ...

    @property
    def given(self) -> Condition | None:
        """The condition of a network for these data; None for nothing."""
        ...


NETWORKS: Registry[Callable[..., NetworkConfig]] = Registry("network")
"""The config class of each network, by name."""


def constructor(
    name: str, config: Callable[_P, NetworkConfig]
) -> Callable[Concatenate[ItemSpec, _P], nn.Module]:
    """A function (spec, fields of the config) -> network, conditioned on what the data have.

    Args:
        name: of the function.
        config: the config class.
    """

    def build(spec: ItemSpec, /, *fields: _P.args, **named: _P.kwargs) -> nn.Module:
        if not isinstance(spec, ItemSpec):
            raise ValueError(f"spec: a {type(spec).__name__}; give the DataSpec, e.g. data.spec")
        return config(*fields, **named).build(spec.shape, spec.given)

    first = inspect.Parameter("spec", inspect.Parameter.POSITIONAL_ONLY)
    parameters = [first, *inspect.signature(config).parameters.values()]
    build.__name__ = build.__qualname__ = name
    build.__doc__ = (
        f"The network of a `{config.__name__}` for data with this spec.\n\n{config.__doc__}"
    )
    build.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return build
