"""Classifiers of MNIST that judge samples: of the images, and of their means over blocks."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

BATCH = 256
BINS = 15


def image_network() -> nn.Module:
    """Three convolutions and a hidden layer, for 28x28 pixels."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(64 * 49, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def input_network() -> nn.Module:
    """Two convolutions and a hidden layer, for 7x7 pixels."""
    return nn.Sequential(
        nn.Conv2d(1, 48, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(48, 48, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(48 * 49, 256),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(256, 10),
    )


@dataclass(frozen=True, eq=False)
class Judge:
    """A fitted classifier with a temperature.

    Args:
        network: gives logits of the ten classes.
        temperature: by which they are divided.
    """

    network: nn.Module
    temperature: float = 1.0

    @torch.no_grad()
    def log_probs(self, x: Tensor) -> Tensor:
        """log p(class | x), for x in [0, 255], (n, 10)."""
        logits = torch.cat([self.network(part / 127.5 - 1) for part in x.float().split(1000)])
        return (logits / self.temperature).log_softmax(1)

    def accuracy(self, x: Tensor, labels: Tensor) -> float:
        """The share of items of which the likeliest class is the label."""
        return (self.log_probs(x).argmax(1) == labels).double().mean().item()

    def calibrated(self, x: Tensor, labels: Tensor) -> "Judge":
        """The same with the temperature of least log loss on these items (Guo et al. 2017)."""
        logits = self.log_probs(x) * self.temperature
        losses = {
            temperature: cross_entropy(logits / temperature, labels).item()
            for temperature in torch.logspace(math.log10(0.3), math.log10(5), 400).tolist()
        }
        return Judge(self.network, min(losses, key=losses.__getitem__))


def fitted(network: nn.Module, x: Tensor, labels: Tensor, epochs: int, seed: int = 0) -> Judge:
    """A classifier trained on items in [0, 255], the learning rate falling to 0.

    Args:
        network: with its initial weights.
        x: items.
        labels: their classes.
        epochs: passes over them.
        seed: of their order and of dropout.
    """
    torch.manual_seed(seed)
    steps = epochs * math.ceil(len(x) / BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(epochs):
        for index in torch.randperm(len(x)).split(BATCH):
            loss = cross_entropy(network(x[index].float() / 127.5 - 1), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return Judge(network.eval())


def calibration(log_probs: Tensor, labels: Tensor) -> dict[str, float]:
    """Accuracy, log loss in nats and expected calibration error (15 bins of equal width)."""
    confidence, guess = log_probs.exp().max(1)
    right = (guess == labels).double()
    place = (confidence * BINS).long().clamp(max=BINS - 1)
    error = 0.0
    for each in place.unique():
        own = place == each
        gap = (right[own].mean() - confidence[own].double().mean()).abs().item()
        error += own.double().mean().item() * gap
    loss = -log_probs.gather(1, labels[:, None]).mean().item()
    return {"accuracy": right.mean().item(), "log_loss": loss, "ece": error}
