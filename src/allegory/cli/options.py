"""Checks that several commands share."""

from __future__ import annotations

_OF_DIFFUSION = ("steps", "solver", "guidance", "label", "scaling")


def refuse_diffusion(command: object) -> None:
    """ValueError for an option that says how a diffusion model is sampled."""
    for name in _OF_DIFFUSION:
        value = getattr(command, name, None)
        if value is not None:
            raise ValueError(
                f"--{name} {value}: this run is no diffusion model, it draws its latents once; "
                "leave it out"
            )
