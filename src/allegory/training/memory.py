"""How much memory a training step takes, from a few items."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_COPIES = 5
"""Of the weights: themselves, gradient, two moments of the optimizer, moving average."""


def training_bytes(model: nn.Module, some: tuple[Tensor, Tensor | None], batch_size: int) -> int:
    """An estimate of the bytes of a training step: what autograd saves, and copies of the weights.

    What an item saves is counted at a forward pass of a few, and multiplied by the batch. Temporary
    tensors are not counted.

    Args:
        model: a Model.
        some: a few raw items (n, *shape), and the rows of their condition or None.
        batch_size: items per batch.
    """
    weights = {each.untyped_storage().data_ptr() for each in model.parameters()}
    seen: dict[int, int] = {}

    def saved(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    anything: Any = model
    device = next(model.parameters()).device
    generator = torch.Generator(device="cpu").manual_seed(0)
    raw, given = (None if part is None else part.to(device) for part in some)
    was_training = model.training

    model.eval()  # counters of training steps stay as they are
    with torch.autograd.graph.saved_tensors_hooks(saved, lambda tensor: tensor):
        loss = anything.loss((raw, given), generator)
    model.train(was_training)
    del loss

    trained = sum(each.nbytes for each in model.parameters() if each.requires_grad)
    others = sum(each.nbytes for each in model.parameters() if not each.requires_grad)
    return batch_size * sum(seen.values()) // len(some[0]) + _COPIES * trained + 2 * others
