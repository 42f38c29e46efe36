"""Mutation testing by hand: one formula of the library is changed at a time, and its tests are run.

    python -m tests.mutants [WORD...]      all, or those with a word in name, module or tests

Each mutant is one formula with one mistake, and the tests that have to fail for it. The mistake is
made in a copy of the library; the working tree is not touched. The table that is printed names the
first test that finds each mutant; one that survives is a gap in the tests. This is no part of the
suite: run it before and after tests are changed or removed.
"""

import argparse
import io
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SURVIVED, UNCHECKED = "survived", "unchecked: its tests fail without it"


@dataclass(frozen=True)
class Mutant:
    """A text that occurs once in a module, what replaces it, and the tests that fail then."""

    module: str
    old: str
    new: str
    tests: str

    def make(self, source: Path) -> None:
        """Change the copy of the library in this folder."""
        file = source / "allegory" / self.module
        text = file.read_text()
        count = text.count(self.old)
        if count != 1:
            raise ValueError(f"{self.old!r} is {count} times in {self.module}; mend the table")
        file.write_text(text.replace(self.old, self.new))


_SINGLE = "sampling/test_single_step.py"
_MULTI = "sampling/test_multistep.py sampling/test_single_step.py"
_SDE = "sampling/test_stochastic.py sampling/test_sde.py"
_ORACLE = "process/test_exact.py"
_MCMC = "sampling/mcmc/test_langevin.py"
_SPECTRAL = "inverse/test_spectral.py"
_LINEAR = "inverse/test_linear_gaussian.py"

