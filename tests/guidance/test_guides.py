"""Guides as values: what is shared by all of them, and guides from outside the package."""

from dataclasses import dataclass, replace

import pytest
import torch
from tests.helpers.paths import PATHS

from allegory import Mixture, Prediction
from allegory.cli.options import SamplerOptions
from allegory.guidance import GUIDES, ClampX0, ClassifierFree, Guide, Guided
from allegory.lookup import Entry, Registry
from allegory.process import as_predict, energy_of
from allegory.process.guide import guide_names, is_consistent
from allegory.sampling import Sampler

PATH = PATHS["cosine-vp"]
ORACLE = Mixture(
    torch.tensor([[1.0], [-1.0]]).double(), 0.3, path=PATH, labels=torch.tensor([0, 1])
)
BARE = [
    entry.value
    for name in GUIDES
    if name != "agree" and (entry := GUIDES.entry(name)).value is not None
]
X, LABELS = torch.randn(4, 1, dtype=torch.float64), torch.tensor([0, 1, 1, 0])


@dataclass(frozen=True)
class Shifted:
    """A guide from outside: x0 moved by a constant, eps changed to match x_t."""

    by: float

    def __call__(self, base):
        return Guided(base, self)

    def predict(self, base, x_t, t, condition):
        prediction = base(x_t, t, condition)
        return Prediction.solve("x0", prediction.x0 + self.by, x_t, prediction.level)


def doubled(base):
    """A guide from outside that is a function."""

    def predict(x_t, t, condition):
        prediction = base(x_t, t, condition)
        return Prediction.solve("x0", 2 * prediction.x0, x_t, prediction.level)

    return as_predict(predict, base.path)


@pytest.mark.parametrize("guide", [*BARE, Shifted(0.5), doubled])
def test_a_guided_predict_is_a_predict_on_the_path_of_its_base(guide):
    assert isinstance(guide, Guide)
    guided = guide(ORACLE)
    prediction = guided(X, 0.4, LABELS)
    assert guided.path is PATH
    assert torch.allclose(prediction.x_t, X, rtol=1e-9, atol=1e-9) == is_consistent(guided)


def test_guides_from_outside_do_what_they_say_and_nest():
    inner, outer = Shifted(0.5)(ORACLE), doubled(Shifted(0.5)(ORACLE))
    x0 = ORACLE(X, 0.4, LABELS).x0
    torch.testing.assert_close(inner(X, 0.4, LABELS).x0, x0 + 0.5, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(outer(X, 0.4, LABELS).x0, 2 * (x0 + 0.5), rtol=1e-9, atol=1e-9)


def test_only_a_guide_with_an_energy_has_one():
    assert hasattr(ClassifierFree(2.0)(ORACLE), "energy")
    assert not hasattr(ClampX0()(ORACLE), "energy") and not hasattr(Shifted(1.0)(ORACLE), "energy")
    with pytest.raises(ValueError, match="no energy"):
        energy_of(ClampX0()(ORACLE), X, 0.4)


@pytest.mark.parametrize("guide", [ClassifierFree(2.0), ClassifierFree(0.0), ClampX0()])
def test_the_learned_variance_is_kept(guide):
    def predict(x_t, t, condition):
        return replace(ORACLE(x_t, t, condition), variance_fraction=torch.full_like(x_t, 0.25))

    guided = guide(as_predict(predict, PATH))(X, 0.4, LABELS)
    assert guided.variance_fraction is not None and (guided.variance_fraction == 0.25).all()


def test_names():
    assert GUIDES.named("cfg:1.5") == ClassifierFree(1.5)
    assert GUIDES.named("clamp") == ClampX0() and GUIDES.named("clamp:2") == ClampX0(-2.0, 2.0)
    for guide in (ClassifierFree(3.0), ClampX0(), ClampX0(-2.0, 2.0)):
        assert GUIDES.named(str(guide)) == guide
    assert all(GUIDES.entry(name).help for name in GUIDES)
    with pytest.raises(ValueError, match="low=1, high=0"):
        ClampX0(1, 0)


@pytest.mark.parametrize("use", ["named", "register"])
def test_a_registry_imports_the_modules_that_fill_it_when_it_is_first_used(use):
    registry = Registry("module", modules=("no_such_module_of_ours",))
    with pytest.raises(ModuleNotFoundError):
        registry.named("one") if use == "named" else registry.register("one", 1, "the first")


def unchanged(predict):
    return predict


def test_a_function_is_a_guide_by_its_registered_name(monkeypatch):
    monkeypatch.setitem(GUIDES._registered, "unchanged", Entry(unchanged, "a function"))
    for guide in ("unchanged", unchanged, ["unchanged"]):
        assert guide_names(guide) == ("unchanged",)
        assert Sampler(guide=guide).to_dict()["guide"] == "unchanged"
    assert guide_names("cfg, unchanged,clamp:2") == ("cfg:2", "unchanged", "clamp:2")
    assert SamplerOptions(guide=("unchanged", "cfg:3")).guide_text() == "unchanged,cfg:3"


def test_commas_in_the_value_of_an_option_do_not_end_a_name(monkeypatch):
    def noted(number, *, text):
        return ClassifierFree(number + len(text))

    entry = Entry(None, "a guide with a text", noted, "w, a number", {"text": "any text"})
    monkeypatch.setitem(GUIDES._registered, "noted", entry)
    found = Sampler(guide="noted:1:text=a, b,cfg:3,noted:0:text=x,clamp").guides
    assert found == (ClassifierFree(5), ClassifierFree(3), ClassifierFree(1), ClampX0())
    with pytest.raises(ValueError, match="unknown guide 'clamped'; did you mean 'clamp'"):
        Sampler(guide="cfg:2,clamped")
