"""The moving average against its closed form."""

import pytest
import torch
from tests.training.toy import Toy
from torch import nn

from allegory.training import EMA


def test_the_average_is_the_closed_sum() -> None:
    """m = sum_i (1 - d_i) (prod_{j > i} d_j) theta_i + (prod_j d_j) theta_start."""
    decay, count = 0.6, 20
    module = nn.Linear(3, 2, bias=False, dtype=torch.float64)
    values = torch.randn(
        count + 1, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    module.weight.data.copy_(values[0])
    ema = EMA(module, decay)
    for value in values[1:]:
        module.weight.data.copy_(value)
        ema.update()
    decays = torch.tensor(
        [min(decay, (1 + n) / (10 + n)) for n in range(count)], dtype=torch.float64
    )
    after = torch.cat([decays.flip(0).cumprod(0).flip(0)[1:], torch.ones(1, dtype=torch.float64)])
    expected = (
        torch.einsum("i,ijk->jk", (1 - decays) * after, values[1:]) + decays.prod() * values[0]
    )
    assert (decays < decay).sum() == 13 and (
        decays == decay
    ).sum() == 7  # (1 + n) / (10 + n) < 0.6 up to n = 12
    torch.testing.assert_close(ema.module.weight, expected, rtol=0, atol=1e-14)


def test_buffers_are_copied_and_tied_weights_stay_tied() -> None:
    module = Toy()
    ema = EMA(module, 0.9)
    module.loss((torch.randn(8, 4), torch.zeros(8)), torch.Generator()).sum().backward()
    ema.update()
    assert ema.module.norm.num_batches_tracked == 1
    assert torch.equal(ema.module.norm.running_mean, module.norm.running_mean)
    assert ema.module.again.weight is ema.module.inward.weight
    assert not ema.module.training and not any(p.requires_grad for p in ema.module.parameters())


def test_no_decay_is_the_module_itself() -> None:
    module = nn.Linear(2, 2)
    ema = EMA(module, 0.0)
    module.weight.data += 1
    ema.update()
    assert torch.equal(ema.module.weight, module.weight)


def test_swapped_gives_the_own_weights_back_also_after_an_error() -> None:
    module = Toy()
    ema = EMA(module, 0.9)
    start = module.inward.weight.clone()
    module.inward.weight.data += 1
    own = module.inward.weight.clone()
    with pytest.raises(RuntimeError, match="halt"), ema.swapped(module) as inside:
        assert inside is module and torch.equal(module.inward.weight, start)
        raise RuntimeError("halt")
    assert torch.equal(module.inward.weight, own) and not torch.equal(ema.module.inward.weight, own)


def test_a_saved_average_goes_on_as_if_never_saved() -> None:
    module = nn.Linear(2, 2)
    one = EMA(module, 0.99)
    for _ in range(3):
        module.weight.data += 1
        one.update()
    two = EMA(module, 0.99)
    two.load_state_dict(one.state_dict(), one.updates)
    module.weight.data += 1
    for ema in (one, two):
        ema.update()
    assert torch.equal(one.module.weight, two.module.weight) and one.updates == two.updates == 4
    target = nn.Linear(2, 2)
    two.copy_to(target)
    assert torch.equal(target.weight, one.module.weight)


def test_an_impossible_decay_or_average_is_refused() -> None:
    with pytest.raises(ValueError, match=r"decay must be in \[0, 1\), got 1\.0"):
        EMA(nn.Linear(2, 2), 1.0)
    with pytest.raises(ValueError, match="weight weight is"):
        EMA(nn.Linear(2, 2), 0.9).load_state_dict(nn.Linear(3, 2).state_dict(), 0)
