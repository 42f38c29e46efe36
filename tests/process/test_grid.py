import math

import pytest
import torch
from tests.helpers.paths import PATHS

from allegory.process.grid import ENDS, SPACINGS, grid
from allegory.process.path import Path
from allegory.process.schedule import Geometric, RectifiedFlow


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize(
    "name", ["linear-vp", "cosine-flow", "betas-vp", "geometric-ve", "straight-flow"]
)
def test_every_spacing_and_end_from_1_to_100_steps(name, spacing, end):
    path = PATHS[name]
    if name == "straight-flow" and spacing in ("log_snr", "karras"):
        with pytest.raises(ValueError, match="finite"):
            grid(path, 5, spacing, end)
        return
    for steps in (*range(1, 6), 19, 100):
        made = grid(path, steps, spacing, end)
        snr = torch.tensor([level.log_snr for level in made.levels], dtype=torch.float64)
        assert made.steps == steps
        assert made.levels[0].t == 1
        assert (snr[1:] > snr[:-1]).all()
        assert (made.levels[-1].sigma == 0) == (end != "min" or name == "straight-flow")


def test_spacings_are_even_in_what_they_say():
    path = PATHS["linear-vp"]
    even = grid(path, 8, "time", "min").times.diff()
    torch.testing.assert_close(even, even[:1].expand(8))
    root = grid(path, 8, "quadratic", "min").times.sqrt().diff()
    torch.testing.assert_close(root, root[:1].expand(8))
    for made, turn in (
        (grid(path, 8, "angle", "min"), 3),
        (grid(path, 8, "angle:7", "min"), 7),
        (grid(path, 8, "angle", "min", dims=1024), 6),
        (grid(path, 7, "angle", "min", dims=625), 7.5),
        (grid(path, 8, "angle:7", "min", dims=1024), 7),
    ):
        angles = [math.atan(level.sigma / level.alpha / turn) for level in made.levels]
        even = torch.tensor([math.asinh(angle / 0.02) for angle in angles]).diff()
        torch.testing.assert_close(even, even[:1].expand(len(even)), rtol=1e-5, atol=1e-5)
    snr = torch.tensor(
        [level.log_snr for level in grid(PATHS["cosine-vp"], 8, "log_snr", "min").levels]
    ).diff()
    torch.testing.assert_close(snr, snr[:1].expand(8), rtol=1e-5, atol=1e-5)


def test_karras_is_the_published_sequence():
    """Karras et al. 2022, eq. 5."""
    n, low, high, rho = 18, 0.002, 80.0, 7.0
    levels = grid(Path(Geometric(low, high), "ve"), n, "karras", "denoise").levels
    expected = [
        (high ** (1 / rho) + i / (n - 1) * (low ** (1 / rho) - high ** (1 / rho))) ** rho
        for i in range(n)
    ]
    assert [level.sigma for level in levels[:-1]] == pytest.approx(expected, rel=1e-9)
    assert levels[-1].sigma == 0


@pytest.mark.parametrize("text", ["angle:0", "angle:-1", "angle:inf", "angle:x", "time:2", "angel"])
def test_spacings_that_are_none(text):
    with pytest.raises(ValueError, match="spacing"):
        grid(PATHS["linear-vp"], 8, text)


def test_the_way_back():
    made = grid(PATHS["linear-vp"], 4, "time", "min")
    assert made.reversed().times.tolist() == made.times.tolist()[::-1]
    with pytest.raises(ValueError, match="end='min'"):
        grid(PATHS["linear-vp"], 4).reversed()


@pytest.mark.parametrize(
    ("steps", "spacing", "end", "says"),
    [
        (0, "time", "zero", "whole number, 1 to"),
        (4, "karas", "zero", "did you mean 'karras'"),
        (4, "time", "zer0", "did you mean 'zero'"),
    ],
)
def test_bad_grids_are_refused(steps, spacing, end, says):
    with pytest.raises(ValueError, match=says):
        grid(Path(RectifiedFlow(), "flow"), steps, spacing, end)


def test_a_spacing_of_your_own():
    made = grid(
        PATHS["linear-vp"],
        3,
        lambda path, count: torch.linspace(1, 0, count, dtype=torch.float64) ** 3,
        "min",
    )
    assert made.times[1].item() == pytest.approx((2 / 3) ** 3)
    assert not math.isinf(made.levels[-1].log_snr)
