"""DataSpec: exact round trips, the Jacobian against autograd, and every refusal."""

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from allegory.data import DataSpec

DIGITS = DataSpec(shape=(1, 8, 8), low=0.0, high=16.0, levels=17, classes=10)
PLANE = DataSpec(shape=(2,), low=-4.0, high=4.0)


def ladder(levels: int, low: float = 0.0, high: float | None = None) -> DataSpec:
    return DataSpec(
        shape=(levels,), low=low, high=levels - 1.0 if high is None else high, levels=levels
    )


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32, torch.float64])
@pytest.mark.parametrize("levels", [2, 17, 256])
def test_every_level_comes_back(levels: int, dtype: torch.dtype) -> None:
    spec = ladder(levels)
    raw = torch.arange(levels).to(dtype)[None]
    x = spec.encode(raw)
    assert x.dtype == torch.float32
    assert x[0, 0] == -1.0 and x[0, -1] == 1.0
    assert torch.equal(x[0], spec.values)
    assert torch.equal(spec.index(raw)[0], torch.arange(levels))
    back = spec.decode(x)
    assert back.dtype == torch.uint8
    assert torch.equal(back, raw.to(torch.uint8))


@pytest.mark.parametrize("levels", [2, 3, 17, 256, 1000])
def test_levels_are_equally_spaced_from_minus_one_to_one(levels: int) -> None:
    spec = ladder(levels)
    expected = torch.tensor(
        [-1.0 + 2.0 * k / (levels - 1) for k in range(levels)], dtype=torch.float64
    )
    assert (
        spec.values - expected
    ).abs().max() <= 2.0**-24  # half a unit in the last place of float32 near 1
    assert spec.step == 2.0 / (levels - 1)


def test_levels_that_are_not_whole_stay_floats() -> None:
    spec = ladder(5, low=-0.5, high=0.5)
    raw = torch.tensor([[-0.5, -0.25, 0.0, 0.25, 0.5]])
    assert torch.equal(spec.encode(raw), 2 * raw)
    assert torch.equal(spec.decode(spec.encode(raw)), raw)
    assert ladder(2, high=255.0).decode(torch.tensor([-1.0, 1.0])).tolist() == [0, 255]


def test_levels_counted_from_0_are_the_smallest_integers() -> None:
    for levels, dtype in ((256, "uint8"), (257, "int16"), (1 << 15, "int16"), (65_536, "int32")):
        raw = ladder(levels).decode(torch.tensor([-1.0, 1.0]))
        assert raw.dtype == getattr(torch, dtype) and raw.tolist() == [0, levels - 1]
    assert ladder(257, low=-128.0).decode(torch.tensor([1.0])).dtype == torch.float32


def test_decode_takes_the_nearest_level_and_clamps() -> None:
    x = torch.tensor([-7.0, -1.0, -0.94, -0.93, 0.0, 0.93, 0.94, 1.0, 9.0, math.inf, -math.inf])
    assert DIGITS.decode(x).tolist() == [0, 0, 0, 1, 8, 15, 16, 16, 16, 16, 0]


def test_decode_finds_every_level_in_bfloat16() -> None:
    """Its rounding, 2^-9 at most, is less than half of the step between 256 levels, 1/255."""
    spec = ladder(256)
    assert spec.decode(spec.values.bfloat16()).tolist() == list(range(256))


def test_decode_refuses_nan() -> None:
    with pytest.raises(ValueError, match="NaN"):
        DIGITS.decode(torch.tensor([0.0, math.nan]))


def test_continuous_data_are_inverted_without_clamping() -> None:
    raw = torch.tensor([[-4.0, 4.0], [0.5, 6.0]])
    assert PLANE.encode(raw).tolist() == [[-1.0, 1.0], [0.125, 1.5]]
    assert torch.equal(PLANE.decode(PLANE.encode(raw)), raw)


@given(st.floats(-1e3, 1e3), st.floats(1e-2, 1e3), st.floats(0.0, 1.0))
def test_encode_is_affine_and_inverted(low: float, width: float, place: float) -> None:
    spec = DataSpec(shape=(1,), low=low, high=low + width)
    raw = torch.tensor([low + place * width], dtype=torch.float64)
    x = spec.encode(raw)
    assert abs(x.item() - (2.0 * place - 1.0)) < 1e-6 + 1e-12 * abs(low) / width
    assert (spec.decode(x.double()) - raw).abs().item() < 1e-7 * width + 1e-12 * abs(low)


