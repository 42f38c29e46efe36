"""The memory of a training step, from a few items."""

import torch
from torch import nn

from allegory.training.memory import training_bytes


class TwoLayers(nn.Module):
    """Saves its input (4 numbers), and 100 numbers of the hidden layer once."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 100, bias=False), nn.Linear(100, 1, bias=False)
        self.frozen = nn.Linear(10, 10, bias=False).requires_grad_(False)

    def loss(self, batch, generator):
        return self.last(self.first(batch[0]).relu()).squeeze(1)


def test_saved_numbers_of_the_batch_and_copies_of_the_weights():
    model = TwoLayers()
    found = training_bytes(model, (torch.randn(2, 4), None), 64)
    weights = 4 * (5 * 500 + 2 * 100)
    assert found == 64 * 4 * (4 + 100) + weights
    assert model.training


def test_it_grows_with_the_batch():
    model, some = TwoLayers(), (torch.randn(2, 4), None)
    sizes = [training_bytes(model, some, count) for count in (1, 11, 21)]
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0] == 10 * 4 * 104
