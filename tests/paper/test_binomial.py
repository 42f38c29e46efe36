"""The checks of binomial diffusion: a wrong formula of the library fails those that use it."""

from __future__ import annotations

import math

import pytest
import torch
from tests.paper.mutate import mutate

from allegory.paper import verify
from allegory.paper.binomial_chain import BITS, STATES, BinomialChain, divergence, entropy
from allegory.process.bound import Bound
from allegory.process.discrete import Categorical, TokenTable, bound_terms, path

PRIOR = torch.tensor([5.0, 1, 2, 1, 3, 1, 1, 2], dtype=torch.float64) / 16
BOUND, GAP = "2015 eq. 14", "2015 eq. 13"

MISTAKES = {
    "kernel": (path._step, "t.alpha / s.alpha", "s.alpha / t.alpha", "2015 table App.1"),
    "kernel, noise": (path._step, "- s.noise", "+ s.noise", "2015 table App.1"),
    "marginal": (path.TokenPath.marginal, "level.alpha", "1 - level.alpha", "2015 eq. 3"),
    "posterior": (
        path.TokenPath.posterior,
        "last_axis(s.alpha) * w",
        "last_axis(t.alpha) * w",
        BOUND,
    ),
    "posterior, noise": (
        path.TokenPath.posterior,
        "last_axis(s.noise)",
        "last_axis(t.noise)",
        BOUND,
    ),
    "evidence": (path.TokenPath.evidence, ".log()", ".log() * 2", "2015 app. B.2"),
    "oracle": (TokenTable.__call__, "joint + evidence", "joint - evidence", GAP),
    "divergence": (Categorical.kl, "- other.log_probs", "+ other.log_probs", BOUND),
    "prior": (bound_terms.token_prior_cost, "path.at(1.0)", "path.at(0.5)", BOUND),
    "step": (bound_terms.token_step_loss, "x_t, t), s)", "x_t, t), t)", BOUND),
    "total": (Bound.__dict__["total"], "- self.prior", "+ self.prior", BOUND),
}


def failing() -> set[str]:
    return {result.label for result in verify(section="binomial") if not result.passed}


def test_the_checks_are_those_of_the_section_and_have_no_number() -> None:
    results = verify(section="binomial")
    assert all(result.passed and result.number is None for result in results)
    assert len(results) == 10 and {result.section for result in results} == {"binomial"}
    assert not any(result.section == "binomial" for result in verify([1, 58]))


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_the_library_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    function, text, wrong, label = MISTAKES[name]
    mutate(monkeypatch, function, text, wrong)
    assert label in failing()


@pytest.mark.parametrize("name", ["bound", "log_prob", "gap", "mean_gap", "reverse", "posterior"])
def test_a_mistake_in_the_tables_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = getattr(BinomialChain, name)
    monkeypatch.setattr(BinomialChain, name, lambda self, *t: 0.9 * right(self, *t))
    assert failing()


def test_the_tables_of_a_chain_are_distributions() -> None:
    chain = BinomialChain((0.3, 0.1, 1.0), PRIOR)
    ones = torch.ones(len(STATES), dtype=torch.float64)
    for t in (1, 2, 3):
        torch.testing.assert_close(chain.kernel(t).sum(1), ones)
        torch.testing.assert_close(chain.reverse(t).sum(1), ones)
        torch.testing.assert_close(chain.posterior(t).sum(-1), ones.expand(8, -1))
    torch.testing.assert_close(chain.log_prob().exp().sum(), ones[0])
    uniform = ones / 8
    torch.testing.assert_close(chain.marginals[-1], uniform.expand(8, -1))
    assert float(entropy(uniform)) == pytest.approx(BITS * math.log(2))
    assert float(divergence(PRIOR, uniform)) == pytest.approx(
        BITS * math.log(2) - float(entropy(PRIOR))
    )
