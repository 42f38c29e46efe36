"""Film strips and lines show what they are given: frames in order, given ones before the others."""

import matplotlib
import pytest
import torch
from tests.helpers.figures import drawn

from allegory.conditions import Combined, Labels, Picture
from allegory.data import DataSpec, Items
from allegory.plots import grid_of

KIND = Picture((2, 1, 3, 4), 0.0, 16.0)
CLIPS = DataSpec((3, 1, 3, 4), 0.0, 16.0, 17, classes=10, condition=KIND)
LINES = DataSpec((6, 2), (0.0,) * 12, (10.0,) * 12, condition=Picture((4, 2), 0.0, 10.0))


def words(figure):
    drawn(figure)
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text)]


def ticks(figure):
    """The texts of both axes."""
    axes = figure.axes[0]
    return tuple(
        [text.get_text() for text in labels]
        for labels in (axes.get_xticklabels(), axes.get_yticklabels())
    )


def clips(n):
    x = torch.arange(n * 5).reshape(n, 5, 1, 1, 1).remainder(17).expand(n, 5, 1, 3, 4)
    return x.to(torch.uint8)


@pytest.mark.parametrize("combined", [False, True])
def test_given_frames_are_before_the_sample_and_the_real_ones_below(combined):
    x, spec = clips(4), CLIPS
    rows = x[:, :2].float()
    if combined:
        kind = Combined(("digit", "first"), (Labels(10), KIND))
        spec = DataSpec((3, 1, 3, 4), 0.0, 16.0, 17, condition=kind)
        rows = kind.join({"first": rows}, (4,))
    samples, real = Items(x[:, 2:], condition=rows), Items(x[:2, 2:].flip(1))
    figure = grid_of(samples, spec, real)
    assert "4 samples, the first 2 times given" in words(figure)
    assert ticks(figure) == (["given", "given", "3", "4", "5"], ["sample", "test item"] * 4)

    (image,) = figure.axes[0].images
    pixels = torch.as_tensor(image.get_array())[1::4, 1::5] * 16
    expected = torch.stack([x, torch.cat([x[:, :2], real.x[torch.arange(4) % 2]], 1)], 1)
    assert torch.equal(pixels.round(), expected[:, :, :, 0, 0, 0].flatten(0, 1).to(pixels))


def test_clips_of_classes_have_them_as_names():
    spec = DataSpec((5, 1, 3, 4), 0.0, 16.0, 17, classes=3, class_names=("a", "b", "c"))
    figure = grid_of(Items(clips(20), torch.arange(20) % 3), spec)
    assert "8 of 20 samples" in words(figure)
    assert ticks(figure) == (list("12345"), list("abcabcab"))


def test_hidden_frames_are_grey():
    figure = grid_of(
        Items(clips(1)[:, 2:], condition=torch.full((1, 2, 1, 3, 4), torch.nan)), CLIPS
    )
    assert (figure.axes[0].images[0].get_array()[:3, :9] == 0.5).mean() > 0.8


def test_series_are_lines_in_the_unit_of_the_data():
    x = torch.arange(60.0).reshape(3, 10, 2)
    samples, real = Items(x[:, 4:], condition=x[:, :4]), Items(x[:2, 4:] + 100)
    figure = grid_of(samples, LINES, real)
    assert "3 samples, the first 4 times given" in words(figure)
    panels = [axes for axes in figure.axes if axes.lines]
    assert len(panels) == 3
    given, after, drawn_line = panels[1].lines[0], panels[1].lines[2], panels[1].lines[4]
    assert given.get_xdata().tolist() == [0, 1, 2, 3]
    assert given.get_ydata().tolist() == x[1, :4, 0].tolist()
    assert after.get_xdata().tolist() == [4, 5, 6, 7, 8, 9]
    assert after.get_ydata().tolist() == (x[1, 4:, 0] + 100).tolist()
    assert drawn_line.get_ydata().tolist() == x[1, 4:, 0].tolist()


def test_channels_of_different_units_are_drawn_on_scales_of_their_own():
    x = torch.randn(3, 10, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1, 500.0])
    samples = Items(x[:, 4:], condition=x[:, :4])
    figure = grid_of(samples, LINES, Items(x[:, 4:]))
    assert "3 samples, the first 4 times given, channels standardized" in words(figure)
    lines = [axes for axes in figure.axes if axes.lines][1].lines
    flat = x.double().flatten(0, 1)
    scaled = (x.double() - flat.mean(0)) / flat.std(0, correction=0)
    for channel in range(2):
        for line, part in zip(
            lines[channel::2], (slice(4), slice(4, 10), slice(4, 10)), strict=True
        ):
            expected = scaled[1, part, channel].float()
            assert torch.allclose(torch.tensor(line.get_ydata()), expected, atol=1e-5)
