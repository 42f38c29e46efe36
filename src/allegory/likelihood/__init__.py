"""How probable is this item? In nats, as a Bound."""

from .bound import divergence, over_log_snr, prior_matching, reconstruction, variational_bound
from .decoder import Continuous, Decoder, Discretised
from .discrete import FlowBound, flow_bound
from .flow import FlowLikelihood, FlowSolver, flow_log_prob
from .importance import Weighted, importance, importance_bound
from .inference import Inference, Latent, ascend
from .observation import Bernoulli, Density, Discrete, Levels, LogisticMixture, Observation

__all__ = [
    "Bernoulli", "Continuous", "Decoder", "Density", "Discrete", "Discretised", "FlowBound", "FlowLikelihood",
    "FlowSolver", "Inference", "Latent", "Levels", "LogisticMixture", "Observation", "Weighted", "ascend",
    "divergence", "flow_bound", "flow_log_prob", "importance", "importance_bound", "over_log_snr", "prior_matching",
    "reconstruction", "variational_bound",
]  # fmt: skip
