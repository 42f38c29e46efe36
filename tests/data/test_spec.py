"""DataSpec: exact round trips, the Jacobian against autograd, and every refusal."""

import json
import math

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
    assert ladder(257).decode(torch.tensor([1.0])).dtype == torch.float32


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
    for spec in (DIGITS, PLANE):
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
        ({"classes": 0}, "classes=0"),
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
        (torch.tensor([[0.0, 5.0]]), r"outside \[-4, 4\]"),
        (torch.tensor([[0.0, -4.5]]), r"outside \[-4, 4\]"),
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
