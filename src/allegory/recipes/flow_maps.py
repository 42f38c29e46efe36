"""Flow maps from the data alone: samples in few steps without a teacher."""

from __future__ import annotations

from ..distillation.config import DistillConfig
from ..networks import UNetConfig
from ..training import TrainingConfig
from .config import PathConfig, Run
from .few_step import FewStepConfig
from .registry import recipe


@recipe
def digits_flow_map(data: str = "digits") -> Run:
    """A class-conditional flow map of 8x8 digits, which makes samples in four steps.

    Half of each batch learns to denoise, the other half that two jumps are one (Frans et al. 2025;
    Boffi et al. 2025). It has no likelihood; `allegory distill` makes one from a run that has. Its
    samples of four steps have a Fréchet distance of 0.17 of their pixels, those of the recipe
    digits 0.22 by 50.

    Args:
        data: images of a few levels; the bundled digits by default.
    """
    return Run(
        recipe="digits_flow_map",
        source=data,
        model=FewStepConfig(
            network=UNetConfig(
                channels=32, multipliers=(1, 2), blocks=1, attention=(), dropout=0.1
            ),
            path=PathConfig("linear", start=8.0, end=-5.0),
            target="categorical",
            data_std=0.75,
            distillation=DistillConfig("flowmap", 4),
            condition_dropout=0.15,
            from_data=True,
        ),
        training=TrainingConfig(
            steps=2400, minutes=5.0, batch_size=128, learning_rate=2e-3, ema=0.998
        ),
    )


@recipe
def mnist_flow_map(data: str) -> Run:
    """A class-conditional flow map of 28x28 digits, which makes samples in four steps.

    As `digits_flow_map`, in forty minutes on two cores. In 25 minutes of one core its samples of
    four steps had a Fréchet distance of 10.2 of their pixels.

    Args:
        data: the images of MNIST, a folder, an array or a table.
    """
    return Run(
        recipe="mnist_flow_map",
        source=data,
        model=FewStepConfig(
            network=UNetConfig(channels=32, multipliers=(1, 2), blocks=1, attention=()),
            path=PathConfig("linear", start=10.0, end=-7.0),
            target="edm",
            distillation=DistillConfig("flowmap", 4),
            from_data=True,
        ),
        training=TrainingConfig(minutes=40.0, batch_size=64, learning_rate=2e-3, ema=0.999),
    )
