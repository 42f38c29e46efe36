"""How samples of tokens come about, and samples of text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ..data.vocabularies import TextVocabulary
from ..evaluation.result import Evaluation
from ..models.base import HasTokens, device_of
from ..sampling.tokens import TokenBatch, TokenSampler, TokenState
from .items import is_image
from .report import Section
from .text import text_page
from .trajectories import film_rows

_STATES = 8
"""States that are shown of a trajectory."""
_MASK = "·"
"""A masked token in text."""


def token_section(model: HasTokens, evaluation: Evaluation, how: str) -> Section:
    """The states of the first samples, from noise to tokens.

    Args:
        model: the model.
        evaluation: whose samples they are.
        how: how the samples were made, in one line.
    """
    spec = model.spec
    count = min(3 if is_image(spec.shape) else 30, len(evaluation.generated))
    states = _some(_states(model, evaluation, count))
    names = [f"t = {float(state.level.t):.2g}" for state in states]

    vocabulary = spec.vocabulary
    if isinstance(vocabulary, TextVocabulary):
        lines = [_masked_text(vocabulary, state.x[0], spec.levels or 0) for state in states]
        figure = text_page(lines, names)
    else:
        film = [_shown(state.x, spec.values) for state in states]
        figure = film_rows("From noise to samples", [film], names, ["state"])

    return Section(
        "How a sample comes about",
        figure,
        "The first of the samples, step by step. Tokens that are masked are grey in a picture, and "
        f"{_MASK} in text (Austin et al. 2021).",
        "States that turn from noise into samples, token by token.",
        how,
    )


def _states(model: HasTokens, evaluation: Evaluation, count: int) -> list[TokenState]:
    """The states of the first samples, and their first state, all noise."""
    generated, sampler = evaluation.generated, evaluation.config.sampler
    device = device_of(model)
    x = torch.zeros(count, *model.spec.shape, dtype=torch.int64, device=device)
    rows = None if generated.given is None else generated.given[:count].to(device)

    batch = TokenBatch(x, evaluation.seeds[:count], rows)
    assert sampler is None or isinstance(sampler, TokenSampler), "samples of tokens were drawn"
    return list(model.states(batch, sampler))


def _some(states: Sequence[TokenState]) -> list[TokenState]:
    """A few states, evenly spaced, with the last."""
    places = torch.linspace(0, len(states) - 1, min(_STATES, len(states))).round().long()
    return [states[place] for place in places.tolist()]


def _shown(x: Tensor, values: Tensor) -> Float[Tensor, "n *shape"]:
    """Tokens in model space, masked ones as the middle of the range."""
    grey = torch.cat([values, values.new_zeros(1)])
    return grey[x.cpu()]


def _masked_text(vocabulary: TextVocabulary, tokens: Tensor, mask: int) -> str:
    """A text whose masked tokens are shown as a sign."""
    parts, known = [], []
    for token in [*tokens.tolist(), mask]:
        if token < mask:
            known.append(token)
            continue
        if known:
            parts.append(vocabulary.decode(torch.tensor(known)))
        parts.append(_MASK)
        known = []
    return "".join(parts)[: -len(_MASK)]