MUTANTS = {
    # Rows of numbers and tokens
    "rows, weights of known numbers": Mutant(
        "process/rows/mixture.py",
        "quadratic = (gap * weighted).sum(-1)\n        log_weights = self.weights.log() - 0.5",
        "quadratic = (gap * weighted).sum(-1)\n        log_weights = self.weights.log() - 1.0",
        "process/rows/test_mixture.py",
    ),
    "rows, covariance given known numbers": Mutant(
        "process/rows/mixture.py",
        "(s - s @ precision @ s)",
        "(s - 0.5 * s @ precision @ s)",
        "process/rows/test_mixture.py",
    ),
    "rows, noise of the regression": Mutant(
        "process/rows/mixture.py",
        "root = torch.linalg.cholesky(variance + torch.diag_embed(noise.square())[:, None])",
        "root = torch.linalg.cholesky(variance + torch.diag_embed(noise)[:, None])",
        "process/rows/test_mixture.py",
    ),
    "rows, mean of a missing number": Mutant(
        "process/rows/mixture.py",
        "means = torch.where(is_missing[:, None], 0.0, self.means + shift)",
        "means = self.means + shift",
        "process/rows/test_mixture.py",
    ),
    "rows, determinant of noisy components": Mutant(
        "process/rows/mixture.py",
        "quadratic = (gap * scaled + variance.log()).sum(-1)",
        "quadratic = (gap * scaled).sum(-1)",
        "process/rows/test_mixture.py",
    ),
    "rows, means given numbers that are known in all": Mutant(
        "process/rows/mixture.py",
        "offset = self.means - _own(gain, self.means)",
        "offset = self.means",
        "process/rows/test_mixture.py",
    ),
    "rows, weights given numbers that are known in all": Mutant(
        "process/rows/mixture.py",
        "constant = self.weights.log() - 0.5 * each.log_det[0]",
        "constant = self.weights.log()",
        "process/rows/test_mixture.py",
    ),
    "tables, excess of training rows": Mutant(
        "process/rows/fit.py",
        "return other - max(0.0, own - other)",
        "return other",
        "process/rows/test_fit.py",
    ),
    "rows, x0 of the mixture": Mutant(
        "process/rows/mixture.py",
        "x0 = (x - sigma * eps) / level.alpha",
        "x0 = x - sigma * eps",
        "process/rows/test_mixture.py",
    ),
    "tables, width of outliers": Mutant(
        "process/rows/fit.py",
        "covariance = _WIDTH**2 *",
        "covariance = _WIDTH *",
        "process/rows/test_fit.py",
    ),
    "tables, parts of few rows": Mutant(
        "process/rows/fit.py",
        "yield data.take(place != part), data.take(place == part)",
        "yield data, data.take(place == part)",
        "process/rows/test_fit.py",
    ),
    "tables, what a network sees far away": Mutant(
        "models/table/denoiser.py",
        "return _REACH * (x / _REACH).tanh()",
        "return x",
        "models/table/test_table_diffusion.py",
    ),
    "tables, weight of outliers": Mutant(
        "process/rows/fit.py",
        "torch.cat([weights * (1 - _OUTLIERS), weights.new_tensor([_OUTLIERS])])",
        "torch.cat([weights, weights.new_tensor([0.0])])",
        "process/rows/test_fit.py",
    ),
    "columns, tails": Mutant(
        "numerics/column_transforms.py",
        "is_far = (below < _FAR) | (below > 1 - _FAR)",
        "is_far = below < 0",
        "numerics/test_column_transforms.py",
    ),
    "rows, what was computed of other weights": Mutant(
        "process/rows/mixture.py",
        "    mixture._computed = {}\n",
        "    pass\n",
        "process/rows/test_mixture.py",
    ),
    "rows, spread of missing numbers in the fit": Mutant(
        "process/rows/fit.py",
        'xx = xx + torch.einsum("gm,gmde->mde", of_pattern, parts.covariances)',
        'xx = xx + 0 * torch.einsum("gm,gmde->mde", of_pattern, parts.covariances)',
        "process/rows/test_fit.py",
    ),
    "rows, scale of the prior": Mutant(
        "process/rows/fit.py",
        "gap = (x - begin @ means) * there",
        "gap = (x - means.mean(0)) * there",
        "process/rows/test_fit.py",
    ),
    "box of parameters": Mutant(
        "estimator/support.py",
        "np.log1p(2 * _EDGE / (1 - t * t))",
        "np.log1p(_EDGE / (1 - t * t))",
        "estimator/test_posterior.py",
    ),
    "location, residuals": Mutant(
        "models/table/encoding.py",
        "return (x - mean) * (-log_scale).exp(), log_scale",
        "return (x - mean) * log_scale.exp(), log_scale",
        "models/table/test_location.py",
    ),
    "location, volume": Mutant(
        "models/table/encoding.py",
        "slope = self.encoding.transforms(self.residuals)[1] - self.log_scale",
        "slope = self.encoding.transforms(self.residuals)[1]",
        "models/table/test_location.py",
    ),
    "location, decoded": Mutant(
        "models/table/encoding.py",
        "x = mean + log_scale.exp() * x",
        "x = log_scale.exp() * x",
        "models/table/test_location.py",
    ),
    "location, missing given numbers": Mutant(
        "models/table/location.py",
        "torch.where(is_missing, 0.0, x)[:, given]",
        "x[:, given]",
        "models/table/test_location.py",
    ),
    "location, likelihood": Mutant(
        "recipes/table_location.py",
        "0.5 * squared + log_scale",
        "0.5 * squared + 0.5 * log_scale",
        "recipes/test_table_location.py",
    ),
    "location, weights of the least loss": Mutant(
        "recipes/table_location.py",
        "if loss < least:",
        "if True:",
        "recipes/test_table_location.py",
    ),
    "location, criterion in units": Mutant(
        "recipes/table_fitting.py",
        "slope.where(~r.isnan(), 0.0) - log_scale",
        "slope.where(~r.isnan(), 0.0)",
        "recipes/test_table_location.py",
    ),
    "posterior, pairs of several observations": Mutant(
        "estimator/posterior.py",
        "np.repeat(free, self.together, axis=0)",
        "np.tile(free, (self.together, 1))",
        "estimator/test_posterior.py",
    ),
    "posterior, weights by the likelihood": Mutant(
        "estimator/posterior.py",
        "(prior or self.prior).log_prob(theta) + self.log_likelihood(theta, observed)",
        "self.log_likelihood(theta, observed)",
        "estimator/test_posterior.py",
    ),
    "posterior, evidence": Mutant(
        "estimator/weighted.py",
        "np.log(weights.mean())",
        "np.log(weights.sum())",
        "estimator/test_posterior.py",
    ),
    "mixture used alone": Mutant(
        "recipes/table_fitting.py",
        "for part in (dataset.train, dataset.validation) if part]",
        "for part in (dataset.train,) if part]",
        "estimator/test_fitting.py",
    ),
    "rows, strength of the prior": Mutant(
        "process/rows/fit.py",
        "covariances = total / (count + self.strength)[:, None, None]",
        "covariances = total / count.clamp(min=1)[:, None, None]",
        "process/rows/test_fit.py",
    ),
    "rows, time of the tokens": Mutant(
        "process/rows/path.py",
        "self.tokens.at(t * t, like=like.tokens), 2 * t",
        "self.tokens.at(t * t, like=like.tokens), t",
        "likelihood/test_row_bound.py process/rows/test_path.py",
    ),
    "rows, bound of known numbers": Mutant(
        "likelihood/row_bound.py",
        "return all_numbers - each * known.numbers.expand(len(x0), -1).sum(1)",
        "return all_numbers",
        "likelihood/test_row_bound.py",
    ),
    "rows, reconstruction of unknown numbers": Mutant(
        "likelihood/row_bound.py",
        "return -0.5 * unknown.double() * (1 + math.log(2 * math.pi) + 2 * width)",
        "return -0.5 * unknown.double() * (math.log(2 * math.pi) + 2 * width)",
        "likelihood/test_row_bound.py",
    ),
    "rows, last step of samples": Mutant(
        "sampling/rows.py",
        "t, s = (path.at(i / sampler.steps, x_t) for i in (step, step - 1))",
        "t, s = (path.at(i / sampler.steps, x_t) for i in (step, max(1, step - 1)))",
        "sampling/test_rows.py",
    ),
    "rows, known numbers of samples": Mutant(
        "sampling/rows.py",
        "x_t = RowState(torch.where(known.numbers, x.numbers, numbers), tokens)",
        "x_t = RowState(numbers, tokens)",
        "sampling/test_rows.py",
    ),
    "tables, a missing number that is known": Mutant(
        "models/table/encoding.py",
        "clean = torch.where(is_missing & numbers, 0.0, rows.numbers)",
        "clean = rows.numbers",
        "models/table/test_encoding.py",
    ),
    "tables, a known number is there": Mutant(
        "models/table/encoding.py",
        "every[:, places] |= every[:, : self.numbers][:, has_token]",
        "every[:, places] |= False",
        "models/table/test_encoding.py",
    ),
    "tables, volume of the scale": Mutant(
        "models/table/encoding.py",
        "slope = slope - self.encoding.scale.log()",
        "slope = slope + self.encoding.scale.log()",
        "models/table/test_encoding.py",
    ),
    "columns, slope of the transform": Mutant(
        "numerics/column_transforms.py",
        "return z, slope + 0.5 * (z.square() + math.log(2 * math.pi))",
        "return z, slope + 0.5 * z.square()",
        "numerics/test_column_transforms.py",
    ),
    "columns, upper tail of the inverse": Mutant(
        "numerics/column_transforms.py",
        "is_below = torch.where(z < 0, below < log_p, above > log_rest)",
        "is_below = below < log_p",
        "numerics/test_column_transforms.py",
    ),
    # Text and categories
    "bytes of a character": Mutant(
        "data/vocabularies/text.py",
        "counts = [len(each.encode()) for each in self.symbols]",
        "counts = [1 for each in self.symbols]",
        "data/vocabularies/test_text_vocabularies.py",
    ),
    "bytes of a padding level": Mutant(
        "data/vocabularies/text.py",
        "return torch.tensor([1] * _BYTES + [0] * self.padding)",
        "return torch.tensor([1] * _BYTES + [1] * self.padding)",
        "data/vocabularies/test_text_vocabularies.py",
    ),
    "bytes of a token": Mutant(
        "data/vocabularies/tokenizer.py",
        "len(pair.encode()) - len(alone.encode())",
        "len(pair) - len(alone)",
        "data/vocabularies/test_tokenizer.py",
    ),
    "bytes of an added token": Mutant(
        "data/vocabularies/tokenizer.py",
        "torch.tensor([len(token.content.encode()), len(token.content)])",
        "torch.tensor([1, len(token.content)])",
        "data/vocabularies/test_tokenizer.py",
    ),
    "offset of windows": Mutant(
        "data/text.py",
        "first = (stored + offset).clamp(",
        "first = (stored - offset).clamp(0, ",
        "data/test_text.py",
    ),
    "windows of the test set": Mutant(
        "data/text.py",
        "split([count - 2 * held_out, held_out, held_out])",
        "split([held_out, held_out, count - 2 * held_out])",
        "data/test_text.py",
    ),
    "categories by value": Mutant(
        "data/vocabularies/categories.py",
        "values = [other.values[place][level] for level in present.tolist()]",
        "values = [self.values[place][level] for level in present.tolist()]",
        "data/vocabularies/test_categories.py",
    ),
    "levels of a column": Mutant(
        "data/vocabularies/categories.py",
        "return torch.arange(self.levels) < counts[:, None]",
        "return torch.arange(self.levels) <= counts[:, None]",
        "data/vocabularies/test_categories.py",
    ),
    # Tokens
    "tokens: marginal": Mutant(
        "process/discrete/path.py",
        "return last_axis(same) * own + last_axis(replaced) * self.pi.to(x.device)",
        "return last_axis(replaced) * own + last_axis(same) * self.pi.to(x.device)",
        "process/discrete/test_discrete_exact.py",
    ),
    "tokens: likelihood": Mutant(
        "process/discrete/path.py",
        "+ last_axis(replaced) * self.pi.to(y.device)[y][..., None]",
        "+ last_axis(replaced) * self.pi.to(y.device)",
        "process/discrete/test_discrete_exact.py",
    ),
    "tokens: noise of a step": Mutant(
        "process/discrete/path.py",
        "return t.alpha / s.alpha, (t.noise - s.noise) / s.alpha",
        "return t.alpha / s.alpha, t.noise - s.noise",
        "process/discrete/test_discrete_exact.py",
    ),
    "tokens: posterior, signal": Mutant(
        "process/discrete/path.py",
        "+= last_axis(s.alpha) * w",
        "+= last_axis(t.alpha) * w",
        "process/discrete/test_discrete_exact.py",
    ),
    "tokens: posterior, noise": Mutant(
        "process/discrete/path.py",
        "y = last_axis(s.noise) * pi",
        "y = last_axis(t.noise) * pi",
        "process/discrete/test_discrete_exact.py",
    ),
    "tokens: weights of the posterior": Mutant(
        "process/discrete/path.py",
        "torch.where(p > 0, p / q_t,",
        "torch.where(p > 0, p * q_t,",
        "process/discrete/test_discrete_exact.py",
    ),
    "tokens: masked posterior": Mutant(
        "process/discrete/masked.py",
        "stays = last_axis(s.noise / t.noise)",
        "stays = last_axis(s.alpha / t.alpha) - 1",
        "process/discrete/test_discrete_exact.py",
    ),
    "tokens: masked rate": Mutant(
        "process/discrete/masked.py",
        "-level.slope / level.noise * each",
        "-level.slope / level.alpha * each",
        "process/discrete/test_discrete_exact.py",
    ),
    "tokens: uniform rate, sign": Mutant(
        "process/discrete/uniform.py",
        "ratio * (ratio.log() - predicted.log())",
        "ratio * (predicted.log() - ratio.log())",
        "process/discrete/test_discrete_exact.py",
    ),
    "tokens: uniform rate, scale": Mutant(
        "process/discrete/uniform.py",
        "/ level.alpha / self.values * total",
        "/ level.alpha * total",
        "process/discrete/test_discrete_exact.py",
    ),
    "tokens: log-SNR": Mutant(
        "process/discrete/path.py",
        "self.alpha.log() - torch.as_tensor(self.noise).log()",
        "self.alpha.log() + torch.as_tensor(self.noise).log()",
        "process/discrete/test_discrete_exact.py",
    ),
    "tokens: weight of a number of masks": Mutant(
        "process/discrete/bound_terms.py",
        "* x0[0].numel() / moving",
        "* x0[0].numel()",
        "process/discrete/test_discrete_exact.py",
    ),
    "tokens: divergence of a step": Mutant(
        "process/discrete/bound_terms.py",
        "return q.kl(path.posterior(prediction, s))",
        "return path.posterior(prediction, s).kl(q)",
        "process/discrete/test_discrete_exact.py",
    ),
    "tokens: cost of the prior": Mutant(
        "process/discrete/bound_terms.py",
        "path.at(1.0)).kl",
        "path.at(0.5)).kl",
        "process/discrete/test_discrete_exact.py",
    ),
    "tokens: quantile at an edge": Mutant(
        "process/discrete/categorical.py",
        "place, right=True",
        "place, right=False",
        "sampling/test_tokens.py",
    ),
    "tokens: exact prediction": Mutant(
        "process/discrete/exact.py",
        "joint = joint + evidence[:, i]",
        "joint = joint - evidence[:, i]",
        "process/discrete/test_discrete_exact.py",
    ),
    "tokens: clock of a block": Mutant(
        "process/discrete/blocks.py",
        "(self.blocks - 1 - self.index)",
        "(self.blocks - self.index)",
        "models/discrete/test_blocks.py",
    ),
    "tokens: weight of a block": Mutant(
        "process/discrete/blocks.py",
        "* path.block / count",
        "* path.block / (count + 1)",
        "models/discrete/test_blocks.py",
    ),
    "tokens: what a noisy block sees": Mutant(
        "networks/block_transformer.py",
        "torch.cat([other < own, other == own], 1)",
        "torch.cat([other <= own, other == own], 1)",
        "models/discrete/test_blocks.py",
    ),
    "tokens: cost of a grid": Mutant(
        "likelihood/codec/tokens.py",
        "sum((m - after) * cost",
        "sum((m - after - 1) * cost",
        "models/discrete/test_discrete_diffusion.py",
    ),
    "tokens: order of revealing": Mutant(
        "sampling/tokens.py",
        "torch.where(masked, u, torch.inf), masked",
        "torch.where(masked, u, -torch.inf), masked",
        "sampling/test_tokens.py",
    ),
    "tokens: share of a step": Mutant(
        "sampling/tokens.py",
        "(self.count * (1 - self.times[k])).round()",
        "(self.count * (1 - self.times[k])).floor()",
        "sampling/test_tokens.py",
    ),
    "tokens: how many are missing": Mutant(
        "sampling/tokens.py",
        "self.count = counted.flatten(1).sum(1)",
        "self.count = (x >= 0).flatten(1).sum(1)",
        "sampling/test_tokens.py",
    ),
    "tokens: spacing cosine": Mutant(
        "sampling/tokens.py",
        "torch.cos(torch.linspace(0, math.pi / 2,",
        "torch.cos(torch.linspace(0, math.pi / 3,",
        "sampling/test_tokens.py",
    ),
    "tokens: known tokens": Mutant(
        "sampling/tokens.py",
        "x = torch.where(batch.known, batch.x, x)",
        "x = torch.where(batch.known, x, batch.x)",
        "sampling/test_tokens.py",
    ),
    "tokens: noise of a step that is drawn": Mutant(
        "sampling/tokens.py",
        "        u = noise.uniforms().to(x.device)\n        prediction",
        "        u = noise.uniforms().square().to(x.device)\n        prediction",
        "sampling/test_tokens.py",
    ),
    "tokens: guide of a sampler": Mutant(
        "sampling/tokens.py",
        "prediction = guided(x, t, batch.condition)",
        "prediction = predict(x, t, batch.condition)",
        "models/discrete/test_discrete_diffusion.py",
    ),
    "tokens: mean": Mutant(
        "process/discrete/categorical.py",
        "return probs @ torch.arange(probs.shape[-1]",
        "return probs @ torch.arange(1, 1 + probs.shape[-1]",
        "models/discrete/test_discrete_diffusion.py",
    ),
    "tokens: guidance": Mutant(
        "guidance/tokens.py",
        "free.log_probs + self.scale * (given",
        "given.log_probs + self.scale * (given",
        "models/discrete/test_discrete_diffusion.py",
    ),
    "tokens: Bayes' rule of a network": Mutant(
        "models/discrete/denoiser.py",
        "(logits + evidence).log_softmax(-1)",
        "(logits + 2 * evidence.clamp(min=-9)).log_softmax(-1)",
        "models/discrete/test_discrete_diffusion.py",
    ),
    "tokens: latents, divergence": Mutant(
        "models/discrete/steps.py",
        "latents.append(Latent(z, q, p, free=True))",
        "latents.append(Latent(z, p, q, free=True))",
        "models/discrete/test_discrete_diffusion.py",
    ),
    "tokens: sizes of groups": Mutant(
        "likelihood/codec/tokens.py",
        "best[None, :] + sizes * cost[:, None]",
        "best[None, :] + sizes * cost[None, :]",
        "models/discrete/test_discrete_diffusion.py",
    ),
    "tokens: one order": Mutant(
        "likelihood/token_bound.py",
        "        x[rows, at] = token\n",
        "",
        "process/discrete/test_discrete_exact.py",
    ),
    # Measurements
    "centre of a kernel": Mutant(
        "inverse/operators/blur.py",
        "offset = torch.arange(len(kernel)) - len(kernel) // 2",
        "offset = len(kernel) // 2 - torch.arange(len(kernel))",
        "inverse/test_operators.py",
    ),
    "reflection with the edge": Mutant(
        "inverse/operators/blur.py",
        "period = max(2 * side - 2, 1)",
        "period = max(2 * side - 1, 1)",
        "inverse/test_operators.py",
    ),
    "adjoint of a blur": Mutant(
        "inverse/operators/blur.py",
        "[(rows.mT, columns) for rows, columns in self._terms]",
        "[(rows, columns.mT) for rows, columns in self._terms]",
        "inverse/test_operators.py",
    ),
    "adjoint of block means": Mutant(
        "inverse/operators/images.py",
        "return self.pseudo_inverse(y) / self.factor**2",
        "return self.pseudo_inverse(y) / self.factor",
        "inverse/test_operators.py",
    ),
    "Fourier samples without -k": Mutant(
        "inverse/operators/fourier.py",
        'object.__setattr__(self, "known", known | negative)',
        'object.__setattr__(self, "known", known)',
        "inverse/test_operators.py",
    ),
    "pseudo-inverse of a composition as a product": Mutant(
        "inverse/operators/combined.py",
        "return self.inner.row_gram is not None or self.diagonal is not None",
        "return True",
        "inverse/test_operators.py",
    ),
    "fingerprint without the shape": Mutant(
        "inverse/operators/base.py",
        'content.update(f"|{tuple(part.shape)}".encode())',
        'content.update(b"|")',
        "inverse/test_operators.py",
    ),
    "signs of random directions": Mutant(
        "inverse/operators/matrix.py",
        "rows: Tensor = (q * r.diagonal().sign()).mT",
        "rows: Tensor = (q * q[0].sign()).mT",
        "inverse/test_operators.py",
    ),
    "Poisson without the factorial": Mutant(
        "inverse/likelihoods.py",
        "counts * log_rate - rate - (counts + 1).lgamma()",
        "counts * log_rate - rate",
        "inverse/test_likelihoods.py",
    ),
    "Gaussian without its variance": Mutant(
        "inverse/likelihoods.py",
        "(2 * math.pi * variance).log()",
        "math.log(2 * math.pi)",
        "inverse/test_likelihoods.py",
    ),
    "noise of a measurement from the stream of the data": Mutant(
        "inverse/likelihoods.py",
        "eps = Noise(seeds, clean.shape[1:], Stream.MEASUREMENT)",
        "eps = Noise(seeds, clean.shape[1:], Stream.DATA)",
        "inverse/test_likelihoods.py",
    ),
    "far from the range of A": Mutant(
        "inverse/possible.py",
        "is_off = off > _OFF_RANGE * size",
        "is_off = off > size",
        "inverse/test_measurement.py",
    ),
    "raw measurement in model space": Mutant(
        "inverse/measurement.py",
        "y = self.y.double() - self.operator(centre",
        "y = self.y.double() + self.operator(centre",
        "inverse/test_measurement.py",
    ),
    # Data
    "scale of each number, Jacobian": Mutant(
        "data/spec.py",
        "return -self._half.log().sum().item()",
        "return self._half.log().sum().item()",
        "data/test_spec.py",
    ),
    "means of another block": Mutant(
        "numerics/blocks.py",
        "return rows.transpose(-2, -3).flatten(-2)",
        "return rows.flatten(-2)",
        "numerics/test_blocks.py",
    ),
    "clamping without the means": Mutant(
        "numerics/blocks.py",
        "return (blocks + (below + above) / 2).clamp(low, high)",
        "return (blocks + self._missing(blocks)).clamp(low, high)",
        "numerics/test_blocks.py",
    ),
    "remainders the wrong way round": Mutant(
        "numerics/blocks.py",
        "descending=True",
        "descending=False",
        "numerics/test_blocks.py",
    ),
    "agreement with noise": Mutant(
        "conditions/picture.py",
        "return (level == 0).all(1, keepdim=True) | rows[:, :1].isnan()",
        "return (level <= 1).all(1, keepdim=True) | rows[:, :1].isnan()",
        "data/test_low_resolution.py",
    ),
    "means in units of the data": Mutant(
        "conditions/picture.py",
        "return BlockMeans(known, self.blocks).scaled(*self.affine(known))",
        "return BlockMeans(known, self.blocks).scaled(0, 1)",
        "guidance/test_agree.py",
    ),
    "digits of large offsets": Mutant(
        "numerics/precision.py",
        'return (x.cpu() if x.device.type == "mps" else x).double()',
        'return (x.cpu() if x.device.type == "mps" else x).float().double()',
        "data/test_spec.py",
    ),
    "a scaling as a law": Mutant(
        "data/spec_fields.py",
        "    if spec.range_is_law:\n",
        "    if True:\n",
        "data/test_spec.py",
    ),
    "standard deviations of the scaling": Mutant(
        "data/columns.py", "_STDS = 2.0", "_STDS = 1.0", "data/test_arrays.py"
    ),
    "scaling by all items": Mutant(
        "data/arrays.py",
        "*scaling(train, declared.columns), None",
        "*scaling(torch.cat([part.x for part in sets]), declared.columns), None",
        "data/test_arrays.py",
    ),
    "classes by index in other data": Mutant(
        "data/conversion.py",
        "table[present] = spec.class_index(own.class_values(present))",
        "table[present] = present",
        "data/test_as_spec.py",
    ),
    "columns by place in other data": Mutant(
        "data/conversion.py",
        "[own.columns.index(name) for name in spec.columns]",
        "[spec.columns.index(name) for name in spec.columns]",
        "data/test_as_spec.py",
    ),
    "fingerprint without labels": Mutant(
        "data/fingerprint.py",
        "(items.x, items.labels, items.stored,",
        "(items.x, items.stored,",
        "data/test_as_spec.py",
    ),
    "values of classes as indices": Mutant(
        "conditions/labels.py",
        "class_index(flat[~hidden], self.names, self.classes).numpy()",
        "flat[~hidden]",
        "conditions/test_rows.py",
    ),
    "fractions of a histogram": Mutant(
        "plots/marginals.py", "[0] / len(values)", "[0]", "plots/test_figures.py"
    ),
    "text: what follows its end is not read": Mutant(
        "conditions/text_module.py",
        "mask = known[:, None, None]",
        "mask = torch.ones_like(known)[:, None, None]",
        "conditions/test_text.py",
    ),
    "text: mean over its words": Mutant(
        "conditions/text_module.py",
        "(weight * both).sum(1) / weight.sum(1)",
        "(weight * both).mean(1)",
        "conditions/test_text.py",
    ),
    "text by an encoder: mean over its tokens": Mutant(
        "conditions/encoders.py",
        "hidden.float().mean(1)",
        "hidden.float()[:, 0]",
        "conditions/test_encoded_text.py",
    ),
    "text by an encoder: its hash": Mutant(
        "conditions/encoded_text.py",
        "if loaded.hash != self.hash:",
        "if not self.hash:",
        "conditions/test_encoded_text.py",
    ),
    # The forward process
    "drift, sign": Mutant(
        "process/path.py",
        "return q * self.alpha_sigma_dlog_snr / (2",
        "return -q * self.alpha_sigma_dlog_snr / (2",
        "process/test_path.py",
    ),
    "slope of alpha": Mutant(
        "process/path.py",
        "return q * self.alpha_sigma_dlog_snr / 2\n",
        "return q * self.alpha_sigma_dlog_snr\n",
        "process/test_path.py",
    ),
    "slope of sigma": Mutant(
        "process/path.py",
        "return -w * self.alpha_sigma_dlog_snr / 2",
        "return w * self.alpha_sigma_dlog_snr / 2",
        "process/test_path.py",
    ),
    "diffusion, doubled": Mutant(
        "process/path.py",
        "return -self.sigma * self.alpha_sigma_dlog_snr / self.alpha",
        "return -2 * self.sigma * self.alpha_sigma_dlog_snr / self.alpha",
        "process/test_path.py",
    ),
    "slope factor of sub_vp": Mutant(
        "process/scaling.py",
        "return 1 / (2 - sigma), 2 * alpha / (2 - sigma)",
        "return 1 / (2 + sigma), 2 * alpha / (2 + sigma)",
        "process/test_path.py",
    ),
    "inverse of a straight schedule": Mutant(
        "process/schedule.py",
        "return (log_snr - self.start) / (self.end - self.start)",
        "return (log_snr - self.end) / (self.end - self.start)",
        "process/test_schedule.py",
    ),
    "angle of the cosine schedule": Mutant(
        "process/schedule.py",
        "math.atan(math.exp(-log_snr / 2))",
        "math.atan(math.exp(-log_snr))",
        "process/test_schedule.py",
    ),
    "log-SNR of betas": Mutant(
        "process/betas.py",
        "torch.log1p(-beta)",
        "torch.log1p(beta)",
        "process/test_schedule.py",
    ),
    "linear beta, power of the sub-VP": Mutant(
        "process/betas.py",
        "power = 2",
        "power = 1",
        "process/test_known_paths.py",
    ),
    "linear beta, integral": Mutant(
        "process/betas.py",
        "(self.beta_min + rise * s / 2)",
        "(self.beta_min + rise * s)",
        "process/test_known_paths.py",
    ),
    "linear beta, slope": Mutant(
        "process/betas.py",
        "self.power / torch.expm1(integral)",
        "self.power / torch.expm1(-integral)",
        "process/test_known_paths.py",
    ),
    "linear beta, inverse": Mutant(
        "process/betas.py",
        "torch.logaddexp(-log_snr,",
        "torch.logaddexp(log_snr,",
        "process/test_schedule.py",
    ),
    "linear beta, slope at clean data": Mutant(
        "process/betas.py",
        "torch.cosh(integral / 2)",
        "torch.cosh(integral)",
        "process/test_schedule.py",
    ),
    "betas, roots": Mutant(
        "process/betas.py",
        "return cls(roots.square())",
        "return cls(roots)",
        "process/test_known_paths.py",
    ),
    "quadrature, half an interval": Mutant(
        "numerics/quadrature.py",
        "half = (end - start) / 2",
        "half = end - start",
        "numerics/test_quadrature.py",
    ),
    "adams, next step": Mutant(
        "numerics/adams.py",
        "1 / (order.to(step) + 1)",
        "1 / order.to(step)",
        "numerics/test_adams.py",
    ),
    "angle, sign": Mutant(
        "numerics/local_gaussian.py",
        "return self.sign * torch.atan",
        "return torch.atan",
        "numerics/test_local_gaussian.py",
    ),
    "local Gaussian, mean": Mutant(
        "numerics/local_gaussian.py",
        "((variance + u2) / point.u, point.y)",
        "(variance / point.u, point.y)",
        "numerics/test_local_gaussian.py",
    ),
    "draws of a mixture, component": Mutant(
        "process/mixture_kernel.py",
        "torch.searchsorted(cumulative[0], uniform.double(), right=True)",
        "torch.searchsorted(cumulative[0], uniform.double() ** 2, right=True)",
        "process/test_exact.py",
    ),
    "reverse kernel of a mixture, mean": Mutant(
        "process/mixture_kernel.py",
        "s.alpha * added, added * of_s",
        "t.alpha * added, added * of_s",
        "process/test_mixture_kernel.py",
    ),
    "reverse kernel of a mixture, variance": Mutant(
        "process/mixture_kernel.py",
        "s.alpha * added, added * of_s",
        "s.alpha * added, added * of_t",
        "process/test_mixture_kernel.py",
    ),
    "particles, weight of the last step": Mutant(
        "inverse/particle_filter.py",
        "return self._weighted(state.log_psi, new, torch.cat(ratios))",
        "return new if last else self._weighted(state.log_psi, new, torch.cat(ratios))",
        "inverse/test_smc.py",
    ),
    "particles, weight of the proposal": Mutant(
        "inverse/reverse_kernels.py",
        "return self.log_prob(x_s) - self.log_prob(x_s - shift)",
        "return self.log_prob(x_s - shift) - self.log_prob(x_s)",
        "inverse/test_smc.py",
    ),
    "particles, evidence before resampling": Mutant(
        "inverse/particle_filter.py",
        "self._log_evidence += torch.where(chosen, log_mean(self._log_weights), 0.0)",
        "self._log_evidence += log_mean(self._log_weights)",
        "inverse/test_smc.py",
    ),
    "resampling, weights clamped": Mutant(
        "inverse/resampling.py",
        "normalised(log_weights.double()).exp().cumsum(1)",
        "(log_weights.double() - log_weights.amin(1, True)).clamp(max=60).exp().cumsum(1)",
        "inverse/test_resampling.py",
    ),
    "twist, determinant of the covariance": Mutant(
        "inverse/twist_covariance.py",
        "return -0.5 * (quadratic + log_det + norm), solved / std",
        "return -0.5 * (quadratic + norm), solved / std",
        "inverse/test_twists.py",
    ),
    "potential max, product along a trajectory": Mutant(
        "inverse/particle_state.py",
        "log_psi=self.log_psi + running, running=running",
        "log_psi=running, running=running",
        "inverse/test_smc.py",
    ),
    "slope of a learned schedule": Mutant(
        "process/learned_schedule.py",
        "(height * steepness * torch.addcmul",
        "(height * torch.addcmul",
        "process/test_learned_schedule.py",
    ),
    "gradient of a squared loss": Mutant(
        "process/learned_schedule.py",
        "VARIANCE_WEIGHT * 2 * losses.detach()",
        "VARIANCE_WEIGHT * losses.detach()",
        "process/test_learned_schedule.py",
    ),
    "target v, sign": Mutant(
        "process/prediction.py",
        "(-level.sigma, level.alpha)",
        "(level.sigma, level.alpha)",
        "process/test_prediction.py",
    ),
    "target edm, signal": Mutant(
        "process/prediction.py",
        "signal = data_std * level.alpha",
        "signal = level.alpha",
        "process/test_prediction.py",
    ),
    "error of another target": Mutant(
        "process/prediction.py",
        "self._determinant(target_named(target)) / self._determinant(own)",
        "self._determinant(own) / self._determinant(target_named(target))",
        "process/test_prediction.py",
    ),
    "solution for x0": Mutant(
        "process/prediction.py",
        "(c0 * b_y - c1 * a_y) / det",
        "(c0 * b_y + c1 * a_y) / det",
        "process/test_prediction.py",
    ),
    "posterior, shared noise": Mutant(
        "process/kernel.py",
        "log_snr_minus(s) / 2)",
        "log_snr_minus(s))",
        "process/test_kernel.py",
    ),
    "transition, fresh noise": Mutant(
        "process/kernel.py",
        "x_s, added_noise_std(t.sigma, s, t)",
        "x_s, added_noise_std(s.sigma, s, t)",
        "process/test_kernel.py",
    ),
    "variance of a reverse step": Mutant(
        "process/kernel.py",
        "low * ratio**fraction",
        "high * ratio**fraction",
        "likelihood/test_step_variance.py",
    ),
    "bound, variance of a step": Mutant(
        "process/bound_terms.py",
        "(u.expm1() - u)",
        "u.expm1()",
        "likelihood/test_step_variance.py",
    ),
    "other units, ratio": Mutant(
        "process/rescale.py",
        "larger(level.alpha, level.sigma) / larger(other.alpha, other.sigma)",
        "larger(other.alpha, other.sigma) / larger(level.alpha, level.sigma)",
        "process/test_rescale.py",
    ),
    "karras spacing, root": Mutant(
        "process/grid.py",
        "-2 * rho * root.log()",
        "-rho * root.log()",
        "process/test_grid.py",
    ),
    "angle spacing": Mutant(
        "process/grid.py",
        "(turn * angle.tan())",
        "(angle.tan())",
        "process/test_grid.py",
    ),
    "streams of one seed": Mutant(
        "process/noise.py",
        "[int(stream), low, high]",
        "[0, low, high]",
        "sampling/test_driver.py",
    ),
    "oracle, responsibilities": Mutant(
        "process/mixture.py",
        "- 0.5 * quadratic",
        "- quadratic",
        _ORACLE,
    ),
    "oracle, covariance": Mutant(
        "process/mixture.py",
        "(sigma * sigma) * self.variances / variance",
        "sigma * self.variances / variance",
        _ORACLE,
    ),
    "empirical oracle, width": Mutant(
        "process/empirical.py",
        "level.alpha * self.std**2 * gap",
        "level.alpha * self.std * gap",
        _ORACLE,
    ),
    # Deterministic solvers
    "ddim, sigma": Mutant(
        "sampling/single_step.py",
        "return Update(to, x0=to.alpha, eps=to.sigma)\n",
        "return Update(to, x0=to.alpha, eps=to.sigma * to.alpha)\n",
        _SINGLE,
    ),
    "euler, slope of sigma": Mutant(
        "sampling/single_step.py",
        "eps=dt * here.dsigma",
        "eps=-dt * here.dsigma",
        _SINGLE,
    ),
    "heun, half": Mutant(
        "sampling/single_step.py",
        "here.sigma / here.alpha) / 2 ",
        "here.sigma / here.alpha) / 3 ",
        _SINGLE,
    ),
    "midpoint, place": Mutant(
        "sampling/single_step.py",
        "with_stages(at_fractions(1 / 2), _midpoint)",
        "with_stages(at_fractions(1 / 3), _midpoint)",
        _SINGLE,
    ),
    "dpmpp2s, place": Mutant(
        "sampling/single_step.py",
        "with_stages(at_fractions(1 / 2), _dpmpp2s)",
        "with_stages(at_fractions(2 / 5), _dpmpp2s)",
        _SINGLE,
    ),
    "dpmpp3s, second stage": Mutant(
        "sampling/single_step.py",
        "second = 2 * two.alpha",
        "second = 1.5 * two.alpha",
        _SINGLE,
    ),
    "dpmpp3s, last stage": Mutant(
        "sampling/single_step.py",
        "third = 3 / 2 * to.alpha",
        "third = 4 / 3 * to.alpha",
        _SINGLE,
    ),
    "multistep, polynomial": Mutant(
        "sampling/quadrature_rules.py",
        "at[:, None, None] - nodes[:, None, :, None]",
        "at[:, None, None] + nodes[:, None, :, None]",
        _MULTI,
    ),
    "multistep, slope of the time of the v form": Mutant(
        "sampling/flow_forms.py",
        "-0.5 / lam.cosh()",
        "-0.5 / lam.cosh() ** 2",
        _MULTI,
    ),
    "multistep, slope of the time of the flow form": Mutant(
        "sampling/flow_forms.py",
        "-0.25 / (lam / 2).cosh() ** 2",
        "-0.25 / (lam / 2).cosh()",
        _MULTI,
    ),
    "multistep, slope of the v form": Mutant(
        "sampling/flow_forms.py",
        "-level.sigma / level.marginal_std, level.alpha / level.marginal_std",
        "-level.sigma, level.alpha",
        _MULTI,
    ),
    "correction, sign": Mutant(
        "sampling/multistep.py",
        "change = C - pad(",
        "change = C + pad(",
        _MULTI,
    ),
    "step to clean data": Mutant(
        "sampling/quadrature_rules.py",
        "step * step / (2 * before)",
        "step * step / before",
        _MULTI,
    ),
    "plms, weights": Mutant(
        "sampling/pndm_deis.py",
        "(3 / 2, -1 / 2)",
        "(1 / 2, 1 / 2)",
        _MULTI,
    ),
    "dpmpp2m, ratio of steps": Mutant(
        "sampling/dpm_solver.py",
        "change = gain * h / before / 2",
        "change = gain * before / h / 2",
        _MULTI,
    ),
    "unipc, moments": Mutant(
        "sampling/unipc.py",
        "phi * math.factorial(n))",
        "phi * math.factorial(n - 1))",
        _MULTI,
    ),
    "unipc, B of bh1": Mutant(
        "sampling/unipc.py",
        "B = -h if",
        "B = h if",
        _MULTI,
    ),
    "rk4, weights": Mutant(
        "sampling/runge_kutta.py",
        "(1 / 6, 1 / 3, 1 / 3, 1 / 6)",
        "(1 / 3, 1 / 6, 1 / 6, 1 / 3)",
        "sampling/test_runge_kutta.py",
    ),
    "runge-kutta, inverse time of the eps form": Mutant(
        "sampling/flow_forms.py",
        "lambda time: -time.log(),",
        "lambda time: time.log(),",
        "sampling/test_runge_kutta.py",
    ),
    "pilot, weights of items": Mutant(
        "sampling/pilot.py",
        "(1 / error) / (1 / error).sum()",
        "torch.ones_like(error) / len(error)",
        "sampling/test_pilot.py",
    ),
    "pilot, strength of the ridge": Mutant(
        "sampling/pilot.py",
        "gram + strength * eye",
        "gram + 1e6 * strength * eye",
        "sampling/test_pilot.py",
    ),
    "pilot, choice": Mutant(
        "sampling/pilot.py",
        "(math.isnan(errors[i]), errors[i])",
        "(math.isnan(errors[i]), -errors[i])",
        "sampling/test_pilot.py",
    ),
    "grid, turn of the angle by dimension": Mutant(
        "process/grid.py",
        "1.5 * math.exp(math.log(dims)",
        "1.5 * math.exp(math.log(2 * dims)",
        "process/test_grid.py",
    ),
    "auto, rules": Mutant(
        "sampling/auto.py",
        'adams_rule(AUTO_FORM, order, "form_time", implicit=True)',
        'adams_rule(AUTO_FORM, 1, "form_time", implicit=True)',
        _MULTI,
    ),
    "adaptive, share of the data": Mutant(
        "sampling/adaptive.py",
        "c = u * u / (self.data_std**2 + u * u)",
        "c = u / (self.data_std**2 + u * u)",
        "sampling/test_adaptive.py",
    ),
    "adaptive, units of the start": Mutant(
        "sampling/adaptive.py",
        "y = x_T.to(precise(x_T.device)) / alpha",
        "y = x_T.to(precise(x_T.device)) * alpha",
        "sampling/test_adaptive.py",
    ),
    "parallel, levels": Mutant(
        "sampling/parallel.py",
        "times.repeat_interleave(b)",
        "times.repeat(b)",
        "sampling/test_parallel.py",
    ),
    "tuning, scale": Mutant(
        "sampling/learnable_plan.py",
        "(1 + self.state_correction[i])",
        "(1 - self.state_correction[i].detach())",
        "sampling/test_tuning.py",
    ),
    "tuning, gradient of the time": Mutant(
        "sampling/learnable_plan.py",
        "t + (2 * lam - log_snr)",
        "t - (2 * lam - log_snr)",
        "sampling/test_tuning.py",
    ),
    "history, scale of a kept slope": Mutant(
        "sampling/history.py",
        "alpha=q / p, out=slot",
        "alpha=q, out=slot",
        "sampling/test_single_step.py",
    ),
    "history, order of kept slopes": Mutant(
        "sampling/history.py",
        "self._stored[-1 - j]) for j",
        "self._stored[j]) for j",
        "sampling/test_single_step.py sampling/test_stochastic.py sampling/test_driver.py",
    ),
    "slerp": Mutant(
        "sampling/interpolate.py",
        "of_b = torch.where(parallel, weight, (weight * theta).sin() / divisor)",
        "of_b = torch.where(parallel, weight, weight * theta.sin() / divisor)",
        "sampling/test_interpolate.py",
    ),
    # Stochastic solvers
    "ddim, variance left": Mutant(
        "sampling/single_step.py",
        "to.sigma * to.sigma - new * new",
        "to.sigma * to.sigma + new * new",
        _SINGLE,
    ),
    "ddpm, variance": Mutant(
        "sampling/single_step.py",
        "eta * added_noise_std(to.sigma, to, here)",
        "eta * added_noise_std(to.sigma, to, here) ** 2",
        _SINGLE,
    ),
    "ddpm_large, mean": Mutant(
        "sampling/sde.py",
        "shrinkage = exp(here.log_snr_minus(to) / 2)",
        "shrinkage = exp(here.log_snr_minus(to))",
        _SDE,
    ),
    "noise of the reverse SDE": Mutant(
        "sampling/sde_multistep.py",
        "-expm1(2 * (at(to) - at(here)))",
        "-expm1(at(to) - at(here))",
        _SDE,
    ),
    "tau, power": Mutant(
        "sampling/sde_multistep.py",
        "power = tau * tau\n",
        "power = tau\n",
        _SDE,
    ),
    "er_sde, exponent": Mutant(
        "sampling/sde_multistep.py",
        "torch.logaddexp((-0.3 * lam).exp()",
        "torch.logaddexp((-0.4 * lam).exp()",
        _SDE,
    ),
    "sde_dpmpp2m, gain": Mutant(
        "sampling/dpm_solver.py",
        "gain = -math.exp(2 * lam[i + 1]) * math.expm1(-2 * h)",
        "gain = -math.exp(2 * lam[i + 1]) * math.expm1(-h)",
        _SDE,
    ),
    "seeds2, draws": Mutant(
        "sampling/seeds.py",
        "in pairwise(way))[::-1]",
        "in pairwise(way))",
        _SDE,
    ),
    "seeds3, second stage": Mutant(
        "sampling/seeds.py",
        "second = -4 * two.sigma",
        "second = -3 * two.sigma",
        _SDE,
    ),
    "seeds3, last stage": Mutant(
        "sampling/seeds.py",
        "third = -3 * to.sigma",
        "third = -2 * to.sigma",
        _SDE,
    ),
    "euler_maruyama, drift": Mutant(
        "sampling/sde.py",
        "dt * (1 + eta * eta) / 2 * here.diffusion",
        "dt * (1 + eta * eta) * here.diffusion",
        _SDE,
    ),
    "euler_maruyama, linear drift": Mutant(
        "sampling/sde.py",
        "state=1 - dt * here.drift",
        "state=1 + dt * here.drift",
        _SDE,
    ),
    "reverse_diffusion, score": Mutant(
        "sampling/sde.py",
        "pull = (1 + eta * eta) / 2 * b * b / here.sigma",
        "pull = (1 + eta * eta) / 2 * b / here.sigma",
        _SDE,
    ),
    "learned variance, ends": Mutant(
        "sampling/solver.py",
        "math.log(high / low)) * low",
        "math.log(high / low)) * high",
        "sampling/test_learned_variance.py",
    ),
    "churn, largest raise": Mutant(
        "sampling/churn.py",
        "math.sqrt(2) - 1",
        "1.0",
        "sampling/test_stochastic.py",
    ),
    "churn, noise level": Mutant(
        "sampling/churn.py",
        "- 2 * math.log1p(gamma)",
        "- math.log1p(gamma)",
        "sampling/test_stochastic.py",
    ),
    "restart, raise": Mutant(
        "sampling/churn.py",
        "state=to.alpha / here.alpha",
        "state=here.alpha / to.alpha",
        "sampling/test_stochastic.py",
    ),
    "annealed, units": Mutant(
        "sampling/predictor_corrector.py",
        "state=to.alpha / here.alpha",
        "state=here.alpha / to.alpha",
        "sampling/test_predictor_corrector.py",
    ),
    "corrector, noise": Mutant(
        "sampling/mcmc/langevin.py",
        "noise = math.sqrt(2 * c)",
        "noise = math.sqrt(c)",
        "sampling/test_predictor_corrector.py",
    ),
    "langevin, noise": Mutant(
        "sampling/mcmc/langevin.py",
        "noise = math.sqrt(2 * c)",
        "noise = math.sqrt(c)",
        _MCMC,
    ),
    "leapfrog, last half step": Mutant(
        "sampling/mcmc/langevin.py",
        "(h if i + 1 < self.leapfrogs else h / 2)",
        "(h)",
        _MCMC,
    ),
    "metropolis, kinetic energy": Mutant(
        "sampling/mcmc/langevin.py",
        "new_log_p - _kinetic(end) - log_p + _kinetic(momentum)",
        "new_log_p - log_p",
        _MCMC,
    ),
    # Likelihoods
    "bound, finite steps": Mutant(
        "process/bound_terms.py",
        "weight = steps / 2 *",
        "weight = steps *",
        "likelihood/test_bound.py",
    ),
    "bound, continuous time": Mutant(
        "process/bound_terms.py",
        "weight = -0.5 * torch",
        "weight = -0.4 * torch",
        "likelihood/test_bound.py",
    ),
    "bound, spread of times": Mutant(
        "likelihood/bound.py",
        "(torch.floor(times * steps) + 1) / steps",
        "torch.ceil(times * steps + 1) / steps",
        "likelihood/test_bound.py",
    ),
    "decoder of densities": Mutant(
        "likelihood/decoder.py",
        "(1 + math.log(2 * math.pi) + 2 * width)",
        "(math.log(2 * math.pi) + 2 * width)",
        "likelihood/test_bound.py",
    ),
    "decoder of levels": Mutant(
        "likelihood/decoder.py",
        "-0.5 * ((z0[..., None]",
        "-1.0 * ((z0[..., None]",
        "likelihood/test_bound.py",
    ),
    "flow, volume of the units": Mutant(
        "likelihood/flow_ode.py",
        "dims * (solution.growth + math.log(alpha))",
        "dims * (solution.growth - math.log(alpha))",
        "likelihood/test_flow_ode.py",
    ),
    "flow, noise of t = 0": Mutant(
        "likelihood/flow_ode.py",
        "clean = 0.5 * (dims",
        "clean = (dims",
        "likelihood/test_flow_ode.py",
    ),
    "flow, slope of the angle": Mutant(
        "numerics/local_gaussian.py",
        "(self.scale**2 + u * u) / self.scale",
        "(self.scale**2 + u * u)",
        "numerics/test_local_gaussian.py",
    ),
    "local gaussian, rest of the volume": Mutant(
        "numerics/local_gaussian.py",
        "point.c - (u * rate)[:, None]",
        "point.c + (u * rate)[:, None]",
        "likelihood/test_flow_ode.py",
    ),
    "adams, moments": Mutant(
        "numerics/adams.py",
        "1.0 / (power + 1), 0.0)",
        "1.0 / (power + 2), 0.0)",
        "numerics/test_adams.py",
    ),
    "adaptive step, accepted error": Mutant(
        "numerics/adaptive_ode.py",
        "accepted = trial.error <= self.tolerance",
        "accepted = trial.error <= 100 * self.tolerance",
        "likelihood/test_flow_ode.py",
    ),
    "trace, probes": Mutant(
        "numerics/trace.py",
        "torch.where(draw(like) < 0, -1.0, 1.0)",
        "draw(like).abs()",
        "numerics/test_trace.py",
    ),
    "logistic bins": Mutant(
        "likelihood/observation.py",
        "half = 1 / (self.levels - 1)",
        "half = 1 / self.levels",
        "likelihood/test_observation.py",
    ),
    "logistic bins, open end": Mutant(
        "likelihood/observation.py",
        "torch.where(index == self.levels - 1, -softplus(below), inside)",
        "inside",
        "likelihood/test_observation.py",
    ),
    "draw of a level": Mutant(
        "likelihood/observation.py",
        "log_pmf.exp().cumsum(-1) <",
        "log_pmf.exp().cumsum(-1) - log_pmf.exp() <",
        "likelihood/test_observation.py",
    ),
    "draw of a bit": Mutant(
        "likelihood/observation.py",
        "torch.special.ndtr(noise) < torch.sigmoid(self.logits)",
        "torch.special.ndtr(noise) > torch.sigmoid(self.logits)",
        "likelihood/test_observation.py",
    ),
    "flow bound, density of the draw": Mutant(
        "likelihood/dequantized_flow.py",
        "found.log_prob - dequantized.log_q",
        "found.log_prob + dequantized.log_q",
        "likelihood/test_dequantized_flow.py",
    ),
    # Objectives
    "weight of the bound": Mutant(
        "objectives/weights.py",
        "-0.5 * level.dlog_snr * exp(level.log_snr)",
        "-level.dlog_snr * exp(level.log_snr)",
        "objectives/test_denoising.py",
    ),
    "weight min_snr": Mutant(
        "objectives/weights.py",
        ".clamp(max=ceiling)",
        ".clamp(min=ceiling)",
        "objectives/test_denoising.py",
    ),
    "weight p2": Mutant(
        "objectives/weights.py",
        "/ (k + simple_weight(level)) ** gamma",
        "* (k + simple_weight(level)) ** gamma",
        "objectives/test_denoising.py",
    ),
    "weight edm": Mutant(
        "objectives/weights.py",
        "self.data_std**-2",
        "self.data_std**2",
        "objectives/test_denoising.py",
    ),
    "weight sigmoid": Mutant(
        "objectives/weights.py",
        "torch.sigmoid(bias - ",
        "torch.sigmoid(bias + ",
        "objectives/test_denoising.py",
    ),
    "sliced score matching, projection": Mutant(
        "objectives/score.py",
        "return bends + sizes / 2",
        "return bends + sizes",
        "objectives/test_score.py",
    ),
    "weight of a score": Mutant(
        "objectives/score.py",
        "ratio = level.alpha / (level.sigma * level.sigma)",
        "ratio = level.alpha / level.sigma",
        "objectives/test_score.py",
    ),
    "slope of the log kernel": Mutant(
        "objectives/score.py",
        "fall * (eps.square() - 1)",
        "fall * eps.square()",
        "objectives/test_score.py",
    ),
    "contrast, odds": Mutant(
        "objectives/contrastive.py",
        "softplus(-(log_ratio_data + odds))",
        "softplus(-(log_ratio_data - odds))",
        "objectives/test_contrastive.py",
    ),
    "stratified times": Mutant(
        "objectives/draws.py",
        "device=device) / shape[0]) % 1",
        "device=device) / (2 * shape[0])) % 1",
        "objectives/test_denoising.py models/test_diffusion.py",
    ),
    "a draw from the global generator": Mutant(
        "numerics/generators.py",
        "torch.randn(shape, generator=generator,",
        "torch.randn(shape,",
        "test_random_state.py",
    ),
    "rows of the first process for all": Mutant(
        "numerics/generators.py",
        ".narrow(axis, rank * count, count)",
        ".narrow(axis, 0, count)",
        "numerics/test_generators.py models/test_generator.py",
    ),
    "reconstruction in several processes": Mutant(
        "objectives/elbo.py",
        ".sum() * world / count",
        ".sum() / count",
        "models/test_generator.py",
    ),
    "a mask for each process": Mutant(
        "numerics/dropout.py",
        "return draw_rows(draw, x.shape, self.generator)",
        "return draw(x.shape, self.generator)",
        "numerics/test_dropout.py models/test_generator.py",
    ),
    # Guidance
    "classifier, gradient at half the state": Mutant(
        "guidance/tilt.py",
        "value = log_weight(x, level, given)",
        "value = log_weight(x / 2 + x_t.detach() / 4, level, given)",
        "guidance/test_tilt.py",
    ),
    "log-weight, shift of eps": Mutant(
        "guidance/tilt.py",
        "eps = prediction.eps - level.sigma * change",
        "eps = prediction.eps - level.sigma**2 * change",
        "guidance/test_tilt.py",
    ),
    "log-weight, shift of x0": Mutant(
        "guidance/tilt.py",
        "level.sigma * (level.sigma / level.alpha) * change",
        "level.sigma**2 * change",
        "guidance/test_tilt.py",
    ),
    "log-weight at x0, without the Jacobian": Mutant(
        "guidance/tilt.py",
        "found.append(base(x, level, given))",
        "found.append(base(x.detach(), level, given))",
        "guidance/test_tilt.py",
    ),
    "log-weight, energy": Mutant(
        "guidance/tilt.py",
        "return energy - self.scale * self.log_weight",
        "return energy + self.scale * self.log_weight",
        "guidance/test_tilt.py",
    ),
    "classifier guidance, hidden class": Mutant(
        "guidance/classifier.py",
        "return torch.where(hidden, 0.0, chosen)",
        "return chosen",
        "guidance/test_tilt.py",
    ),
    "posterior of the label": Mutant(
        "process/exact.py",
        "return torch.stack(parts, 1) - joint.logsumexp(1, keepdim=True)",
        "return torch.stack(parts, 1)",
        "guidance/test_tilt.py",
    ),
    "classifier, loss at the noised state": Mutant(
        "models/classifier.py",
        "logits = self.logits(noised.x_t, noised.level)",
        "logits = self.logits(noised.x0, noised.level)",
        "models/test_classifier.py",
    ),
    "guidance scale": Mutant(
        "guidance/scale.py",
        "found = start.extrapolate(end, w)",
        "found = start.extrapolate(end, 1 + w)",
        "guidance/test_classifier_free.py",
    ),
    "guidance interval, inside": Mutant(
        "guidance/scale.py",
        "return torch.where(inside, self.w, 1.0)",
        "return torch.where(inside, 1.0, self.w)",
        "guidance/test_evaluations.py",
    ),
    "guidance rescale, blend": Mutant(
        "guidance/scale.py",
        "1 + blend * (factor - 1)",
        "1 + (1 - blend) * (factor - 1)",
        "guidance/test_evaluations.py",
    ),
    "guidance in one batch, order": Mutant(
        "guidance/batched.py",
        "torch.cat([hidden(given[0]) if each is None else each for each in conditions])",
        "torch.cat([hidden(given[0]) if each is None else each for each in conditions[::-1]])",
        "guidance/test_evaluations.py",
    ),
    "projected guidance, eta": Mutant(
        "guidance/apg.py",
        "return difference - (1 - self.eta)",
        "return difference - self.eta",
        "guidance/test_evaluations.py",
    ),
    "projected guidance, norm": Mutant(
        "guidance/apg.py",
        "torch.where(norm > self.norm, self.norm / norm, 1.0)",
        "torch.where(norm > self.norm, norm / self.norm, 1.0)",
        "guidance/test_evaluations.py",
    ),
    "cfgpp, eps": Mutant(
        "guidance/cfgpp.py",
        "Prediction.of(guided.x0, free.eps, free.level)",
        "Prediction.of(guided.x0, guided.eps, free.level)",
        "guidance/test_evaluations.py",
    ),
    "composition, weight": Mutant(
        "guidance/compose_conditions.py",
        "y = torch.add(y, each.y - first.y, alpha=weight)",
        "y = torch.add(y, each.y - first.y, alpha=1 - weight)",
        "guidance/test_evaluations.py",
    ),
    "composition, energy": Mutant(
        "guidance/compose_conditions.py",
        "total = total + weight * (energy - free)",
        "total = total + weight * energy",
        "guidance/test_evaluations.py",
    ),
    "a plan with the state": Mutant(
        "sampling/solver.py",
        "return zero(self.state) and not self.history_weights and not self.store",
        "return not self.history_weights and not self.store",
        "guidance/test_evaluations.py",
    ),
    "product, weights": Mutant(
        "guidance/compose.py",
        "weight * energy_of(term, x_t, t, condition)",
        "energy_of(term, x_t, t, condition)",
        "guidance/test_compose.py",
    ),
    "mixture, responsibilities": Mutant(
        "guidance/compose.py",
        "[:, None] - energies",
        "[:, None] + energies",
        "guidance/test_compose.py",
    ),
    # Calibration
    "ranks without a random place": Mutant(
        "evaluation/calibration/ranks.py",
        "(place * (equal + 1)).floor().long()",
        "0 * equal",
        "evaluation/calibration/test_ranks.py",
    ),
    "ranks of the larger draws": Mutant(
        "evaluation/calibration/ranks.py",
        "below = (draws < truth[:, None]).sum(1)",
        "below = (draws > truth[:, None]).sum(1)",
        "evaluation/calibration/test_ranks.py",
    ),
    "TARP, reference points in other units": Mutant(
        "evaluation/calibration/coverage.py",
        "near = ((truth.flatten(1).double() - r) / unit).norm(dim=1)",
        "near = (truth.flatten(1).double() / unit - r).norm(dim=1)",
        "evaluation/calibration/test_coverage.py",
    ),
    "coverage of whole cells": Mutant(
        "evaluation/calibration/coverage.py",
        "return ((start + 1).clamp(max=high) - start.clamp(min=low)).clamp(min=0)",
        "return ((start + 1 <= high) & (start >= low)).double()",
        "evaluation/calibration/test_coverage.py",
    ),
    "Stein kernel, trace of the mixed derivative": Mutant(
        "evaluation/calibration/stein.py",
        "return first + second - 3 * squared * b**-2.5 / length**4",
        "return first + second - squared * b**-2.5 / length**4",
        "evaluation/calibration/test_stein.py",
    ),
    "Stein discrepancy with its diagonal": Mutant(
        "evaluation/calibration/stein.py",
        "h = h - torch.diag_embed(h.diagonal(dim1=1, dim2=2))",
        "h = h + 0",
        "evaluation/calibration/test_stein.py",
    ),
    "wild bootstrap with one sign for all": Mutant(
        "evaluation/calibration/stein.py",
        "shape = (len(h), count, h.shape[1])",
        "shape = (len(h), count, 1)",
        "evaluation/calibration/test_stein.py",
    ),
    "Holm without the number of tests left": Mutant(
        "evaluation/calibration/significance.py",
        "(len(p) - done) * p[place]",
        "p[place]",
        "evaluation/calibration/test_ranks.py",
    ),
    "the mean without the truth": Mutant(
        "evaluation/calibration/calibrate.py",
        "together = torch.cat([drawn.truth[:, None], drawn.draws], dim=1).flatten(2).double()",
        "together = drawn.draws.flatten(2).double()",
        "evaluation/calibration/test_calibrate.py",
    ),
    "score of the posterior without the measurement": Mutant(
        "evaluation/calibration/score.py",
        "value = value + measurement.log_likelihood(at)",
        "value = value + 0",
        "evaluation/calibration/test_calibrate.py",
    ),
    # Models
    "input of a network": Mutant(
        "models/denoiser.py",
        "signal * signal + level.sigma * level.sigma",
        "signal * signal + level.sigma",
        "models/test_denoiser.py",
    ),
    "energy, gain": Mutant(
        "models/energy.py",
        "u.flatten(1).square().sum(1) / 2",
        "u.flatten(1).square().sum(1)",
        "models/test_energy.py",
    ),
    "hidden labels": Mutant(
        "models/conditional.py",
        "< self.condition_dropout",
        "> self.condition_dropout",
        "models/test_diffusion.py",
    ),
    "hierarchy, order of kernels": Mutant(
        "models/hierarchy.py",
        "for kernel in reversed(self.kernels_down)",
        "for kernel in self.kernels_down",
        "models/test_hierarchy.py models/test_vae.py",
    ),
    "ladder, features": Mutant(
        "models/ladder.py",
        "rung.infer(h, features[i], p)",
        "rung.infer(h, features[0], p)",
        "models/test_ladder.py",
    ),
    "learned variance, share": Mutant(
        "models/learned_variance.py",
        "(v + 1) / 2",
        "v",
        "sampling/test_learned_variance.py",
    ),
    # Measurements: methods with steps of their own
    "replacement, noise of its own for every level": Mutant(
        "inverse/replacement.py",
        "noised = noised + self.to.sigma * operator(loop.draw(x))",
        "noised = noised + self.to.sigma * operator((x - self.to.alpha * x) / self.to.sigma)",
        "inverse/test_replacement.py",
    ),
    "replacement, scale of y": Mutant(
        "inverse/replacement.py",
        "noised = self.to.alpha * self.measurement.y.to(x)",
        "noised = self.measurement.y.to(x)",
        "inverse/test_replacement.py",
    ),
    "RePaint, forward noise": Mutant(
        "inverse/replacement.py",
        "noise = added_noise_std(to.sigma, here, to)",
        "noise = added_noise_std(here.sigma, here, to)",
        "inverse/test_replacement.py",
    ),
    "DDNM, eps of the corrected x0": Mutant(
        "inverse/null_space.py",
        'guided = Prediction.solve("x0", x0, x_t, prediction.level)',
        "guided = Prediction.of(x0, prediction.eps, prediction.level)",
        _SPECTRAL,
    ),
    "DDNM+, noise that the measurement carries": Mutant(
        "inverse/null_space.py",
        "left = (new * new - (scale * carried).square()).clamp_min(0).sqrt()",
        "left = torch.full_like(carried, new)",
        _SPECTRAL,
    ),
    "DDNM+, coefficient of x0": Mutant(
        "inverse/null_space.py",
        "weight = float(s.alpha) - old * float(t.alpha / t.sigma)",
        "weight = float(s.alpha)",
        _SPECTRAL,
    ),
    "DDRM, which is less noisy": Mutant(
        "inverse/ddrm.py",
        "torch.where(alpha * std > sigma, by_noise, by_value)",
        "torch.where(std > sigma, by_noise, by_value)",
        _SPECTRAL,
    ),
    "DDRM, noise of a measured value": Mutant(
        "inverse/ddrm.py",
        "left = (sigma**2 - (self.eta_b * alpha * std).square())",
        "left = (sigma**2 - self.eta_b * (alpha * std).square())",
        _SPECTRAL,
    ),
    "decomposition, variance of a measured value": Mutant(
        "inverse/decomposition.py",
        "variance / divisor.square(), basis",
        "variance / divisor, basis",
        _SPECTRAL,
    ),
    "Gaussian given y, weight of the noise": Mutant(
        "inverse/linear_gaussian.py",
        "weight = (precision * measurement.variance.to(mean))",
        "weight = (precision**0.5 * measurement.variance.to(mean))",
        _LINEAR,
    ),
    "Matheron's rule, noise of y": Mutant(
        "inverse/linear_gaussian.py",
        "noise = measurement.variance.to(mean).sqrt() * draw(y)",
        "noise = torch.zeros_like(y)",
        _LINEAR,
    ),
    "DiffPIR, precision of x0": Mutant(
        "inverse/diffpir.py",
        "self.weight * float(t.alpha / t.sigma) ** 2",
        "self.weight * float(s.alpha / s.sigma) ** 2",
        _LINEAR,
    ),
    "square root, first column": Mutant(
        "numerics/lanczos.py",
        'torch.einsum("bij,bj,bj->bi", vectors, roots, vectors[:, 0])',
        'torch.einsum("bij,bj,bj->bi", vectors, roots, vectors[:, -1])',
        _LINEAR,
    ),
    "DAPS, noise of the level that is reached": Mutant(
        "inverse/daps.py",
        "self.to.mix(x0, loop.draw(x0))",
        "loop.level.mix(x0, loop.draw(x0))",
        "inverse/test_daps.py",
    ),
    "DAPS, variance of data of one width": Mutant(
        "inverse/conditional_draws.py",
        "below = math.hypot(alpha, sigma / self.data_std)",
        "below = math.hypot(alpha, sigma)",
        "inverse/test_daps.py",
    ),
    "DAPS by Tweedie, noise of y": Mutant(
        "inverse/conditional_draws.py",
        "residual = residual - variance.sqrt() * loop.draw(residual)",
        "residual = residual - variance * loop.draw(residual)",
        "inverse/test_daps.py",
    ),
    "split Gibbs, distance of the copies": Mutant(
        "inverse/split_gibbs.py",
        "loop.x, sigma / alpha, loop.draw)",
        "loop.x, sigma, loop.draw)",
        "inverse/test_daps.py",
    ),
}


