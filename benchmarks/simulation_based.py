"""Simulation-based inference: are draws of p(theta | x) those of the reference posterior?

    pip install --no-deps sbibm==1.1.0 --target DIR
    python -m benchmarks simulation_based --sbibm DIR --keep DRAWS     every row
    python -m benchmarks simulation_based --sbibm DIR --problems two_moons --methods allegory
    python -m benchmarks simulation_based --table

Problems, and which of them settings may be chosen by, are those of `benchmarks.sbi_problems`. A
method is fitted to 10^5 simulations once and then draws 10,000 parameters for each of the 10
observations of sbibm. A row has

    C2ST             of each observation against its reference posterior, mean and standard error
    coverage, p      TARP and ranks of the likelihood, of 500 other simulations with 15 draws each;
                     `inside the band`: an exact method is, with probability .99
    log p            nats, of the true parameters of the 10 observations, and of the 500
    outside          the part of the draws outside of the box of a uniform prior; C2ST is of all
    seconds          processor time of fitting, and of one draw for an observation

`allegory` is `DiffusionPosterior(prior, density=DiffusionDensity(minutes=5)).fit(theta, x,
likelihood=False)`, which is given the box of a uniform prior and nothing else of the problem.
`allegory, weighted` learns the likelihood too, each in half of the minutes, of each of the four
points of `slcp` as an independent observation. It resamples a third of its proposals without
replacement, by the weights of `draws(x, by_likelihood=True)`; log p(x) is estimated by 100 draws.
`exact` is the posterior in closed form, where there is one: what the judges say of a perfect
method. `rejection ABC` is the floor.

Draws are written to --keep, and C2ST (on one core 4 seconds to 5 minutes an observation) is filled
in from there, so that a run can be continued. `--no-c2st` leaves it to a later run, and
`--from-draws` gives rows with C2ST alone of draws whose run ended before its calibration.
"""

import argparse
import json
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from .rows import Row, Rows
from .sbi_judges import c2st, calibration
from .sbi_methods import Diffusion, Exact, Posterior, Rejection, Weighted
from .sbi_priors import ExactProblem, generator
from .sbi_problems import PROBLEMS
from .sbi_published import published
from .sbi_reference import Reference

ON_REQUEST = True

ROWS = Rows(Path(__file__).parent / "results" / "simulation_based.json")
METHODS = ("exact", "rejection ABC", "allegory", "allegory, weighted")
HIDDEN = ("C2ST", "coverage", "source")
_PAIRS, _DRAWS = 500, 15
_TRAINING, _PAIR, _REFERENCE, _DRAW = 1, 2, 3, 4  # random streams; those of a seed are apart


@dataclass(frozen=True)
class Task:
    """A method on a problem.

    Args:
        problem: its name.
        method: one of METHODS.
        simulations: that the method sees.
        minutes: of training.
        count: draws for each observation, and as many of the reference.
        seed: of simulations, training and draws.
        folder: of the draws.
        sbibm: the folder of the reference posteriors.
    """

    problem: str
    method: str
    simulations: int
    minutes: float
    count: int
    seed: int
    folder: Path
    sbibm: Path | None

    @property
    def name(self) -> str:
        """Of the row; what differs from the budget of the table is said."""
        told = [self.method]
        told += [f"{self.minutes:g} minutes"] if self.method.startswith("allegory") else []
        told += [f"{self.simulations:,} simulations"] if self.simulations != 10**5 else []
        told += [f"{self.count:,} draws"] if self.count != 10**4 else []
        told += [f"seed {self.seed}"] if self.seed else []
        return ", ".join(told)

    @property
    def file(self) -> Path:
        """Of the draws."""
        return self.folder / f"{self.problem}, {self.name}.safetensors"

    def stream(self, which: int) -> torch.Generator:
        return generator(1000 * self.seed + which)

    def pairs(self, count: int, which: int) -> tuple[Tensor, Tensor]:
        """Parameters from the prior, and a simulation of each."""
        stream, problem = self.stream(which), PROBLEMS[self.problem]
        theta = problem.prior.draw(count, stream)
        return theta, problem.simulate(theta, stream)


