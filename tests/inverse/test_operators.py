"""Operators against dense matrices: adjoint, pseudo-inverse, rows of batches, fingerprints."""

import hashlib
import math
import struct

import pytest
import torch

from allegory.inverse.operators import (
    AffineInput,
    Blur,
    ComposedOperator,
    Crop,
    Downsample,
    Fourier,
    Function,
    Grey,
    Identity,
    LinearOperator,
    Mask,
    Matrix,
    RandomProjection,
    Scaled,
    box_mask,
    check_adjoint,
    half_mask,
    random_mask,
)
from allegory.inverse.operators.base import on_device

IMAGE = (3, 8, 6)
GREY = (1, 8, 6)
TABLE = (12,)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def known(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.5


KERNEL = normal(3, 4, seed=1)
WIDE = torch.outer(normal(9, seed=2), normal(7, seed=3))
BOX = torch.full((4, 3), 1 / 12)
LOW_RANK = normal(5, 2, seed=4) @ normal(2, 12, seed=5)

OPERATORS = {
    "identity": Identity(IMAGE),
    "identity of a table": Identity(TABLE),
    "mask": Mask(known(*IMAGE)),
    "mask of a table": Mask(known(*TABLE)),
    "scaling by numbers": Scaled(normal(*IMAGE, seed=6), IMAGE),
    "scaling by some zeros": Scaled(normal(*TABLE, seed=6) * known(*TABLE), TABLE),
    "scaling by a number": Scaled(-0.3, IMAGE),
    "crop": Crop(IMAGE, (2, 1), (4, 3)),
    "crop of a table": Crop(TABLE, (3,), (5,)),
    "block means": Downsample(IMAGE, 2),
    "grey": Grey(IMAGE),
    "signed grey": Grey((2, 8, 6), (1.0, -0.5)),
    "blur, reflect": Blur.gaussian(IMAGE, 0.6),
    "blur, circular": Blur.gaussian(IMAGE, 0.6, "circular"),
    "blur, zero": Blur.gaussian(IMAGE, 0.6, "zero"),
    "blur of a table": Blur.gaussian(TABLE, 0.6),
    "any kernel, reflect": Blur(KERNEL, GREY),
    "any kernel, circular": Blur(KERNEL, GREY, "circular"),
    "any kernel, zero": Blur(KERNEL, GREY, "zero"),
    "wide kernel, reflect": Blur(WIDE, GREY),
    "wide kernel, circular": Blur(WIDE, GREY, "circular"),
    "box kernel, circular, rank-deficient": Blur(BOX, GREY, "circular"),
    "box kernel, reflect": Blur(BOX, GREY),
    "blur by rows": Blur(normal(3, seed=7), IMAGE),
    "matrix": Matrix(normal(5, 12, seed=8)),
    "tall matrix": Matrix(normal(20, 12, seed=8), (1, 4, 3)),
    "rank-deficient matrix": Matrix(LOW_RANK),
    "random projection": RandomProjection(IMAGE, 16),
    "random projection of a table": RandomProjection(TABLE, 12, seed=3),
    "fourier": Fourier(known(8, 6, seed=9), IMAGE),
    "fourier, odd sides": Fourier(known(5, 7, seed=9), (2, 5, 7)),
    "fourier of a table": Fourier(known(12, seed=9), TABLE),
    "block means of a mask": ComposedOperator(Downsample(GREY, 2), Mask(known(*GREY))),
    "mask of block means": ComposedOperator(Mask(known(3, 4, 3)), Downsample(IMAGE, 2)),
    "block means of a blur": ComposedOperator(Downsample(GREY, 2), Blur.gaussian(GREY, 0.6)),
    "grey of half": ComposedOperator(Grey(IMAGE), Scaled(127.5, IMAGE)),
    "mask of a scaling": ComposedOperator(
        Mask(known(*TABLE)), Scaled(normal(*TABLE, seed=6), TABLE)
    ),
    "matrix of a mask, rank-deficient": ComposedOperator(Matrix(LOW_RANK), Mask(known(*TABLE))),
}


def dense(operator: LinearOperator) -> torch.Tensor:
    """The matrix (m, d) of an operator that is the same for all items."""
    d = math.prod(operator.shape)
    return operator(torch.eye(d, dtype=torch.float64).view(d, *operator.shape)).flatten(1).T


def inverse(operator: LinearOperator) -> torch.Tensor:
    """The matrix (d, m) of its pseudo-inverse."""
    m = math.prod(operator.measured_shape)
    y = torch.eye(m, dtype=torch.float64).view(m, *operator.measured_shape)
    return operator.pseudo_inverse(y).flatten(1).T


def close(found: torch.Tensor, want: torch.Tensor, tolerance: float) -> bool:
    return float((found - want).norm()) <= tolerance * max(float(want.norm()), 1e-30)


@pytest.mark.parametrize("name", OPERATORS)
def test_adjoint_is_the_transpose(name):
    operator = OPERATORS[name]
    x, y = normal(4, *operator.shape, seed=1), normal(4, *operator.measured_shape, seed=2)
    left, right = (operator(x) * y).flatten(1).sum(1), (x * operator.adjoint(y)).flatten(1).sum(1)

    size = operator(x).flatten(1).norm(dim=1) * y.flatten(1).norm(dim=1)
    assert ((left - right).abs() <= 1e-12 * size).all()


@pytest.mark.parametrize("name", OPERATORS)
def test_pseudo_inverse_is_that_of_the_dense_matrix(name):
    operator = OPERATORS[name]
    a, found = dense(operator), inverse(operator)
    want = torch.linalg.pinv(a, rtol=getattr(operator, "cutoff", 1e-10))

    assert close(found, want, 1e-10)
    assert close(a @ found @ a, a, 1e-10)
    assert close(found @ a @ found, found, 1e-10)
    assert (a @ found - (a @ found).T).abs().max() <= 1e-10
    assert (found @ a - (found @ a).T).abs().max() <= 1e-10


@pytest.mark.parametrize("padding", ["circular", "reflect", "zero"])
def test_pseudo_inverse_of_a_blur_leaves_out_singular_values_below_the_cutoff(padding):
    operator = Blur(Blur.gaussian(GREY, 1.5).kernel, GREY, padding, cutoff=0.02)
    a = dense(operator)
    size = torch.linalg.svdvals(a)
    assert size[-1] < 0.02 * size[0] < size[0]
    assert close(inverse(operator), torch.linalg.pinv(a, rtol=0.02), 1e-10)


@pytest.mark.parametrize("name", OPERATORS)
def test_closed_forms_say_what_the_dense_matrix_is(name):
    operator = OPERATORS[name]
    a = dense(operator)
    if operator.row_gram is not None:
        assert close(a @ a.T, operator.row_gram * torch.eye(len(a), dtype=a.dtype), 1e-12)
    if operator.diagonal is not None:
        assert close(a, operator.diagonal[0].flatten().diag(), 1e-12)
    if operator.nonnegative:
        assert (a >= 0).all()
    if operator.observed is not None:
        observed = operator.observed.expand(operator.measured_shape)
        assert (a.reshape(*operator.measured_shape, -1)[~observed] == 0).all()


def test_closed_forms_are_not_left_out():
    with_gram = {name for name, each in OPERATORS.items() if each.row_gram is not None}
    assert with_gram == {
        "identity",
        "identity of a table",
        "scaling by a number",
        "crop",
        "crop of a table",
        "block means",
        "grey",
        "signed grey",
        "random projection",
        "random projection of a table",
        "grey of half",
    }


@pytest.mark.parametrize("name", OPERATORS)
def test_float32_is_float64_rounded(name):
    operator = OPERATORS[name]
    x, y = normal(2, *operator.shape, seed=1), normal(2, *operator.measured_shape, seed=2)
    for act, value in ((operator, x), (operator.adjoint, y)):
        found = act(value.float())
        assert found.dtype == torch.float32
        assert close(found.double(), act(value), 1e-5)
    assert operator.pseudo_inverse(y.float()).dtype == torch.float32


@pytest.mark.parametrize("padding", ["circular", "reflect", "zero"])
def test_blur_is_the_convolution_of_torch(padding):
    x, kernel = normal(2, *IMAGE, seed=3), normal(3, 5, seed=4)
    mode = "constant" if padding == "zero" else padding
    padded = torch.nn.functional.pad(x, (2, 2, 1, 1), mode=mode)
    weight = kernel.flip(0, 1).expand(3, 1, 3, 5)  # conv2d correlates
    want = torch.nn.functional.conv2d(padded, weight, groups=3)
    assert close(Blur(kernel, IMAGE, padding)(x), want, 1e-12)


def test_a_gaussian_blur_keeps_constants_and_has_its_variance():
    assert torch.allclose(Blur.gaussian(IMAGE, 1.5)(torch.ones(1, *IMAGE)), torch.ones(1, *IMAGE))
    line = Blur.gaussian((64,), 1.5).kernel
    at = torch.arange(len(line)) - len(line) // 2
    assert float((line * at.square()).sum()) == pytest.approx(1.5**2, rel=5e-3)


def test_block_means_and_grey_are_the_means():
    x = normal(2, *IMAGE, seed=3)
    assert torch.allclose(Downsample(IMAGE, 2)(x), torch.nn.functional.avg_pool2d(x, 2))
    weights = 0.299 * x[:, :1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:]
    assert torch.allclose(Grey(IMAGE)(x), weights)
    assert torch.allclose(Grey((5, 8, 6))(normal(2, 5, 8, 6)), normal(2, 5, 8, 6).mean(1, True))


def test_fourier_holds_both_parts_of_known_frequencies():
    x, seen = normal(2, *IMAGE, seed=3), torch.zeros(8, 6, dtype=torch.bool)
    seen[2, 1] = True
    operator = Fourier(seen, IMAGE)
    y = operator(x)
    coefficient = torch.fft.fft2(x, norm="ortho")[..., 2, 1]
    assert torch.allclose((y[..., 2, 1] + y[..., 6, 5]) / 2, coefficient.real)
    assert torch.allclose((y[..., 6, 5] - y[..., 2, 1]) / 2, coefficient.imag)
    assert int(operator.known.sum()) == 2


def test_the_inner_operator_is_applied_first():
    inner, outer = Matrix(normal(7, 12, seed=1)), Matrix(normal(3, 7, seed=2))
    operator = ComposedOperator(outer, inner)
    assert torch.allclose(dense(operator), outer.matrix @ inner.matrix)
    assert operator.shape == (12,) and operator.measured_shape == (3,)
    with pytest.raises(ValueError, match=r"outer: is for items of shape \(12,\).*\(3,\)"):
        ComposedOperator(inner, outer)


EACH = {
    "mask": Mask(known(5, *GREY), GREY),
    "matrix": Matrix(normal(5, 4, 12, seed=1)),
    "scaling": Scaled(normal(5, *TABLE, seed=2), TABLE),
    "random projection": RandomProjection(TABLE, 4, seed=(5, 4, 3, 2, 5)),
    "fourier": Fourier(known(5, 8, 6), IMAGE),
    "outer": ComposedOperator(Matrix(normal(5, 4, 12, seed=1)), Scaled(2.0, TABLE)),
    "inner": ComposedOperator(Matrix(normal(4, 12, seed=1)), Mask(known(5, *TABLE), TABLE)),
}


@pytest.mark.parametrize("index", [slice(1, 4), [3, 0, 3], torch.tensor([4, 1])])
@pytest.mark.parametrize("name", EACH)
def test_rows_are_the_operators_of_these_items(name, index):
    operator = EACH[name]
    assert operator.items == 5
    x, y = normal(5, *operator.shape, seed=3), normal(5, *operator.measured_shape, seed=4)
    some = operator.rows(index)
    assert torch.allclose(some(x[index]), operator(x)[index])
    assert torch.allclose(some.adjoint(y[index]), operator.adjoint(y)[index])
    assert torch.allclose(some.pseudo_inverse(y[index]), operator.pseudo_inverse(y)[index])
    assert some.fingerprint != operator.fingerprint


def test_operators_of_all_items_are_their_own_rows():
    for operator in OPERATORS.values():
        assert operator.items is None
        assert operator.rows([2, 1]) is operator


def test_fingerprints_are_those_of_kind_and_numbers():
    prints = [each.fingerprint for each in OPERATORS.values()]
    assert len(set(prints)) == len(prints)
    assert Mask(known(*GREY)).fingerprint != Mask(~known(*GREY)).fingerprint
    assert Blur(KERNEL, GREY).fingerprint != Blur(KERNEL, GREY, "zero").fingerprint
    assert RandomProjection(TABLE, 4).fingerprint != RandomProjection(TABLE, 4, 1).fingerprint
    content = b"Mask|(2,)|(2,)" + struct.pack("<2f", 1, 0)
    first = hashlib.blake2b(content, digest_size=8).hexdigest()
    assert Mask(torch.tensor([True, False])).fingerprint == first


def test_fingerprints_do_not_depend_on_precision_or_memory():
    numbers = normal(4, 12, seed=1)
    same = (numbers.float(), numbers.T.contiguous().T)
    assert {Matrix(each).fingerprint for each in same} == {Matrix(numbers).fingerprint}
    as_numbers = Mask(known(*GREY).double())
    assert as_numbers.fingerprint == Mask(known(*GREY)).fingerprint


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_moves_to_a_device(name):
    operator = OPERATORS[name]
    x = normal(2, *operator.shape, seed=1)
    operator.pseudo_inverse(operator(x))
    moved = on_device(operator, torch.device("meta"))
    assert moved(x.to("meta")).shape == (2, *operator.measured_shape)
    assert torch.equal(on_device(operator, torch.device("cpu"))(x), operator(x))


def test_directions_are_those_of_the_seed():
    a = dense(RandomProjection(TABLE, 5, seed=7))
    assert torch.equal(a, dense(RandomProjection(TABLE, 5, seed=7)))
    assert not torch.allclose(a, dense(RandomProjection(TABLE, 5, seed=8)))


def test_directions_are_uniform_on_the_sphere():
    # The first direction of d = 3: each number of it is uniform on [-1, 1] (Archimedes).
    drawn = torch.stack([dense(RandomProjection((3,), 1, seed=s))[0] for s in range(4000)])
    assert (drawn.mean(0).abs() <= 4 / (3 * 4000) ** 0.5).all()
    spread = (4 / 45 / 4000) ** 0.5  # the variance of a square: E u^4 - (E u^2)^2 = 4/45
    assert ((drawn.square().mean(0) - 1 / 3).abs() <= 4 * spread).all()


@pytest.mark.parametrize(
    ("half", "count"), [("lower", 28), ("upper", 28), ("left", 32), ("right", 32)]
)
def test_half_masks(half, count):
    mask = half_mask((2, 8, 7), half)
    assert mask.shape == (2, 8, 7) and int(mask[0].sum()) == 56 - count
    rows, columns = torch.where(~mask[1])
    low, high = {
        "lower": (rows.min() >= 4, rows.max() == 7),
        "upper": (rows.min() == 0, rows.max() < 4),
        "left": (columns.min() == 0, columns.max() < 4),
        "right": (columns.min() >= 3, columns.max() == 6),
    }[half]
    assert low and high


def test_box_and_random_masks():
    box = box_mask((1, 8, 8), 0.5)
    assert int((~box).sum()) == 16 and not box[0, 2:6, 2:6].any()
    random = random_mask(IMAGE, 0.25, seed=1)
    assert (random == random[:1]).all() and int((~random[0]).sum()) == 12
    assert not torch.equal(random, random_mask(IMAGE, 0.25, seed=2))
    assert int((~random_mask(TABLE, 0.5)).sum()) == 6


def test_check_adjoint_says_how_much_it_is_wrong():
    class Wrong(Matrix):
        def adjoint(self, y):
            return 1.01 * super().adjoint(y)

    for operator in OPERATORS.values():
        check_adjoint(operator)
    with pytest.raises(ValueError, match=r"operator Wrong: its adjoint is wrong, .* differ by"):
        check_adjoint(Wrong(normal(3, 12)))


def test_a_function_keeps_its_items_apart():
    square = Function(lambda x: x.square().flatten(1), (2, 3))
    assert square.measured_shape == (6,)
    assert square.fingerprint != Function(torch.Tensor.exp, (2, 3), "exp").fingerprint
    with pytest.raises(ValueError, match=r"differs by .* compute each item by itself"):
        Function(lambda x: x - x.mean(0), (3,))
    with pytest.raises(ValueError, match=r"returned \(2,\) for two items"):
        Function(lambda x: x.sum(1), (3,))


def test_affine_input_sees_raw_items():
    operator = AffineInput(
        Function(torch.square, (2,)), torch.tensor([1.0, 2.0]), torch.tensor(3.0)
    )
    assert torch.equal(operator(torch.tensor([[0.0, 1.0]])), torch.tensor([[1.0, 25.0]]))


BAD = {
    "known: a mask of shape (2, 3) for (4, 3)": lambda: Mask(known(2, 3), (4, 3)),
    "known: has numbers other than 0 and 1": lambda: Mask(torch.tensor([0.5, 1.0])),
    "known: a mask of shape (6, 8) for (8, 6)": lambda: Fourier(known(6, 8), IMAGE),
    "scale: shape (3,) for items of shape (12,)": lambda: Scaled(normal(3), TABLE),
    "matrix: 12 columns for items of shape (11,)": lambda: Matrix(normal(3, 12), (11,)),
    "matrix: shape (3,)": lambda: Matrix(normal(3)),
    "a box of (4, 3) from (5, 1) is not inside": lambda: Crop(IMAGE, (5, 1), (4, 3)),
    "factor=4: does not divide": lambda: Downsample(IMAGE, 4),
    "factor=2: does not divide": lambda: Downsample(TABLE, 2),
    "weights=(1.0, 2.0): give 3 numbers": lambda: Grey(IMAGE, (1, 2)),
    "weights=(0.0, 0.0, 0.0): give 3": lambda: Grey(IMAGE, (0, 0, 0)),
    "has no axis of channels": lambda: Grey(TABLE),
    "unknown padding 'reflct'; did you mean 'reflect'": lambda: Blur(KERNEL, GREY, "reflct"),
    "kernel: shape (3, 4) for items of shape (12,)": lambda: Blur(KERNEL, TABLE),
    "kernel: holds NaN": lambda: Blur(KERNEL * float("nan"), GREY),
    "std=0: give a positive number": lambda: Blur.gaussian(GREY, 0),
    "count=13; give a whole number, 1 to 12": lambda: RandomProjection(TABLE, 13),
    "seed=-1; give a whole number": lambda: RandomProjection(TABLE, 2, seed=-1),
    "outer: has numbers for 2 items, and inner for 3": lambda: ComposedOperator(
        Mask(known(2, *TABLE), TABLE), Mask(known(3, *TABLE), TABLE)
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_operators_are_refused(message):
    with pytest.raises(ValueError) as error:
        BAD[message]()
    assert message in str(error.value)
