"""The seeded mistakes of the library, and an equation that each must break."""

from allegory.guidance.scale import Scale
from allegory.likelihood import bound, decoder, inference
from allegory.likelihood.importance import log_mean_weight
from allegory.likelihood.inference import Inference, Latent
from allegory.models import as_hierarchy
from allegory.process import bound_terms, kernel, scaling
from allegory.process.betas import Betas
from allegory.process.bound import Bound
from allegory.process.exact import ExactDensity
from allegory.process.kernel import Gaussian
from allegory.process.learned_schedule import LearnedSchedule
from allegory.process.mixture import Mixture
from allegory.process.path import Level
from allegory.process.prediction import Prediction
from allegory.process.schedule import Cosine, LinearLogSNR

VP, SUB_VP, FLOW, VE = (type(scaling.SCALINGS[name]) for name in ("vp", "sub_vp", "flow", "ve"))

MISTAKES = {
    "density, exponent": (Gaussian.log_prob, "(-0.5 * (z * z", "(0.5 * (z * z", 2),
    "density, width": (Gaussian.log_prob, "- std.log()", "+ std.log()", 1),
    "density, gap": (Gaussian.log_prob, "(x - self.mean)", "(x + self.mean)", 30),
    "divergence of Gaussians, constant": (Gaussian.kl, "gap * gap - 1", "gap * gap + 1", 15),
    "divergence of Gaussians, logarithm": (Gaussian.kl, "- ratio.log()", "+ ratio.log()", 86),
    "divergence of Gaussians, means": (
        Gaussian.kl,
        "(self.mean - other.mean)",
        "(self.mean + other.mean)",
        92,
    ),
    "divergence of Gaussians, square": (Gaussian.kl, "+ gap * gap", "- gap * gap", 99),
    "draw": (Gaussian.draw, "(self.std, noise)", "(-self.std, noise)", 61),
    "marginal, mean": (kernel.marginal, "level.alpha * x0", "-level.alpha * x0", 70),
    "transition, mean": (kernel.transition, "t.alpha / s.alpha", "-t.alpha / s.alpha", 31),
    "transition, variance": (
        kernel.added_noise_std,
        "-expm1(t.log_snr_minus(s))",
        "expm1(-t.log_snr_minus(s))",
        85,
    ),
    "posterior, share of noise": (
        kernel.posterior,
        ".log_snr_minus(s) / 2",
        ".log_snr_minus(s) / -2",
        84,
    ),
    "posterior, mean": (kernel.posterior, "s.sigma * shared", "-s.sigma * shared", 93),
    "noising": (Level.mix, "(self.sigma, eps)", "(-self.sigma, eps)", 69),
    "gap of two levels": (Level.log_snr_minus, "- other.precise", "+ other.precise", 31),
    "scales of vp": (
        VP.scales,
        "torch.sigmoid(log_snr).sqrt()",
        "torch.sigmoid(-log_snr).sqrt()",
        70,
    ),
    "scales of sub_vp": (
        SUB_VP.scales,
        "sigma_noisy * signal_to_noise)",
        "-sigma_noisy * signal_to_noise)",
        111,
    ),
    "scales of flow": (
        FLOW.scales,
        "torch.sigmoid(-log_snr / 2)",
        "torch.sigmoid(log_snr / 2)",
        111,
    ),
    "scales of ve": (VE.scales, "torch.exp(-log_snr / 2)", "torch.exp(log_snr / 2)", 160),
    "betas": (Betas.__init__, "torch.log1p(-beta)", "torch.log1p(beta)", 112),
    "linear schedule": (
        LinearLogSNR.forward,
        "self.end - self.start",
        "self.end + self.start",
        113,
    ),
    "slope of a schedule": (
        LinearLogSNR.slope,
        "self.end - self.start",
        "self.start - self.end",
        110,
    ),
    "cosine schedule": (Cosine.forward, "2 * (", "-2 * (", 113),
    "conversion, determinant": (Prediction.terms, "a * b_y - b * a_y", "a * b_y + b * a_y", 84),
    "conversion, solution": (Prediction.terms, "(a * c1 - b * c0)", "(a * c1 + b * c0)", 125),
    "error of a target": (
        Prediction._determinant,
        "- self.level.sigma * a",
        "+ self.level.sigma * a",
        110,
    ),
    "blend of predictions": (Prediction.extrapolate, "theirs.y, weight", "theirs.y, -weight", 170),
    "classifier-free guidance": (
        Scale.predict,
        "extrapolate(end, w)",
        "extrapolate(end, -w)",
        168,
    ),
    "oracle, noise": (
        Mixture._components,
        "self._back(_deeper(level.sigma)",
        "-self._back(_deeper(level.sigma)",
        131,
    ),
    "oracle, data": (
        Mixture._components,
        "self.means + self._back",
        "self.means - self._back",
        131,
    ),
    "oracle, gap": (Mixture._gaps, "x[:, None] - alpha", "x[:, None] + alpha", 152),
    "oracle, density": (Mixture._log_joint, "- 0.5 * quadratic", "+ 0.5 * quadratic", 159),
    "oracle, variance": (Mixture._gaps, "+ sigma * sigma", "- sigma * sigma", 160),
    "oracle, label": (
        ExactDensity._log_weights,
        "condition[:, None] == self.labels",
        "condition[:, None] != self.labels",
        163,
    ),
    "oracle, covariance": (Mixture.covariance, "+ torch.einsum", "- torch.einsum", 148),
    "divergence of a step": (bound_terms.step_loss, "= steps / 2", "= -steps / 2", 110),
    "divergence in continuous time": (bound.diffusion_loss, "-0.5 * torch", "0.5 * torch", 110),
    "learned schedule": (
        LearnedSchedule.forward,
        "torch.lerp(start, end",
        "torch.lerp(end, start",
        111,
    ),
    "slope of a learned schedule": (LearnedSchedule.slope, "(end - start)", "(start - end)", 111),
    "latent, log-ratio": (
        Latent.__dict__["log_ratio"],
        "- self.p.log_prob",
        "+ self.p.log_prob",
        44,
    ),
    "inference, log-weight": (
        Inference.__dict__["log_weight"],
        "self.likelihood - ",
        "self.likelihood + ",
        29,
    ),
    "inference, the top": (inference.infer_bottom_up, "torch.zeros_like(top)", "top", 19),
    "importance-weighted bound": (log_mean_weight, "- math.log", "+ math.log", 27),
    "consistency": (Latent.__dict__["kl"], "self.q.kl(self.p)", "-self.q.kl(self.p)", 45),
    "descent": (
        as_hierarchy.generate_top_down,
        "predict.path.prior_std)",
        "-predict.path.prior_std)",
        58,
    ),
    "density of a decoder": (
        decoder.Continuous.observe,
        "z0 / level.alpha",
        "-z0 / level.alpha",
        44,
    ),
    "likelihood of a decoder": (decoder.Continuous.log_prob, "-0.5 * dims", "0.5 * dims", 58),
    "prior matching": (bound.prior_matching, "return marginal", "return -marginal", 58),
    "total of a bound": (Bound.__dict__["total"], "- self.prior", "+ self.prior", 58),
}
"""name: (function, its text, the text with one sign turned, an equation that then fails)."""
