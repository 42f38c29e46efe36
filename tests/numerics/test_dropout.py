"""Dropout: the numbers of torch's own, in one process and as rows in several."""

import pytest
import torch
from torch import nn

from allegory.numerics.dropout import Dropout, dropout_drawn_from
from allegory.numerics.generators import BatchGenerator

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("layout", ["rows", "channels last", "tokens"])
@pytest.mark.parametrize("p", [0.1, 0.5])
def test_several_processes_drop_what_one_drops_and_what_torch_drops(
    p: float, layout: str, dtype: torch.dtype
) -> None:
    x = torch.randn(8, 6, 5, 7).to(dtype)
    if layout == "channels last":
        x = x.to(memory_format=torch.channels_last)
    if layout == "tokens":
        x = x.flatten(2).transpose(1, 2)

    torch.manual_seed(3)
    expected = nn.Dropout(p)(x)
    torch.manual_seed(3)
    assert torch.equal(Dropout(p)(x), expected)

    parts = []
    for rank in range(2):
        layer = nn.Sequential(Dropout(p))
        with dropout_drawn_from(layer, BatchGenerator(CPU, 3, rank, 2)):
            parts.append(layer(x[4 * rank : 4 * rank + 4]))
        assert layer[0].generator is None
    assert torch.equal(torch.cat(parts), expected)


def test_nothing_is_dropped_or_drawn_in_eval_mode_and_with_probability_0() -> None:
    x = torch.randn(4, 3)
    state = torch.get_rng_state()
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x
    assert torch.equal(torch.get_rng_state(), state)
