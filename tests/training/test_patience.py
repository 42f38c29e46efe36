"""A run ends where its validation loss has long not fallen."""

import pytest
import torch
from torch import nn

from allegory.training import TrainingConfig, train


class Rising(nn.Module):
    """A validation loss that falls up to the fifth call, then stays."""

    def __init__(self, best):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.best, self.calls = best, [0]

    def loss(self, batch, generator):
        x = batch[0]
        if self.training:
            return (self.weight - x[:, 0]).square()
        self.calls[0] += 1
        return torch.full((len(x),), float(max(-self.calls[0], -self.best)))


class Batches:
    def __next__(self):
        return torch.ones(4, 1), None

    def __iter__(self):
        return self

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def steps(best, **choices):
    config = TrainingConfig(steps=100, batch_size=4, device="cpu", **choices)
    return train(Rising(best), Batches(), config, validation=(torch.ones(4, 1), None)).step


@pytest.mark.parametrize(("best", "last"), [(1, 35), (4, 50), (20, 100)])
def test_it_ends_a_fraction_of_the_run_after_the_lowest_loss(best, last):
    """Validations are each 5 steps; the best is that at step 5 best."""
    assert steps(best, patience=0.3) == last


def test_without_patience_it_goes_on():
    assert steps(1) == 100
    with pytest.raises(ValueError, match="patience must be above 0"):
        TrainingConfig(steps=1, patience=0.0)
