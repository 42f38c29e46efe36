from dataclasses import replace

import torch

from allegory.data import DataSpec
from allegory.recipes import recipe_named


def test_an_untrained_model_codes_each_pixel_in_eight_bits():
    """Flat logits are the exact posterior of levels that are uniform and independent: log2 256
    bits, nothing lost.

    The images are drawn so. The ends of the path add less than 0.003 bits: the prior's width, and
    levels 8.6 standard deviations apart. The standard error is that between the items. Images of
    8x8 are quicker.
    """
    run = recipe_named("mnist", "somewhere")
    data = DataSpec((1, 8, 8), 0.0, 255.0, levels=256, classes=10)
    model = replace(run.model, data_std=0.58).build(data).eval()
    x = torch.randint(256, (30, 1, 8, 8), dtype=torch.uint8)
    bits = model.bound(x, draws=16).bits_per_dim(data)
    error = bits.std() / len(bits) ** 0.5
    assert error < 0.2
    assert abs(bits.mean() - 8) < 4 * error + 0.003