TABLE = DataSpec(
    (3,), low=(10_000.0, 0.3, 15.0), high=(90_000.0, 0.7, 55.0), columns=("income", "rate", "age")
)
STAMPS = DataSpec((2,), low=(1e8 - 10, -1.0), high=(1e8 + 10, 1.0))


def test_each_number_has_its_own_ends() -> None:
    rows = [[10_000.0, 0.3, 15.0], [90_000.0, 0.7, 55.0], [50_000.0, 0.5, 35.0]]
    raw = torch.tensor(rows, dtype=torch.float64)
    x = TABLE.encode(raw)
    assert torch.equal(x, torch.tensor([[-1.0], [1.0], [0.0]]).expand(3, 3))
    assert torch.equal(TABLE.decode(x), raw.float())
    pictures = DataSpec((2, 1), low=(0.0, 2.0), high=(1.0, 4.0))
    assert pictures.encode(torch.tensor([[[1.0], [2.0]]])).tolist() == [[[1.0], [-1.0]]]


def test_numbers_of_a_large_offset_keep_their_digits() -> None:
    """To the rounding of float32 in model space, which is that of 10 in the data: not of 1e8."""
    raw = torch.tensor([1e8, 0.0]) + torch.linspace(-10, 10, 3001, dtype=torch.float64)[:, None]
    back = STAMPS.decode(STAMPS.encode(raw))
    assert back.dtype == torch.float64 and STAMPS.dtype == torch.float64
    assert (back - raw).abs().max() <= 10 * 2.0**-24
    assert len(back[:, 0].unique()) == 3001
    whole = 10**17 + torch.arange(64)[:, None] * 100
    spec = DataSpec((1,), low=1e17, high=1e17 + 6400)
    assert (
        spec.decode(spec.encode(whole)) - whole.double()
    ).abs().max() <= 8  # the spacing at 1e17


def test_decode_is_the_inverse_of_encode_in_float64() -> None:
    for spec in (TABLE, STAMPS, PLANE):
        x = torch.linspace(-3, 3, spec.dims * 100).view(100, spec.dims)
        raw = spec.decode(x.double())
        low, high = spec.ends()
        slack = 4 * 2.0**-53 * torch.maximum(low.abs(), high.abs()) / (high - low)
        assert ((2 * raw - low - high) / (high - low) - x.double()).abs().le(3 * slack).all()
        assert torch.equal(spec.encode(raw), x)


def test_a_range_that_was_not_declared_is_no_law() -> None:
    beyond = torch.tensor([[-4.5, 700.0]])
    PLANE.check(beyond)
    assert torch.equal(PLANE.decode(PLANE.encode(beyond)), beyond)


def test_declared_bounds_are_a_law() -> None:
    spec = DataSpec((2,), low=0.0, high=0.1, bounded=True)
    spec.check(torch.tensor([[0.0, 0.1]]))  # 0.1 in float32 is above 0.1
    with pytest.raises(ValueError, match=r"values in \[0, 0.2\], outside \[0, 0.1\]"):
        spec.check(torch.tensor([[0.0, 0.2]]))
    assert spec.decode(torch.tensor([-3.0, 3.0])).tolist() == pytest.approx([0.0, 0.1])
    spec.check(spec.decode(torch.randn(9, 2) * 5))

    table = DataSpec((2,), low=(0.0, -1.0), high=(1.0, 1.0), columns=("a", "b"), bounded=True)
    with pytest.raises(ValueError, match=r"column 'b': values in \[-2, 0\], outside \[-1, 1\]"):
        table.check(torch.tensor([[0.5, -2.0], [1.0, 0.0]]))


@pytest.mark.parametrize("spec", [TABLE, STAMPS, DataSpec((2, 2), (0, 1, 2, 3), (1, 5, 4, 9))])
def test_log_scale_is_the_jacobian_of_each_number(spec: DataSpec) -> None:
    raw = torch.zeros(1, *spec.shape, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda v: spec.encode(v).double(), raw)
    log_det = torch.linalg.slogdet(jacobian.view(spec.dims, spec.dims)).logabsdet.item()
    assert math.isclose(log_det, spec.log_scale, rel_tol=1e-7)  # float32 entries


