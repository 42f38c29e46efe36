"""Device and precision of a run, and what "auto" means on this machine."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from .config import TrainingConfig

_CPU_INFO = Path("/proc/cpuinfo")
_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Flags of processors with bfloat16 products: x86 with AVX-512 or AMX, and Arm ("bf16")."""


def torch_device(name: str) -> torch.device:
    """The device of this name.

    Args:
        name: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", "mps", ...

    Raises:
        ValueError: for a device that is unknown to torch, or absent.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device).item()  # also refuses "meta", which has no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise ValueError(
            f"device {name!r}: not on this machine ({reason}); give cpu, or auto"
        ) from None

    return device


def has_bf16(device: torch.device) -> bool:
    """Whether `device` has bfloat16 matrix products in hardware."""
    if device.type == "cuda":
        is_rocm = torch.version.hip is not None
        return is_rocm or torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and bool(_BF16_FLAGS & _cpu_flags())


def uses_bf16(config: TrainingConfig, device: torch.device) -> bool:
    """Whether a run computes matrix products in bfloat16 on a device.

    Args:
        config: its `precision` decides; "auto" is bfloat16 where the device has it.
        device: the device of the run.
    """
    return config.precision == "bf16" or (config.precision == "auto" and has_bf16(device))


def described(config: TrainingConfig, device: torch.device) -> str:
    """Device and precision of a run in one line.

    Args:
        config: the precision.
        device: the device of the run.
    """
    name = str(device) if device.type != "cuda" else torch.cuda.get_device_name(device)
    if config.precision == "auto":
        can = "has" if has_bf16(device) else "has no"
        chosen = "bfloat16" if has_bf16(device) else "float32"
        return f"{chosen} on {name} (precision auto: it {can} bfloat16 arithmetic)"
    if config.precision == "bf16" and not has_bf16(device):
        return f"bfloat16 on {name}, which has no bfloat16 arithmetic and is slow in it"
    return f"{'bfloat16' if config.precision == 'bf16' else 'float32'} on {name}"


def _cpu_flags() -> set[str]:
    """The capability flags of this processor; none where the system does not list them."""
    if platform.system() != "Linux" or not _CPU_INFO.is_file():
        return set()
    for line in _CPU_INFO.read_text().splitlines():
        name, _, flags = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return set(flags.split())
    return set()
