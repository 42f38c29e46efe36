"""How probable is this item? In nats, as a Bound."""

from .bound import divergence, over_log_snr, prior_matching, reconstruction, variational_bound
from .decoder import Continuous, Decoder, Discretised
from .importance import Weighted, importance, importance_bound
from .inference import Inference, Latent, ascend
from .observation import Bernoulli, Density, Discrete, Levels, LogisticMixture, Observation

__all__ = [
    "Bernoulli", "Continuous", "Decoder", "Density", "Discrete", "Discretised", "Inference", "Latent", "Levels",
    "LogisticMixture", "Observation", "Weighted", "ascend", "divergence", "importance", "importance_bound",
    "over_log_snr", "prior_matching", "reconstruction", "variational_bound",
]  # fmt: skip
