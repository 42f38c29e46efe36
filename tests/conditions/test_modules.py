"""What a condition does to features and embedding, and the null of each kind."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from allegory.conditions import Condition, Labels, NoConditioning, Numbers, Picture

FEATURES, EMBEDDING = torch.randn(3, 2, 4, 5), torch.randn(3, 6)


def let_in(module: nn.Module, condition: Tensor | None) -> tuple[Tensor, Tensor]:
    features, embedding = module(FEATURES, EMBEDDING, condition)
    return features, embedding - EMBEDDING


def test_a_label_adds_its_embedding_and_minus_one_the_null_embedding() -> None:
    module = Labels(4).module(6)
    features, added = let_in(module, torch.tensor([3, -1, 0]))
    assert torch.equal(features, FEATURES)
    torch.testing.assert_close(added, module.table.weight[[4, 0, 1]])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_labels_of_any_integer_type(dtype: torch.dtype) -> None:
    module = Labels(300).module(6)
    torch.testing.assert_close(
        let_in(module, torch.tensor([3, 1, 255]).to(dtype))[1],
        let_in(module, torch.tensor([3, 1, 255]))[1],
    )


def test_a_number_that_is_nan_is_hidden_by_itself() -> None:
    module = Numbers(2, low=(0.0, 10.0), high=(4.0, 20.0)).module(6)
    rows = torch.tensor([[1.0, math.nan], [1.0, 20.0], [math.nan, math.nan]], dtype=torch.float64)
    _, added = let_in(module, rows)
    seen = torch.tensor([[-0.5, 0.0, 1.0, 0.0], [-0.5, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(added, module.embed(seen), rtol=1e-5, atol=1e-6)


def test_gradients_pass_a_hidden_number_without_nan() -> None:
    module = Numbers(2).module(6)
    let_in(module, torch.tensor([[1.0, math.nan], [1.0, 2.0], [0.0, 0.0]]))[1].sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


def test_picture_joins_itself_and_a_mask() -> None:
    module = Picture((2, 4, 5)).module(6)
    picture = torch.randn(3, 2, 4, 5)
    picture[1] = math.nan
    picture[2, 0, 1, 2] = math.nan  # one unknown pixel: unknown in every channel
    features, added = let_in(module, picture)
    assert added.abs().max() == 0
    assert features.shape[1] == 2 + module.channels
    assert torch.equal(features[:, :2], FEATURES)
    assert torch.equal(features[0, 2:4], picture[0])
    assert features[1, 2:].abs().max() == 0
    assert torch.equal(features[0, 4], torch.ones(4, 5))
    assert features[2, 2:, 1, 2].tolist() == [0, 0, 0]
    assert features[2, 4].sum() == 19


NULLS = [
    (Labels(4), torch.full((3,), -1)),
    (Numbers(2), torch.full((3, 2), math.nan)),
    (Picture((2, 4, 5)), torch.full((3, 2, 4, 5), math.nan)),
]


@pytest.mark.parametrize(("kind", "null"), NULLS)
def test_none_is_the_null_of_every_item(kind: Condition, null: Tensor) -> None:
    module = kind.module(6)
    for given, none in zip(let_in(module, null), let_in(module, None), strict=True):
        assert torch.equal(given, none)


WRONG: list[tuple[Condition | None, Tensor, str]] = [
    (None, torch.zeros(3, dtype=torch.long), "without one"),
    (Labels(4), torch.zeros(3), "float32.*needs integer labels of shape"),
    (Labels(4), torch.zeros(3, dtype=torch.bool), "torch.bool.*needs integer labels"),
    (Labels(4), torch.zeros(3, 1, dtype=torch.long), r"shape \(3, 1\).*of shape \(3,\)"),
    (Labels(4), torch.tensor([0, 4, 1]), "labels 0 to 4: use 0 to 3, or -1"),
    (Labels(4), torch.tensor([0, -2, 1]), "labels -2 to 1: use 0 to 3, or -1"),
    (Numbers(2), torch.zeros(3, 3), r"shape \(3, 3\).*of shape \(3, 2\)"),
    (Numbers(2), torch.zeros(3, 2, dtype=torch.long), "floating-point numbers"),
    (Picture((2, 4, 5)), torch.zeros(3, 1, 4, 5), r"of shape \(3, 2, 4, 5\)"),
    (Picture((2, 4, 5)), torch.zeros(3, 2, 5, 4), r"of shape \(3, 2, 4, 5\)"),
    (Picture((2, 4, 5)), torch.zeros(3, 2, 4, 5, dtype=torch.uint8), "floating-point pictures"),
]


@pytest.mark.parametrize(("kind", "condition", "message"), WRONG)
def test_wrong_conditions_are_refused(
    kind: Condition | None, condition: Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        let_in(NoConditioning() if kind is None else kind.module(6), condition)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Labels(0), "classes=0 must be at least 1"),
        (lambda: Numbers(0), "dim=0 must be at least 1"),
        (lambda: Picture((0, 2)), "each at least 1"),
        (lambda: Picture((2,)), r"must be \(channels, \*space\)"),
    ],
)
def test_kinds_of_nothing_are_refused(make: Callable[[], Condition], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()
