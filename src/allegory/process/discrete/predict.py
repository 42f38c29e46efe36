"""A prediction of the clean tokens, as samplers and bounds of tokens know it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Int64
from torch import Tensor

from .masked import MaskedPath
from .path import TokenLevel, TokenPath, TokenPrediction


@runtime_checkable
class TokenPredict(Protocol):
    """(x_t, t, condition) -> TokenPrediction, with the path that it is for.

    On a masked path it knows no time: the tokens that are masked say all (MD4, section 2).
    """

    @property
    def path(self) -> TokenPath:
        """The forward process of x_t."""
        ...

    def __call__(
        self,
        x_t: Int64[Tensor, "b *shape"],
        t: Tensor | float | TokenLevel,
        condition: Tensor | None = None,
        /,
    ) -> TokenPrediction:
        """The prediction of the clean tokens from x_t at t, given the `condition`."""
        ...


@runtime_checkable
class GuidesTokens(Protocol):
    """A guide that is for tokens as well."""

    def for_tokens(self, base: TokenPredict, /) -> TokenPredict:
        """The guided predictor of `base`."""
        ...


def masked_path(predict: TokenPredict, use: str) -> MaskedPath:
    """The path of a predictor of masked tokens.

    Args:
        predict: the predictor.
        use: what needs it, for the message.

    Raises:
        ValueError: for another path.
    """
    path = predict.path
    if not isinstance(path, MaskedPath):
        raise ValueError(
            f"{use}: for tokens that are masked, and this model's are replaced by other values "
            f"({type(path).__name__}); train one with "
            "noise='masked' (--model.noise masked)"
        )

    return path