def test_a_density_of_columns_is_in_the_units_of_the_data() -> None:
    """A Gaussian of a table, evaluated in model space, is torch's in the data's own units."""
    mean, std = (torch.tensor(each).double() for each in ([5e4, 0.5, 35.0], [2e4, 0.1, 10.0]))
    raw = mean + std * torch.randn(50, 3, dtype=torch.float64)
    exact = torch.distributions.Normal(mean, std).log_prob(raw).sum(1)
    in_model = torch.distributions.Normal(
        TABLE.encode(mean).double(), std / torch.tensor([4e4, 0.2, 20.0])
    )
    found = in_model.log_prob(TABLE.encode(raw).double()).sum(1) + TABLE.log_scale
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-5)  # x is float32


def test_log_scale_is_the_jacobian() -> None:
    spec = DataSpec(shape=(3, 2), low=-1.0, high=9.0)
    raw = torch.rand(6, requires_grad=True)
    jacobian = torch.autograd.functional.jacobian(spec.encode, raw)
    assert math.isclose(
        torch.linalg.slogdet(jacobian).logabsdet.item(), spec.log_scale, rel_tol=1e-6
    )
    assert spec.dims == 6


def test_a_uniform_density_has_the_entropy_of_its_box() -> None:
    spec = DataSpec(shape=(2,), low=-4.0, high=4.0)
    log_p_model = -2 * math.log(2.0)  # uniform on [-1, 1]^2
    assert math.isclose(log_p_model + spec.log_scale, -2 * math.log(8.0))


def test_json_round_trip() -> None:
    named = DataSpec((1,), 0.0, 1.0, classes=2, class_names=("cat", "dog"), bounded=True)
    for spec in (DIGITS, PLANE, TABLE, named):
        assert DataSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize("change", [{"levels": ...}, {"colour": 3}])
def test_from_dict_refuses_other_fields(change: dict[str, object]) -> None:
    values = DIGITS.to_dict()
    for key, value in change.items():
        if value is ...:
            del values[key]
        else:
            values[key] = value
    with pytest.raises(ValueError, match="to_dict"):
        DataSpec.from_dict(values)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"shape": ()}, "shape"),
        ({"shape": (3, 0)}, "shape"),
        ({"low": 1.0, "high": 1.0}, "low=1.0"),
        ({"low": math.nan}, "low=nan"),
        ({"high": math.inf}, "high=inf"),
        ({"levels": 1}, "levels=1"),
        ({"levels": True}, "levels=True"),
        ({"classes": 0}, "classes=0"),
        ({"shape": (True,)}, "shape"),
        ({"high": 10**400}, "high: 1000"),
        ({"low": -1e308, "high": 1.7e308}, "give two finite numbers"),
        ({"low": (0.0, 1.0)}, "two for each number"),
        ({"low": (0.0,), "high": (1.0,)}, "1 for the 2 numbers"),
        ({"low": (0.0, 1.0), "high": (1.0, 1.0)}, r"\(number 1\)"),
        ({"low": (0.0, 1.0), "high": (1.0, 2.0), "levels": 2}, "one for all"),
        ({"class_names": ("a",)}, "1 for classes=None"),
        ({"classes": 2, "class_names": ("a", "a")}, "each of them once"),
        ({"classes": 2, "class_names": ("1", 1)}, "of one kind"),
        ({"columns": ("a",)}, "1 names for items of shape"),
        ({"columns": ("a", "a")}, "each of them once"),
    ],
)
def test_impossible_specs_are_refused(fields: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        DataSpec(**{"shape": (2,), "low": 0.0, "high": 1.0, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "use", [lambda d: d.values, lambda d: d.step, lambda d: d.index(torch.zeros(2))]
)
def test_continuous_data_have_no_levels(use: object) -> None:
    with pytest.raises(ValueError, match="levels=None"):
        use(PLANE)  # type: ignore[operator]


def test_good_arrays_pass() -> None:
    DIGITS.check(torch.full((3, 1, 8, 8), 16, dtype=torch.uint8), torch.tensor([0, 9, 4]))
    DIGITS.check(torch.full((3, 1, 8, 8), 5.0))
    PLANE.check(torch.tensor([[-4.0, 4.0]]))
    ladder(5, low=0.1, high=0.7).check(
        torch.tensor([[0.1, 0.25, 0.4, 0.55, 0.7]]).clamp(0.1, 0.7).double()
    )
    ladder(2, high=255.0).check(torch.tensor([[0, 255]], dtype=torch.uint8))


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (torch.zeros(0, 2), "no items"),
        (torch.zeros(4, 3), r"shape \(3,\), expected \(2,\)"),
        (torch.tensor([[0.0, math.nan]]), "NaN"),
        (torch.tensor([[0.0, -math.inf]]), "infinite"),
        (torch.tensor([[0.0, math.nan], [1.0, math.inf]]), "column 1: NaN or infinite in 2 items"),
    ],
)
def test_bad_arrays_are_refused(raw: torch.Tensor, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        PLANE.check(raw)


@pytest.mark.parametrize(
    ("levels", "raw"), [(17, torch.tensor([3.5])), (2, torch.tensor([7], dtype=torch.uint8))]
)
def test_numbers_between_levels_are_refused(levels: int, raw: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="between"):
        DataSpec(shape=(1,), low=0.0, high=16.0, levels=levels).check(raw[:, None])


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        (torch.tensor([0, 10]), r"\[0, 10\]; give integers 0 to 9"),
        (torch.tensor([-1, 3]), r"\[-1, 3\]"),
        (torch.tensor([0.0, 1.0]), "float32"),
        (torch.tensor([True, False]), "bool"),
        (torch.tensor([1, 2, 3]), "one label an item"),
        (torch.tensor([[1], [2]]), "one label an item"),
    ],
)
def test_bad_labels_are_refused(labels: torch.Tensor, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        DIGITS.check(torch.zeros(2, 1, 8, 8), labels)


def test_labels_without_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="without classes"):
        PLANE.check(torch.zeros(2, 2), torch.tensor([0, 1]))


