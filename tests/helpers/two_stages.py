"""Small runs of latent diffusion in two stages."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import torch

from allegory.models.latent import PictureAutoencoderConfig
from allegory.networks import UNetConfig
from allegory.recipes import LatentDiffusionConfig, Run, RunFolder
from allegory.training import TrainingConfig

STEPS = 12


def small(**changes) -> Run:
    model = LatentDiffusionConfig(
        PictureAutoencoderConfig(2, (8, 8)),
        UNetConfig(8, multipliers=(1,), blocks=1, attention=()),
    )
    training = TrainingConfig(steps=STEPS, batch_size=32, log_every=1, ema=0.9)
    return Run("latents", "digits", replace(model, **changes), training)


def interrupt_at(step: int):
    """A callback that interrupts the training at a step."""

    def call(now) -> None:
        if now.step == step and call.armed:
            call.armed = False
            os.kill(os.getpid(), signal.SIGINT)

    call.armed = True
    return call


def weights(folder: Path) -> dict:
    return RunFolder.open(folder).model().state_dict()


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)