def fitted(task: Task) -> Posterior:
    """The method, after it has seen the simulations."""
    problem = PROBLEMS[task.problem]
    if task.method == "exact":
        assert isinstance(problem, ExactProblem)
        return Exact(problem)

    theta, x = task.pairs(task.simulations, _TRAINING)
    if task.method == "rejection ABC":
        return Rejection(problem, theta, x)
    method = Weighted if task.method == "allegory, weighted" else Diffusion
    return method.fit(problem, theta, x, task.minutes, task.seed)


def drawn(task: Task) -> Row:
    """Fit, draw for the observations into a file, and the figures without C2ST."""
    problem, reference = PROBLEMS[task.problem], Reference.read(task.problem, task.sbibm)
    begun = time.process_time()
    posterior = fitted(task)
    fit_seconds = time.process_time() - begun

    begun = time.process_time()
    first = 1000 * task.seed + _DRAW
    draws = torch.stack([posterior.sample(x, task.count, first) for x in reference.x])
    seconds = (time.process_time() - begun) / len(draws)
    task.folder.mkdir(parents=True, exist_ok=True)
    save_file({"draws": draws.float().contiguous()}, task.file)

    theta, x = task.pairs(_PAIRS, _PAIR)
    near = torch.stack([posterior.sample(one, _DRAWS, first + i) for i, one in enumerate(x)])
    others = problem.prior.draw(_PAIRS, task.stream(_REFERENCE))
    true, own = posterior.log_prob(reference.theta, reference.x), posterior.log_prob(theta, x)
    return {
        **calibration(problem, theta, x, near, others),
        "log p of true parameters": true.mean().item(),
        "log p of 500": own.mean().item(),
        "its error": own.std().item() / len(own) ** 0.5,
        "outside": 1 - problem.prior.holds(draws).double().mean().item(),
        "seconds to fit": fit_seconds,
        "seconds to draw": seconds,
    }


def compared(task: Task) -> Row:
    """C2ST of the draws in the file, for each observation."""
    reference = Reference.read(task.problem, task.sbibm)
    rows, found = Rows(task.folder / "c2st.json"), []
    for number, draws in enumerate(load_file(task.file)["draws"].double()):
        true = reference.draws[number, : task.count]
        row = rows.fill(
            f"{task.problem}, {task.name}",
            f"observation {number + 1}",
            lambda true=true, draws=draws: {"C2ST": c2st(true, draws)},
        )
        found.append(row["C2ST"])

    each = torch.tensor(found, dtype=torch.float64)
    error = each.std().item() / len(each) ** 0.5
    return {"C2ST": found, "C2ST mean": each.mean().item(), "C2ST error": error}


def measured(task: Task, with_c2st: bool) -> None:
    """Fill the row of a task, as far as it goes."""
    if task.method == "exact" and not isinstance(PROBLEMS[task.problem], ExactProblem):
        return

    row = ROWS.fill(task.problem, task.name, partial(drawn, task))
    if with_c2st and "C2ST" not in row and task.file.exists():
        ROWS.save(task.problem, task.name, compared(task) | row)


def main() -> None:
    """Measure what is missing, or print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sbibm", type=Path, help="the folder of `pip install --target`")
    parser.add_argument("--keep", type=Path, default=Path("sbi_draws"), help="for the draws")
    parser.add_argument("--problems", nargs="*", choices=list(PROBLEMS), default=list(PROBLEMS))
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS))
    parser.add_argument("--simulations", type=int, default=10**5, help="that a method sees")
    parser.add_argument("--minutes", type=float, default=5.0, help="of training")
    parser.add_argument("--draws", type=int, default=10**4, help="for each observation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-c2st", action="store_true", help="leave C2ST to a later run")
    parser.add_argument("--from-draws", action="store_true", help="C2ST alone, without a fit")
    parser.add_argument("--table", action="store_true", help="print the results in Markdown")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    if not (arguments.table or arguments.json):
        budget = (arguments.simulations, arguments.minutes, arguments.draws, arguments.seed)
        for problem in arguments.problems:
            for name, row in published(problem).items():
                ROWS.fill(problem, name, lambda row=row: row)
            for method in arguments.methods:
                task = Task(problem, method, *budget, arguments.keep, arguments.sbibm)
                if arguments.from_draws and task.file.exists():
                    ROWS.fill(task.problem, task.name, partial(compared, task))
                elif not arguments.from_draws:
                    measured(task, not arguments.no_c2st)
    print(json.dumps(ROWS.read()) if arguments.json else ROWS.table(HIDDEN))


if __name__ == "__main__":
    main()
