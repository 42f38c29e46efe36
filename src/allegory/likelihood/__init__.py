"""How probable is this item? In nats, as a Bound."""

from .bound import divergence, over_log_snr, prior_matching, reconstruction, variational_bound
from .decoder import Continuous, Decoder, Discretised

__all__ = [
    "Continuous", "Decoder", "Discretised", "divergence", "over_log_snr", "prior_matching", "reconstruction",
    "variational_bound",
]  # fmt: skip
