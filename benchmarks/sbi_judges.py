r"""Judges of posteriors: a classifier two-sample test (C2ST), and calibration by ranks.

    C2ST     the accuracy of a classifier that tells draws from the reference posterior from draws
             of a method: .5 where it cannot, 1 where it always can     (Lopez-Paz & Oquab 2017)
    ranks    of the truth among draws given its own simulation, over many simulations: of the
             distance from a reference point (TARP, Lemos et al. 2023) and of log p(x | theta)

C2ST is that of sbibm: a perceptron of scikit-learn with two hidden layers of 10 d ReLUs, Adam, five
folds, numbers divided by the standard deviations of the reference. TARP alone accepts a method that
ignores x; the ranks of the likelihood do not.
"""

import numpy as np
from torch import Tensor

from allegory.evaluation.calibration import holm, rank_test, ranks, region_coverage, tarp_ranks

from .rows import Row
from .sbi_priors import Problem

LEVEL = 0.01
"""The probability with which an exact method is rejected, over all tests; `calibrate`'s."""


def c2st(reference: Tensor, draws: Tensor, seed: int = 1) -> float:
    """The accuracy of a classifier on draws that it was not fitted on; .5 is perfect.

    Args:
        reference: draws from the posterior, (n, d).
        draws: those of a method, as many.
        seed: of the folds and of the classifier; sbibm's is 1.
    """
    from sklearn.model_selection import KFold, cross_val_score
    from sklearn.neural_network import MLPClassifier

    mean, std = reference.mean(0), reference.std(0)
    points = np.concatenate([((part - mean) / std).float().numpy() for part in (reference, draws)])
    labels = np.repeat([0.0, 1.0], [len(reference), len(draws)])

    width = 10 * reference.shape[1]
    classifier = MLPClassifier((width, width), max_iter=10_000, random_state=seed)
    folds = KFold(5, shuffle=True, random_state=seed)
    return float(cross_val_score(classifier, points, labels, cv=folds, scoring="accuracy").mean())


def calibration(
    problem: Problem, theta: Tensor, x: Tensor, draws: Tensor, references: Tensor
) -> Row:
    """Coverage of TARP's regions, and whether ranks are uniform.

    Args:
        problem: has the likelihood.
        theta: parameters from the prior, (n, d).
        x: a simulation of each, (n, k).
        draws: of a method given each x, (n, draws, d).
        references: other parameters from the prior, (n, d).
    """
    count = draws.shape[1]
    near = tarp_ranks(theta, draws, references)
    regions = region_coverage(near, count)
    likelihood = ranks(
        problem.log_likelihood(theta, x), problem.log_likelihood(draws, x[:, None]).clamp(min=-1e6)
    )

    tests = {
        "TARP p": rank_test("TARP", near, count).p,
        "likelihood ranks p": rank_test("log-likelihood", likelihood, count).p,
    }
    band = holm([*tests.values(), *(each.p for each in regions)])
    return {
        "coverage": {str(each.level): [each.mean, each.error] for each in regions},
        **tests,
        "inside the band": min(band) > LEVEL,
    }