def first_failure(tests: str, source: Path) -> str:
    """The first test that fails with the library in `source`, or "", by a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        said = io.StringIO()
        with redirect_stdout(said), redirect_stderr(said):
            import pytest

            paths = [f"tests/{name}" for name in tests.split()]
            code = pytest.main(
                [*paths, "-x", "-p", "no:cacheprovider", "-o", f"pythonpath={source} {ROOT}"]
            )
        found = re.search(r"^(?:FAILED|ERROR) (\S+)", said.getvalue(), re.MULTILINE)
        answer = "" if code == 0 else found[1] if found else f"pytest ends with {code}"
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="*", help="part of a name, or of a module or test file; all by default"
    )
    words = parser.parse_args().names
    chosen = {
        name: mutant
        for name, mutant in MUTANTS.items()
        if not words or any(word in f"{name} {mutant.module} {mutant.tests}" for word in words)
    }
    os.chdir(ROOT)
    outcomes = Counter()
    for name, mutant in chosen.items():
        found = outcome(mutant)
        outcomes[found if found in (SURVIVED, UNCHECKED) else "found"] += 1
        print(f"{name:45} {found}", flush=True)
    print(", ".join(f"{count} {found}" for found, count in outcomes.items()))
    return 0 if set(outcomes) <= {"found"} else 1


def outcome(mutant: Mutant) -> str:
    """The first test that finds the mutant, or why there is none."""
    if fails_unchanged(mutant.tests):
        return UNCHECKED
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "src" / "allegory", Path(folder) / "allegory")
        mutant.make(Path(folder))
        return first_failure(mutant.tests, Path(folder)) or SURVIVED


@cache
def fails_unchanged(tests: str) -> bool:
    """Whether these tests fail without any mistake, so that they tell nothing."""
    failure = first_failure(tests, ROOT / "src")
    if failure:
        print(f"fails without any mistake: {failure}", flush=True)
    return bool(failure)


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    sys.exit(main())
