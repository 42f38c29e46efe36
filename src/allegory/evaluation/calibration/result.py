"""The result of a calibration: its tests, a verdict, and the figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from ...process.bound import Estimate
from ..result import Measure
from .coverage import Coverage
from .draws import PosteriorDraws
from .ranks import RankTest
from .significance import holm
from .stein import SteinTest


@dataclass(frozen=True)
class Finding:
    """One test of a calibration.

    Args:
        name: what was tested.
        p: its p-value.
        adjusted: the p-value, adjusted for the number of tests (Holm 1979).
        says: what a rejection says of the draws, such as "too narrow".
    """

    name: str
    p: float
    adjusted: float
    says: str


@dataclass(frozen=True, eq=False)
class Calibration:
    """How posterior draws of a method compare with the truth, from `calibrate`.

    Args:
        task: what was measured, in words.
        method: the method of the posterior draws.
        chain: how the items were made, in words.
        items: the number of items.
        draws: posterior draws per item.
        seed: the seed.
        level: the probability of rejecting an exact method.
        ranks: the ranks of functions of x and y (Talts et al. 2018).
        tarp: the ranks of the distances from a reference point (Lemos et al. 2023).
        regions: the expected coverage of TARP's regions.
        intervals: the coverage of central 90 % intervals of each number that varies.
        stein: the kernel Stein discrepancy of the draws; None where it was left out.
        chain_stein: that of the prior's own items under its own score; None where it was left out.
        score_counts: whether the score is that of the items, so that its tests are part of the
            verdict: exact draws of an exact density. The samples of a chain with finitely many
            steps have another density than the one whose score the network has learned.
        seconds: time of the posterior draws.
        shown: some items with their draws.
    """

    task: str
    method: str
    chain: str
    items: int
    draws: int
    seed: int
    level: float
    ranks: tuple[RankTest, ...]
    tarp: RankTest
    regions: tuple[Coverage, ...]
    intervals: Coverage
    stein: SteinTest | None
    chain_stein: SteinTest | None
    score_counts: bool
    seconds: float
    shown: PosteriorDraws

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every test that counts, with its p-value adjusted for their number."""
        tests = [(f"ranks of {each.name}", each.p, each.finding) for each in self.ranks]
        tests.append(("TARP", self.tarp.p, f"regions {self.tarp.finding}"))
        low = "too narrow" if self.intervals.mean < self.intervals.level else "too wide"
        tests.append(("90 % intervals", self.intervals.p, low))
        if self.stein is not None and self.score_counts:
            narrow = "too narrow" if self.stein.scale.mean > 0 else "too wide"
            tests.append(("kernel Stein discrepancy", self.stein.p, "another density"))
            tests.append(("scale of the score", self.stein.scale_p, narrow))

        adjusted = holm([p for _, p, _ in tests])
        return tuple(
            Finding(name, p, whole, says)
            for (name, p, says), whole in zip(tests, adjusted, strict=True)
        )

    @property
    def rejections(self) -> tuple[Finding, ...]:
        """The tests that reject the method, the clearest first."""
        found = [each for each in self.findings if each.adjusted <= self.level]
        return tuple(sorted(found, key=lambda each: each.adjusted))

    @property
    def rejected(self) -> bool:
        """Whether any test rejects the method, all of them together with `level`."""
        return bool(self.rejections)

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        if not self.rejected:
            return f"not rejected by {len(self.findings)} tests at level {self.level:g} together"
        named = [f"{each.name} ({each.says}, {_p(each.adjusted)})" for each in self.rejections]
        return f"rejected by {', '.join(named)}"

    @property
    def summary(self) -> str:
        """The result in a few words, for a heading."""
        if not self.rejected:
            return f"{self.method}: not rejected by {len(self.findings)} tests"
        return f"{self.method}: rejected by {len(self.rejections)} of {len(self.findings)} tests"

    def rows(self) -> list[Measure]:
        """The figures in reading order."""
        found = [Measure(f"p, {each.name}", each.p, None, "") for each in self.findings]

        covered = [
            Measure(f"coverage of {100 * each.level:g} % regions (TARP)", *_percent(each), "%")
            for each in self.regions
        ]
        inside = Measure("coverage of 90 % intervals", *_percent(self.intervals), "%")

        score = [
            Measure(name, each.discrepancy, each.error, "")
            for name, each in (
                ("kernel Stein discrepancy, draws", self.stein),
                ("kernel Stein discrepancy, prior's own items", self.chain_stein),
            )
            if each is not None
        ]

        scales = [
            Measure(name, each.scale.mean, each.scale.error, "")
            for name, each in (
                ("scale of the score, draws", self.stein),
                ("scale of the score, prior's own items", self.chain_stein),
            )
            if each is not None
        ]
        return [inside, *covered, *found, *score, *scales]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, with the verdict."""
        values = {name: value for name, value in vars(self).items() if name != "shown"}
        return {name: _plain(value) for name, value in values.items()} | {
            "findings": [asdict(each) for each in self.findings],
            "rejected": self.rejected,
            "verdict": self.verdict,
        }


def _p(value: float) -> str:
    return f"p = {value:.2g}" if value > 1e-99 else "p < 1e-99"


def _percent(found: Coverage | Estimate) -> tuple[float, float]:
    return 100 * found.mean, 100 * found.error


def _plain(value: Any) -> Any:
    """Dataclasses, also inside a tuple, as dicts."""
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
