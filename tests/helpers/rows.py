"""Mixtures over rows of numbers and tokens, and their denoisers by Bayes, one row at a time."""

import itertools

import torch
from torch.distributions import MultivariateNormal

from allegory.process import LinearLogSNR, Path
from allegory.process.rows import KnownEntries, RowMixture, RowPath, RowState


def random_mixture(components=3, numbers=3, values=(2, 3), missing=None, seed=0):
    """A mixture without any symmetry; the value 1 of a token of `missing` hides that number."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    root = normal(components, numbers, numbers) / max(1, numbers) ** 0.5
    covariances = root @ root.mT + 0.1 * torch.eye(numbers, dtype=torch.float64)
    probs = torch.zeros(components, len(values), max((*values, 2)), dtype=torch.float64)
    for place, count in enumerate(values):
        probs[:, place, :count] = normal(components, count).softmax(1)

    places = torch.full((numbers,), -1) if missing is None else torch.tensor(missing)
    return RowMixture(
        normal(components).exp(), normal(components, numbers), covariances, probs, places
    )


def path_of(mixture, start=6.0, end=-5.0):
    """A path of rows with log-SNR linear in t."""
    return RowPath(Path(LinearLogSNR(start, end)), mixture.probs.shape[2])


def drawn_rows(mixture, values, count, seed=1):
    """Rows of the mixture, with a standard normal number in the place of a missing one."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.multinomial(mixture.weights, count, replacement=True, generator=generator)
    shape = (count, mixture.means.shape[1])
    z = torch.randn(shape, generator=generator, dtype=torch.float64)
    fill = torch.randn(shape, generator=generator, dtype=torch.float64)
    roots = torch.linalg.cholesky(mixture.covariances)[chosen]
    numbers = mixture.means[chosen] + (roots @ z[..., None])[..., 0]

    tokens = torch.zeros(count, len(values), dtype=torch.int64)
    for place in range(len(values)):
        probs = mixture.probs[chosen, place]
        tokens[:, place] = torch.multinomial(probs, 1, generator=generator)[:, 0]
    return RowState(torch.where(mixture.is_missing(tokens), fill, numbers), tokens)


def nothing_known(rows):
    """No entry."""
    return KnownEntries.none(rows)


def all_rows(values):
    """Every row of tokens, in order."""
    return torch.tensor(list(itertools.product(*map(range, values)))).view(-1, len(values))


def posterior_by_bayes(mixture, numbers, tokens, scales, known):
    """log p(k, what is seen) and E[x0 | k, what is seen] of one row, for each component.

    What is seen are known numbers, alpha x0 + sigma eps of the others, and the tokens that are no
    mask: y = A x0 + noise, with a regression of x0 on y (a known number has A = 1 and no noise).

    Args:
        mixture: the mixture.
        numbers: of the row, noisy but for the known ones.
        tokens: of the row, the mask for a masked one.
        scales: alpha and sigma.
        known: which numbers are known.
    """
    alpha, sigma = scales
    mask = mixture.probs.shape[2]
    is_missing = mixture.is_missing(tokens[None])[0]
    seen, unseen = known.double(), (~known).double()
    a = (seen + alpha * unseen).diag()
    noise = (sigma**2 * unseen).diag()
    logs, means = [], []

    for place in range(len(mixture.weights)):
        mean = torch.where(is_missing, 0.0, mixture.means[place])
        covariance = mixture.covariances[place].clone()
        covariance[is_missing], covariance[:, is_missing] = 0, 0
        covariance = covariance + is_missing.double().diag()

        spread = a @ covariance @ a.T + noise
        gain = covariance @ a.T @ torch.linalg.inv(spread)
        means.append(mean + gain @ (numbers - a @ mean))
        log = mixture.weights[place].log()
        if len(numbers):
            log = log + MultivariateNormal(a @ mean, spread).log_prob(numbers)
        for token, probs in zip(tokens.tolist(), mixture.probs[place], strict=True):
            log = log + (probs[token].log() if token < mask else 0)
        logs.append(log)

    return torch.stack(logs), torch.stack(means)
