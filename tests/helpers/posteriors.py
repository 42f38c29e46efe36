"""Mixtures of Gaussians given a linear measurement, in closed form, float64."""

from dataclasses import dataclass

import torch


def normal(*shape, seed):
    """Standard-normal numbers of a seed, float64."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def covariance(dims, seed=3, least=0.05):
    """A full covariance whose eigenvalues are at least `least`."""
    factor = normal(dims, dims, seed=seed) / dims**0.5
    return factor @ factor.T + least * torch.eye(dims, dtype=torch.float64)


@dataclass
class Components:
    """The components of a mixture: means (k, d), covariances (k, d, d), log-weights (k,)."""

    means: torch.Tensor
    covariances: torch.Tensor
    log_weights: torch.Tensor

    def given(self, matrix, y, std):
        """The mixture given y = matrix x + std eps, one y (m,)."""
        m = len(matrix)
        inner = matrix @ self.covariances @ matrix.T + std**2 * torch.eye(m, dtype=torch.float64)
        gain = self.covariances @ matrix.T @ torch.linalg.inv(inner)
        gap = y - self.means @ matrix.T

        density = torch.distributions.MultivariateNormal(torch.zeros_like(gap), inner)
        log_weights = (self.log_weights + density.log_prob(gap)).log_softmax(0)
        means = self.means + (gain @ gap[..., None])[..., 0]
        return Components(means, self.covariances - gain @ matrix @ self.covariances, log_weights)

    @property
    def mean(self):
        """Of the mixture."""
        return self.log_weights.exp() @ self.means

    @property
    def covariance(self):
        """Of the mixture."""
        weights = self.log_weights.exp()
        gap = self.means - self.mean
        within = torch.einsum("k,kde->de", weights, self.covariances)
        return within + torch.einsum("k,kd,ke->de", weights, gap, gap)

    def draw(self, x_t, level, draw):
        """A draw of x0 given x_t = alpha x0 + sigma eps of each item."""
        dims = self.means.shape[1]
        eye = torch.eye(dims, dtype=torch.float64)
        noised = level.alpha**2 * self.covariances + level.sigma**2 * eye
        gain = level.alpha * self.covariances @ torch.linalg.inv(noised)
        gap = x_t[:, None] - level.alpha * self.means

        density = torch.distributions.MultivariateNormal(torch.zeros_like(gap), noised)
        share = (self.log_weights + density.log_prob(gap)).softmax(1).cumsum(1)
        uniform = torch.distributions.Normal(0.0, 1.0).cdf(draw(x_t)[:, :1])
        chosen = (uniform > share).sum(1).clamp_max(len(self.means) - 1)

        means = self.means + torch.einsum("kde,bke->bkd", gain, gap)
        left = self.covariances - level.alpha * gain @ self.covariances
        roots = torch.linalg.cholesky((left + left.mT) / 2)
        items = torch.arange(len(x_t))
        return means[items, chosen] + (roots[chosen] @ draw(x_t)[..., None])[..., 0]


def moment_errors(x, mean, cov):
    """The errors of the mean and of each entry of the covariance of draws x, in standard errors
    (those of a Gaussian for the covariance).
    """
    count = len(x)
    of_mean = (x.mean(0) - mean) / (cov.diagonal() / count).sqrt()
    gap = x - mean
    products = gap[:, :, None] * gap[:, None, :]
    of_cov = (products.mean(0) - cov) / (products.var(0) / count).sqrt()
    return of_mean.abs().max(), of_cov.abs().max()
