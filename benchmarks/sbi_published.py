"""Published C2ST at 10^5 simulations: (mean, error) of ten observations, each with its source.

`sbi-benchmark/results` at 741183c: main_paper.csv of Lueckmann et al. 2021, and for
gaussian_mixture, which sbibm 1.1.0 corrected, gaussian_mixture_rerun.csv; standard errors are over
the observations. NPE and NLE are of one training for all observations, SNPE one for each. The paper
draws NPE inside the box of a uniform prior, by rejection.

GenSBI's are its model cards (aurelio-amerio/GenSBI-examples, examples/sbi-benchmarks/*/
flow_flux1joint): 50,000 steps of 4,096 on a GPU; "±" is as printed there. Those of its scores
(score_matching_flux1joint) are the best of several configurations, stats/
best_configurations_summary.md at 15d84c6.
"""

from .rows import Row

RESULTS = "Lueckmann et al. 2021, sbi-benchmark/results 741183c"
CARDS = "GenSBI-examples, model card"
BEST = "GenSBI-examples 15d84c6, best configuration"

PUBLISHED: dict[str, dict[str, tuple[float, float | None, str]]] = {
    "two_moons": {
        "NPE": (0.542, 0.008, RESULTS),
        "SNPE": (0.530, 0.008, RESULTS),
        "NLE": (0.668, 0.030, RESULTS),
        "rejection ABC": (0.664, 0.013, RESULTS),
        "GenSBI flow, Simformer": (0.510, 0.013, CARDS + " 2cdaec6"),
        "GenSBI flow, Flux1Joint": (0.503, 0.010, CARDS + " 10bf810"),
        "GenSBI score, Flux1Joint": (0.502, None, BEST),
    },
    "gaussian_linear": {
        "NPE": (0.506, 0.001, RESULTS),
        "SNPE": (0.507, 0.001, RESULTS),
        "NLE": (0.515, 0.003, RESULTS),
        "rejection ABC": (0.802, 0.007, RESULTS),
        "GenSBI flow, Flux1Joint": (0.507, 0.004, CARDS + " 2cdaec6"),
        "GenSBI score, Flux1Joint": (0.501, None, BEST),
    },
    "slcp": {
        "NPE": (0.831, 0.016, RESULTS),
        "SNPE": (0.666, 0.019, RESULTS),
        "NLE": (0.699, 0.022, RESULTS),
        "rejection ABC": (0.961, 0.006, RESULTS),
        "GenSBI flow, Simformer": (0.552, 0.025, CARDS + " 4b1663e"),
        "GenSBI flow, Flux1Joint": (0.549, 0.020, CARDS + " 4b1663e"),
        "GenSBI score, Flux1Joint": (0.534, None, BEST),
    },
    "gaussian_mixture": {
        "NPE": (0.548, 0.006, RESULTS),
        "SNPE": (0.536, 0.006, RESULTS),
        "NLE": (0.690, 0.020, RESULTS),
        "rejection ABC": (0.757, 0.012, RESULTS),
        "GenSBI flow, Flux1Joint": (0.501, 0.004, CARDS + " 85d022e"),
        "GenSBI score, Flux1Joint": (0.501, None, BEST),
    },
    "gaussian_linear_uniform": {
        "NPE": (0.509, 0.002, RESULTS),
        "SNPE": (0.507, 0.002, RESULTS),
        "NLE": (0.506, 0.001, RESULTS),
        "rejection ABC": (0.909, 0.009, RESULTS),
    },
    "bernoulli_glm": {
        "NPE": (0.559, 0.007, RESULTS),
        "SNPE": (0.525, 0.002, RESULTS),
        "NLE": (0.545, 0.005, RESULTS),
        "rejection ABC": (0.941, 0.004, RESULTS),
        "GenSBI flow, Flux1Joint": (0.557, 0.019, CARDS + " 10bf810"),
        "GenSBI score, Flux1Joint": (0.560, None, BEST),
    },
}
"""Of each problem and method."""


def published(problem: str) -> dict[str, Row]:
    """The published rows of a problem, by name."""
    return {
        f"{name}, published": {"C2ST mean": mean, "C2ST error": error, "source": source}
        for name, (mean, error, source) in PUBLISHED[problem].items()
    }
