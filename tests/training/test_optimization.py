"""One step of optimization against the formulas, by hand."""

import pytest
import torch
from tests.training.toy import Batch, Numbers, Smooth, Toy
from torch import Tensor, nn

from allegory.training import TrainingConfig, TrainingError
from allegory.training.distributed import Processes
from allegory.training.optimization import Learner


class Line(nn.Module):
    """loss_i = (w . x_i - y_i)^2, in double precision: its gradient is known."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([0.5, -1.0, 0.25, 2.0], dtype=torch.float64))

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        x, y = batch
        assert x is not None and y is not None
        return (x.double() @ self.w - y) ** 2


@pytest.mark.parametrize("clip", [0.01, 1e6])
def test_steps_are_adamw_on_the_clipped_gradient(clip: float) -> None:
    """Loshchilov & Hutter 2019, algorithm 2, with the gradient clipped to the norm `clip`."""
    config = TrainingConfig(steps=9, clip=clip, weight_decay=0.1, betas=(0.8, 0.95))
    learner = Learner(Line(), config, Processes())
    w, m, v = Line().w.detach(), torch.zeros(4), torch.zeros(4)
    batches, again = Numbers(), Numbers()
    for k, rate in enumerate((0.1, 0.03, 0.2), start=1):
        pair, items = learner.step(batches, rate)
        x, y = (part.double() for part in next(again))
        residual = x @ w - y
        gradient = 2 * (residual[:, None] * x).mean(0)
        norm = gradient.norm()
        torch.testing.assert_close(pair, torch.stack([(residual**2).mean(), norm]))
        assert items == 8
        gradient = gradient * min(1.0, clip / norm.item())
        m, v = 0.8 * m + 0.2 * gradient, 0.95 * v + 0.05 * gradient**2
        w = w * (1 - rate * 0.1) - rate * (m / (1 - 0.8**k)) / ((v / (1 - 0.95**k)).sqrt() + 1e-8)
        # clip_grad_norm_ divides by norm + 1e-6
        torch.testing.assert_close(learner.model.w.detach(), w, rtol=1e-5, atol=1e-7)


def test_accumulated_small_batches_are_one_large_batch() -> None:
    class Parts(Numbers):
        def __next__(self) -> Batch:
            if self.position % 2 == 0:
                self.whole = super().__next__()
            else:
                self.position += 1
            return tuple(
                part[(self.position % 2 == 0) * 4 :][:4] for part in self.whole if part is not None
            )

    one = Learner(Smooth(), TrainingConfig(steps=1), Processes())
    two = Learner(Smooth(), TrainingConfig(steps=1, accumulate=2), Processes())
    whole, _ = one.step(Numbers(), 0.1)
    parts, items = two.step(Parts(), 0.1)
    assert items == 8
    torch.testing.assert_close(parts, whole)
    for mine, theirs in zip(two.model.parameters(), one.model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("precision", "inside"), [("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_precision_is_that_of_products_and_not_of_weights_or_loss(
    precision: str, inside: torch.dtype
) -> None:
    seen: list[torch.dtype] = []

    class Spy(Smooth):
        def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
            assert batch[0] is not None
            out: Tensor = self.net(batch[0])[:, 0]
            seen.append(out.dtype)
            return out**2

    learner = Learner(Spy(), TrainingConfig(steps=1, precision=precision), Processes())
    pair, _ = learner.step(Numbers(), 1e-3)
    assert seen == [inside] and pair.dtype == torch.float32
    assert {p.dtype for p in learner.model.parameters()} == {torch.float32}


@pytest.mark.parametrize("shape", [(), (4, 1)])
def test_a_loss_that_is_not_per_item_is_refused(shape: tuple[int, ...]) -> None:
    class Mean(Smooth):
        def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
            return next(self.parameters()).sum() * torch.ones(shape)

    with pytest.raises(ValueError, match=r"must be of shape \(batch,\), got \("):
        Learner(Mean(), TrainingConfig(steps=1), Processes()).step(Numbers(), 1e-3)


def test_a_batch_may_have_no_labels() -> None:
    class Plain(Smooth):
        def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
            assert batch[0] is not None and batch[1] is None
            out: Tensor = self.net(batch[0])[:, 0]
            return out

    class Bare(Numbers):
        def __next__(self) -> Batch:
            return super().__next__()[0], None

    assert Learner(Plain(), TrainingConfig(steps=1), Processes()).step(Bare(), 1e-3)[1] == 8


def test_only_what_requires_a_gradient_is_trained() -> None:
    model = Toy()
    model.out.requires_grad_(False)
    before = {name: value.clone() for name, value in model.named_parameters()}
    learner = Learner(model, TrainingConfig(steps=1), Processes())
    learner.step(Numbers(), 0.1)
    changed = {
        name for name, value in model.named_parameters() if not torch.equal(value, before[name])
    }
    assert changed == {name for name in before if not name.startswith("out")}
    with pytest.raises(ValueError, match="nothing to train"):
        Learner(model.requires_grad_(False), TrainingConfig(steps=1), Processes())


def test_batches_that_end_are_an_error() -> None:
    class Empty(Numbers):
        def __next__(self) -> Batch:
            raise StopIteration

    with pytest.raises(TrainingError, match="came to an end"):
        Learner(Toy(), TrainingConfig(steps=1), Processes()).step(Empty(), 1e-3)