ANIMALS = DataSpec((1,), 0.0, 1.0, classes=3, class_names=("bird", "cat", "dog"))
GAPS = DataSpec((1,), 0.0, 1.0, classes=3, class_names=(-1, 7, 2**40))
FLAGS = DataSpec((1,), 0.0, 1.0, classes=2, class_names=(False, True))


@pytest.mark.parametrize(
    ("spec", "labels", "index"),
    [
        (ANIMALS, ["dog", "bird", "dog"], [2, 0, 2]),
        (ANIMALS, "cat", 1),
        (GAPS, [7, 7, -1, 2**40], [1, 1, 0, 2]),
        (GAPS, torch.tensor([[7], [-1]]), [[1], [0]]),
        (GAPS, ["7", "-1"], [1, 0]),
        (FLAGS, [True, False], [1, 0]),
        (FLAGS, "True", 1),
        (DIGITS, [9, 0], [9, 0]),
        (DIGITS, "3", 3),
    ],
)
def test_classes_by_their_value(spec: DataSpec, labels: Any, index: Any) -> None:
    found = spec.class_index(labels)
    assert found.dtype == torch.int64 and found.tolist() == index
    back = spec.class_values(found)
    assert back.astype(str).tolist() == np.asarray(labels).astype(str).tolist()
    assert back.dtype.kind == ("U" if spec is ANIMALS else "b" if spec is FLAGS else "i")


@pytest.mark.parametrize(
    ("spec", "labels", "says"),
    [
        (ANIMALS, ["cat", "zebra"], "class zebra: not known; the classes are bird, cat, dog"),
        (GAPS, 0, "class 0: not known; the classes are -1, 7, 1099511627776"),
        (DIGITS, [3, 10], "class 10: not known; the classes are 0 to 9"),
        (DIGITS, -1, "class -1"),
        (DIGITS, "03", "class 03"),
        (DIGITS, True, "class True"),
        (DIGITS, 1.0, "labels: dtype float64"),
        (DIGITS, 10**30, "labels: dtype object"),
        (ANIMALS, "\x1b]0;owned", r"class \\x1b"),
        (PLANE, "cat", "these data have no classes"),
    ],
)
def test_unknown_classes_are_refused(spec: DataSpec, labels: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        spec.class_index(labels)


def test_a_spec_in_words() -> None:
    assert str(DIGITS) == "items (1, 8, 8), 17 levels from 0 to 16, classes 0 to 9"
    assert str(TABLE) == "items (3,), columns income, rate, age, continuous"
    assert str(ANIMALS) == "items (1,), continuous, classes bird, cat, dog"
    many = DataSpec((1,), 0.0, 1.0, classes=99, class_names=tuple(range(1, 100)))
    assert str(many).endswith("classes 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ... (99 in all)")
