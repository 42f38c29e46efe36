"""The device of a run, and what precision "auto" is on it."""

from pathlib import Path

import pytest
import torch
from tests.training.toy import Numbers, Toy

from allegory.training import TrainingConfig, device, train
from allegory.training.device import described, has_bf16, torch_device, uses_bf16

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("flags", "has"),
    [
        ("flags : fpu avx2 fma", False),
        ("flags\t\t: fpu avx2 avx512_bf16", True),
        ("flags : amx_bf16 avx512f", True),
        ("Features\t: asimd bf16 sve", True),
        ("nothing", False),
    ],
)
def test_bfloat16_is_chosen_by_the_flags_of_the_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, has: bool
) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor : 0\n{flags}\n")
    monkeypatch.setattr(device, "_CPU_INFO", info)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    assert has_bf16(CPU) is has
    auto = TrainingConfig(steps=1, precision="auto")
    assert uses_bf16(auto, CPU) is has
    assert described(auto, CPU).startswith("bfloat16" if has else "float32")
    assert uses_bf16(TrainingConfig(steps=1, precision="bf16"), CPU)
    assert not uses_bf16(TrainingConfig(steps=1, precision="fp32"), CPU)
    slow = "is slow in it" in described(TrainingConfig(steps=1, precision="bf16"), CPU)
    assert slow is not has


def test_auto_trains_as_what_it_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_cpu_flags", set)
    losses = [
        train(Toy(), Numbers(), TrainingConfig(steps=3, precision=precision, device="cpu")).loss
        for precision in ("auto", "fp32", "bf16")
    ]
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "cpu:x"])
def test_an_unknown_or_absent_device_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"device '{name}'.*give cpu, or auto") as error:
        torch_device(name)
    assert "\n" not in str(error.value)


def test_a_named_device_is_used() -> None:
    assert torch_device("cpu") == CPU
    result = train(Toy(), Numbers(), TrainingConfig(steps=1, device="cpu"))
    assert next(result.ema.parameters()).device == CPU
