"""Which digits inpainted images show, beside the exact posterior of the training images."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from allegory.data import Items
from allegory.evaluation import energy_score
from allegory.inverse import Measurement
from allegory.process import Empirical

from .image_problems import DRAWS, TEST_SEED, Bench, Problem


@dataclass(frozen=True, eq=False)
class Reference:
    """The exact posterior of the empirical distribution of training images.

    Args:
        weights: of each training image, for each measurement, (n, images).
        images: raw.
        labels: their digits.
    """

    weights: Tensor
    images: Tensor
    labels: Tensor

    @classmethod
    def of(cls, measurement: Measurement, items: Items) -> "Reference":
        """The posterior given each measurement, from its definition."""
        clean = measurement.operator(items.x.double()).flatten(1)
        squared = torch.cdist(measurement.y.flatten(1), clean).square()
        assert items.labels is not None
        return cls((-squared / (2 * measurement.variance)).softmax(1), items.x, items.labels)

    @property
    def by_digit(self) -> Tensor:
        """The weight of each digit, (n, 10)."""
        return torch.stack([self.weights[:, self.labels == k].sum(1) for k in range(10)], 1)

    def draws(self) -> Tensor:
        """Exact draws, (n, 8, *shape)."""
        generator = torch.Generator().manual_seed(TEST_SEED)
        chosen = torch.multinomial(self.weights, DRAWS, replacement=True, generator=generator)
        return self.images[chosen]


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels that draws of inpainted digits show, against those of the reference.

    Args:
        bench: the model and its images.
        items: the images that were measured.
        measurement: of each.
        reference: the exact posterior of the training images.
        digit_of: the digit that each image shows.
    """

    bench: Bench
    items: Items
    measurement: Measurement
    reference: Reference
    digit_of: Callable[[Tensor], Tensor]

    @classmethod
    def of(cls, bench: Bench, problem: Problem, digit_of: Callable[[Tensor], Tensor]) -> "Labels":
        """Those of a problem on the test images."""
        items = bench.items("test")
        measurement = bench.measured(problem, items, TEST_SEED)
        reference = Reference.of(measurement, bench.dataset.train)
        return cls(bench, items, measurement, reference, digit_of)

    @property
    def true(self) -> Tensor:
        """The labels of the images."""
        assert self.items.labels is not None
        return self.items.labels

    def expected(self) -> dict[str, float]:
        """`same`, `match` and `true` of the reference, from its weights."""
        exact = self.reference.by_digit
        same = exact.square().sum(1).mean().item()
        true = exact.gather(1, self.true[:, None]).mean().item()
        return {"same": same, "match": same, "true": true}

    def of_method(self, name: str, setting: str, exact: bool = False) -> dict[str, Any]:
        """Those of draws of a method: of the network, or of the exact denoiser."""
        bench = self.bench
        oracle = None
        if exact:
            images = bench.dataset.spec.encode(bench.dataset.train.x)
            oracle = Empirical(images, bench.model.denoiser.path)
        x = bench.draws(self.measurement, name, setting, TEST_SEED, oracle)
        return self.of_draws(x) | {"setting": setting}

    def of_draws(self, x: Tensor) -> dict[str, float]:
        """Those of draws, (n, 8, *shape), and their energy score."""
        shown = self.digit_of(x.flatten(0, 1)).reshape(x.shape[:2])
        votes = torch.stack([(shown == k).sum(1) for k in range(10)], 1).double()
        pairs = (votes * (votes - 1)).sum(1) / (DRAWS * (DRAWS - 1))
        match = self.reference.by_digit.gather(1, shown).mean(1)
        return {
            "same": pairs.mean().item(),
            "match": match.mean().item(),
            "match error": match.std().item() / len(x) ** 0.5,
            "true": (shown == self.true[:, None]).double().mean().item(),
            "energy score": energy_score(x, self.items.x).mean().item() / self.bench.half,
        }
