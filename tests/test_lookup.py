"""Names with a number and options: what they make, and what is refused."""

import pytest

from allegory.lookup import Registry, option_number


def _box(width, height="1", *, lid):
    """A box as plain values."""
    return width, option_number("height", height, "how high it is"), lid


@pytest.fixture
def boxes():
    registry = Registry("box")
    registry.register("cube", (1.0, 1.0, "none"), "a cube")
    registry.register(
        "box",
        None,
        "a box",
        make=_box,
        parameter="w, its width",
        options={"height": "how high it is", "lid": "what covers it"},
    )
    return registry


def test_options_reach_the_object_as_text(boxes):
    assert boxes.named("box:2:lid=oak, 3 parts=a") == (2.0, 1.0, "oak, 3 parts=a")
    assert boxes.named("box:-1e3:height=.5:lid=a/b") == (-1000.0, 0.5, "a/b")


@pytest.mark.parametrize(
    "text, message",
    [
        ("box:2", "lid is missing; write box:w:lid=... with lid, what covers it"),
        ("box", "'box' alone is not enough; write box:w:lid=..."),
        ("box:x:lid=a", "after 'box:' comes w, its width"),
        ("box:1e9:lid=a", "too large for float32"),
        ("box:2:lit=a", "did you mean 'lid'"),
        ("box:2:lid", "option 'lid': give lid=VALUE, what covers it"),
        ("box:2:lid=", "option 'lid=': give lid=VALUE"),
        ("box:2:lid=a:lid=b", "given twice"),
        ("box:2:lid=a:height=nan", "height=nan: give how high it is, a finite number"),
        ("cube:2", "no number follows 'cube'"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_remedy(boxes, text, message):
    with pytest.raises(ValueError) as caught:
        boxes.named(text)
    assert message in str(caught.value) and repr(text) in str(caught.value)


def test_a_name_that_needs_an_option_is_in_the_table(boxes):
    assert "box" in boxes and "bxo" not in boxes


def test_a_value_may_hold_a_colon(boxes):
    assert boxes.named("box:2:lid=C:/oak: red:height=3") == (2.0, 3.0, "C:/oak: red")


def test_a_number_that_is_too_large_is_said_to_be(boxes):
    with pytest.raises(ValueError, match="is too large for float32"):
        boxes.named("box:2e6:lid=oak")


def test_the_table_holds_the_options(boxes):
    assert boxes.markdown().splitlines()[-1] == (
        "| `box:w:lid=...` | a box; `height`: how high it is; `lid`: what covers it |"
    )
