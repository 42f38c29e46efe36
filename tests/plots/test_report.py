"""The report is one file that needs nothing else."""

import base64
import math
import re
from html.parser import HTMLParser

import pytest
import torch
from matplotlib.figure import Figure
from tests.helpers.models import toy_digits, untrained

from allegory.data import Dataset, load
from allegory.evaluation import EvaluationConfig, evaluate
from allegory.plots import Section, report, sections
from allegory.plots.report import exponent
from allegory.sampling import Sampler

NASTY = '<script>alert("x")</script> & "quotes"'
VOID = {"meta", "img"}


class Parser(HTMLParser):
    """Every tag with its attributes; wrong nesting is an error."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def page():
    figure = Figure(figsize=(8, 2.5))
    figure.subplots().plot([1, 2])
    rows = [
        (NASTY, 1.23456, 0.0123, "bits/dim"),
        ("speed", 1234.5, None, "items/s"),
        ("sure", 100.0, 0.5, "%"),
    ]
    return report(NASTY, rows, [Section(NASTY, figure, NASTY, NASTY, NASTY)])


def test_nothing_is_fetched_and_nothing_runs():
    parsed = Parser(page())
    sources = [
        value
        for _, attrs in parsed.tags
        for name, value in attrs.items()
        if name in ("src", "href", "srcset")
    ]
    assert sources and all(value.startswith("data:") for value in sources)
    assert "http" not in page() and "@import" not in page() and "url(" not in page()
    assert not {"script", "link", "iframe"} & {tag for tag, _ in parsed.tags}


def test_text_is_escaped_and_comes_back_whole():
    parsed = Parser(page())
    assert parsed.text.count(NASTY) == 6  # title, heading, table, section, caption, how it was made
    (image,) = (attrs for tag, attrs in parsed.tags if tag == "img")
    assert image["alt"] == NASTY


def test_the_picture_is_at_twice_its_size():
    (image,) = (attrs for tag, attrs in Parser(page()).tags if tag == "img")
    png = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
    assert (int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")) == (1600, 500)
    assert (image["width"], image["height"]) == ("800", "250")


def test_numbers_have_the_digits_that_their_error_allows():
    text = re.sub(r"<[^>]+>", " ", page())
    assert "1.235" in text and "± 0.012" in text
    assert "100.00" in text and "± 0.50" in text
    assert "1,234" in text


@pytest.mark.parametrize(("number", "power"), [(0.0123, -2), (1.0, 0), (0.5, -1), (320.0, 2)])
def test_exponent(number, power):
    assert exponent(number) == power == math.floor(math.log10(number))


def test_the_same_report_has_the_same_bytes():
    assert page() == page()


def test_light_and_dark_and_phones():
    assert (
        "prefers-color-scheme: dark" in page()
        and 'name="viewport"' in page()
        and 'lang="en"' in page()
    )


def small_moons() -> Dataset:
    data = load("moons")
    few = (part.take(torch.arange(40)) for part in (data.train, data.validation, data.test))
    return Dataset("moons", data.spec, *few)


@pytest.mark.thorough
@pytest.mark.parametrize("make", [toy_digits, lambda: toy_digits(None), small_moons])
def test_the_sections_of_any_model(make):
    data = make()
    model = untrained(data.spec, conditional=data.spec.classes is not None)
    found = evaluate(model, data, EvaluationConfig(0, 1, 6, sampler=Sampler(steps=2)))
    metrics = [{"step": 20, "images": 2560, "loss": 3.25, "seconds": 2.0}]
    parts = sections(model, data, found, metrics)
    assert [part.title for part in parts][-1] == "Training"
    assert all(part.caption and part.alt and part.made for part in parts)
    text = Parser(report("run", found.rows(), parts)).text
    assert "1280 items/s" in text and "Luo 2022" in text
    assert ("may be negative" in text) == (data.spec.levels is None)


def test_the_trajectory_shows_the_first_samples_of_the_grid():
    data = toy_digits()
    model = untrained(data.spec, conditional=True)
    found = evaluate(model, data, EvaluationConfig(5, 1, 6, sampler=Sampler(steps=2)))
    parts = sections(model, data, found)
    assert "Training" not in [part.title for part in parts]
    axes = parts[1].figure.axes[0]
    page = torch.as_tensor(axes.images[0].get_array())
    for item in range(
        3
    ):  # two rows an item and, with 2 steps, three columns of 2x2 pixels; the last is the sample
        shown = (4 * page[6 * item : 6 * item + 2, 6:8]).round()
        torch.testing.assert_close(shown, found.generated.x[item, 0].to(shown.dtype))
