"""Other densities of a table, fitted within a budget and chosen by the validation part.

Each takes a `Table` and seconds, and returns log p of the validation and the test rows in nats with
what was chosen. Fitting looks at the training part alone. One thread each; seconds are of processor
time, so that a busy machine takes nothing from a method.
"""

import copy
import math
import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from .table_data import Array, Table

_REGULARIZED = (1e-6, 1e-4, 1e-2)  # added to the diagonal of a covariance
_BANDWIDTHS = tuple(np.geomspace(0.01, 1.0, 25))


@dataclass(frozen=True)
class Fitted:
    """What a fitted density says of held-out rows.

    Args:
        validation: log p in nats, one a row.
        test: the same.
        chosen: settings, and what they cost.
        by: package and version.
    """

    validation: Array
    test: Array
    chosen: dict[str, Any]
    by: str


class Density(Protocol):
    """A method: fits a table within some seconds."""

    def __call__(self, table: Table, seconds: float) -> Fitted: ...


@dataclass(frozen=True)
class SplineFlow:
    """A neural spline flow (Durkan et al. 2019), autoregressive, of zuko.

    Adam with a cosine over the budget; an average of the weights is scored on the validation part
    at each 50th of the budget, and the best one is taken.

    Args:
        whitened: whether it sees the principal components, each of variance 1, or the columns.
        transforms: one after another.
        hidden: units of each hidden layer.
        bins: of a spline on [-5, 5].
        batch: rows of a step.
        rate: the first learning rate.
    """

    whitened: bool
    transforms: int = 3
    hidden: tuple[int, ...] = (128, 128)
    bins: int = 8
    batch: int = 256
    rate: float = 2e-3

    def __call__(self, table: Table, seconds: float) -> Fitted:
        """Train it until the budget is spent."""
        import zuko

        torch.manual_seed(0)
        (train, validation, test), log_det = _tensors(table), 0.0
        if self.whitened:
            variances, axes = np.linalg.eigh(np.cov(table.train.T))
            to = torch.tensor(axes / np.sqrt(variances)).float()
            train, validation, test = (x @ to for x in (train, validation, test))
            log_det = -np.log(variances).sum() / 2

        flow = zuko.flows.NSF(
            train.shape[1],
            transforms=self.transforms,
            hidden_features=self.hidden,
            bins=self.bins,
            randperm=True,
        )
        best, steps, at = self._trained(flow, train, validation, seconds)
        chosen = {
            "transforms": self.transforms,
            "of": "x".join(map(str, self.hidden)),
            "weights": sum(each.numel() for each in flow.parameters()),
            "steps": steps,
            "best at step": at,
        }
        scored = (_log_prob(best, part) + log_det for part in (validation, test))
        return Fitted(*scored, chosen, f"zuko {version('zuko')}")

    def _trained(
        self, flow: nn.Module, train: Tensor, validation: Tensor, seconds: float
    ) -> tuple[nn.Module, int, int]:
        """The best average of the weights, the steps made, and the step it is of."""
        average, best = copy.deepcopy(flow), copy.deepcopy(flow)
        optimizer = torch.optim.AdamW(flow.parameters(), self.rate, weight_decay=1e-4)
        start, step, at, highest, scored = time.process_time(), 0, 0, -math.inf, 0.0

        while (spent := (time.process_time() - start) / seconds) < 1:
            for group in optimizer.param_groups:
                group["lr"] = self.rate * (1 + math.cos(math.pi * spent)) / 2
            x = train[torch.randint(len(train), (self.batch,))]
            optimizer.zero_grad()
            (-flow().log_prob(x).mean()).backward()
            nn.utils.clip_grad_norm_(flow.parameters(), 5.0)
            optimizer.step()
            step += 1
            _average(average, flow, min(0.995, (1 + step) / (10 + step)))

            if spent - scored > 0.02:
                scored, found = spent, _log_prob(average, validation).mean()
                if found > highest:
                    highest, at = found, step
                    best.load_state_dict(average.state_dict())
        return best, step, at


def mixture(table: Table, seconds: float) -> Fitted:
    """A mixture of Gaussians with full covariances, by expectation maximisation.

    The number of components doubles while the budget lasts and one of the last two doublings has
    helped, with each of three numbers added to the variances; near the end with the best of them.
    """
    from sklearn.mixture import GaussianMixture

    start, highest, best = time.process_time(), -math.inf, None
    tried, since, added = 1, 0, _REGULARIZED
    while since < 2 and added:
        began, since = time.process_time(), since + 1
        for each in added:
            model = GaussianMixture(tried, reg_covar=each, max_iter=200, random_state=0)
            found = model.fit(table.train).score(table.validation)
            if found > highest:
                highest, best, since = found, model, 0

        now, most = time.process_time(), tried
        expected, left = 2 * (now - began) / len(added), start + seconds - now
        if len(added) * expected > left:
            added = (best.reg_covar,) if best and expected < left else ()
        tried *= 2

    assert best is not None
    chosen = {
        "components": best.n_components,
        "added to variances": best.reg_covar,
        "most components": most,
    }
    scored = (best.score_samples(part) for part in (table.validation, table.test))
    return Fitted(*scored, chosen, f"scikit-learn {version('scikit-learn')}")


def gaussian(table: Table, seconds: float) -> Fitted:
    """One Gaussian with the covariance of the training part."""
    model = torch.distributions.MultivariateNormal(
        torch.tensor(table.train.mean(0)), torch.tensor(np.cov(table.train.T))
    )
    parts = (table.validation, table.test)
    return Fitted(*(model.log_prob(torch.tensor(x)).numpy() for x in parts), {}, "")


def kernels(table: Table, seconds: float) -> Fitted:
    """A Gaussian kernel on each training row, of one bandwidth on the standardised columns."""
    train, validation, test = _tensors(table)
    tried = [_kernels(train, validation, _BANDWIDTHS).mean(1)]
    chosen = _BANDWIDTHS[int(tried[0].argmax())]
    scored = (_kernels(train, part, (chosen,))[0].numpy() for part in (validation, test))
    return Fitted(*scored, {"bandwidth": float(chosen)}, f"torch {version('torch')}")


def _kernels(train: Tensor, x: Tensor, bandwidths: tuple[float, ...]) -> Tensor:
    """log p by each bandwidth, (bandwidths, n)."""
    n, d = train.shape
    parts = []
    for some in x.split(128):
        squared = torch.cdist(some, train, compute_mode="donot_use_mm_for_euclid_dist").square()
        parts.append(torch.stack([torch.logsumexp(squared / (-2 * h * h), 1) for h in bandwidths]))
    scale = torch.tensor([d * math.log(h) + d / 2 * math.log(2 * math.pi) for h in bandwidths])
    return torch.cat(parts, 1).double() - scale[:, None] - math.log(n)


def _tensors(table: Table) -> list[Tensor]:
    """The three parts."""
    return [torch.tensor(x).float() for x in (table.train, table.validation, table.test)]


def _average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move an average of weights towards those of a model."""
    with torch.no_grad():
        for mean, each in zip(average.parameters(), model.parameters(), strict=True):
            mean.lerp_(each, 1 - decay)


@torch.no_grad()
def _log_prob(flow: nn.Module, x: Tensor) -> Array:
    """log p of rows by a flow."""
    return torch.cat([flow().log_prob(some) for some in x.split(1000)]).double().numpy()
