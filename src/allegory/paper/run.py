"""The sections of the paper in order, and the execution of their checks."""

from __future__ import annotations

from collections.abc import Collection

from ..lookup import pick
from ..progress import OnProgress, silent
from . import (
    autoencoder,
    binomial,
    consistency,
    denoising,
    elbo,
    guiding,
    hierarchy,
    marginal,
    objective,
    posterior,
    score,
    score_matching,
    snr,
)
from .check import Check, Result, Section

LAST = 170
"""The paper numbers its equations from 1 to this."""

SECTIONS: dict[str, Section] = {
    module.SECTION.name: module.SECTION
    for module in (
        elbo, autoencoder, hierarchy, consistency, denoising, marginal,
        posterior, objective, snr, score_matching, score, guiding,
    )
}  # fmt: skip
"""The sections by name, in the paper's order."""

FURTHER: dict[str, Section] = {binomial.SECTION.name: binomial.SECTION}
"""Sections of equations of other papers, by name."""


def checks(numbers: Collection[int] | None = None, section: str | None = None) -> tuple[Check, ...]:
    """The checks of the paper, in the order of the equations, and then those of other papers.

    Args:
        numbers: equations of the paper; all, and those of other papers, by default.
        section: the name of a section; all by default.

    Raises:
        ValueError: for an equation outside 1..170, an unknown section, or a section without one of
            these equations.
    """
    for number in numbers or ():
        if not 1 <= number <= LAST:
            raise ValueError(
                f"equation {number}: the paper's are numbered from 1 to {LAST}; give one of those"
            )

    every = SECTIONS | FURTHER
    parts = [pick("section", section, every)] if section is not None else list(every.values())
    found = [
        check
        for part in parts
        for check in part.checks
        if numbers is None or check.number in numbers
    ]
    missing = sorted(set(numbers or ()) - {check.number for check in found})
    if missing:
        home = next(
            part.name for part in SECTIONS.values() if part.first <= missing[0] <= part.last
        )
        raise ValueError(
            f"section {section!r}: equation {missing[0]} is in {home!r}; give that section, or none"
        )

    return tuple(sorted(found, key=lambda check: check.number or LAST + 1))


def verify(
    numbers: Collection[int] | None = None,
    section: str | None = None,
    on_progress: OnProgress = silent,
) -> tuple[Result, ...]:
    """The results of the checks of these equations: both sides computed and compared.

    Args:
        numbers: equations; all by default.
        section: the name of a section; all by default.
        on_progress: called as on_progress(stage, done, total) after each check.
    """
    chosen = checks(numbers, section)
    results = []
    for check in chosen:
        results.append(check.run())
        on_progress("equations", len(results), len(chosen))
    return tuple(results)
