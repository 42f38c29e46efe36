"""Likelihoods and bounds of any Predict, in nats per item."""

from ..process.bound_terms import diffusion_loss, prior_matching, reconstruction
from ..process.decoder import Decoder, Observation
from .bound import loss_by_log_snr, variational_bound
from .decoder import Continuous, Discretised
from .dequantized_flow import DequantizedFlow, FlowBound, flow_bound
from .flow_ode import FlowLikelihood, FlowSolver, flow_log_prob, log_prob
from .importance import HasLogWeights, iwae_bound, log_mean_weight
from .inference import Inference, Latent, LatentChain, infer_bottom_up
from .observation import (
    Bernoulli,
    CategoricalObservation,
    Discrete,
    GaussianObservation,
    LogisticMixture,
)

__all__ = [
    "Bernoulli",
    "CategoricalObservation",
    "Continuous",
    "Decoder",
    "DequantizedFlow",
    "Discrete",
    "Discretised",
    "FlowBound",
    "FlowLikelihood",
    "FlowSolver",
    "GaussianObservation",
    "HasLogWeights",
    "Inference",
    "Latent",
    "LatentChain",
    "LogisticMixture",
    "Observation",
    "diffusion_loss",
    "flow_bound",
    "flow_log_prob",
    "infer_bottom_up",
    "iwae_bound",
    "log_mean_weight",
    "log_prob",
    "loss_by_log_snr",
    "prior_matching",
    "reconstruction",
    "variational_bound",
]  # fmt: skip
