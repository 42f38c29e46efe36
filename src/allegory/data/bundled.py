"""Data that need no download: the handwritten digits that come with scikit-learn."""

import numpy as np
import torch

from .dataset import Dataset
from .items import Items
from .spec import DataSpec
from .splits import split


def handwritten_digits() -> Dataset:
    """The 1,797 handwritten digits of scikit-learn, 8x8, values 0..16 (Alpaydin & Kaynak 1998).

    They are the test part of that data set. 1,397 to train, 100 to validate, 300 to test:
    consecutive runs of numpy's RandomState(0).permutation(1797).
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = torch.from_numpy(bunch.images.astype(np.uint8)).unsqueeze(1)
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    spec = DataSpec(shape=(1, 8, 8), low=0.0, high=16.0, levels=17, classes=10)
    return Dataset("digits", spec, *split(Items(x, labels), validation=100, test=300))
