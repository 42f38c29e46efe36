"""Calibration of posterior samplers: which methods are rejected, on a mixture and on a model.

    python -m benchmarks calibration             the mixture, whose posterior is known
    python -m benchmarks calibration --run RUN   and a trained model of digits, with several tasks

On the mixture "exact" draws from the posterior in closed form; items of the model are those of its
own ancestral chain. Writes benchmarks/results/calibration.json.
"""

import torch

from allegory.inverse.measurement import Measurement
from allegory.process import Mixture
from allegory.process.noise import Noise, Stream


class ExactPosterior:
    """p(x0 | y) of a mixture given a matrix measurement with Gaussian noise: a mixture again.

    Component k has the covariance S_k = (C_k^-1 + A^T A / std^2)^-1, the mean S_k (C_k^-1 m_k +
    A^T y / std^2), and the weight w_k N(y; A m_k, A C_k A^T + std^2 I).
    """

    def __init__(self, mixture: Mixture, matrix: torch.Tensor, std: float) -> None:
        self.log_weights, self.means = mixture.log_weights, mixture.means
        axes = torch.eye(matrix.shape[1], dtype=matrix.dtype) if mixture.axes is None else None
        basis = mixture.axes if axes is None else axes.expand(len(self.means), -1, -1)
        self.covariances = basis @ torch.diag_embed(mixture.variances) @ basis.mT
        self.matrix, self.std = matrix, std

    def __str__(self) -> str:
        return "exact"

    def __call__(self, measurement: Measurement, seeds: range) -> torch.Tensor:
        """One draw per measurement."""
        A, C, y = self.matrix, self.covariances, measurement.y.to(self.matrix)
        seen = A @ C @ A.mT + self.std**2 * torch.eye(len(A), dtype=A.dtype)
        gap = y[:, None] - self.means @ A.mT  # (b, k, m)
        inverse = torch.linalg.inv(seen)
        quadratic = torch.einsum("bkm,kmn,bkn->bk", gap, inverse, gap)
        weights = (self.log_weights - 0.5 * (quadratic + torch.logdet(seen))).softmax(1)

        noise = Noise(seeds, self.means.shape[1:], Stream.DATA)
        chosen = (weights.cumsum(1) < noise.uniform()[:, None]).sum(1).clamp(max=len(C) - 1)
        gain = C @ A.mT @ inverse  # (k, d, m)
        mean = self.means[None] + torch.einsum("kdm,bkm->bkd", gain, gap)
        root = torch.linalg.cholesky(C - gain @ A @ C)
        rows = torch.arange(len(y))
        spread = torch.einsum("bde,be->bd", root[chosen], noise.draw(mean[:, 0]))
        return mean[rows, chosen] + spread
