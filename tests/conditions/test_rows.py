"""Classes of samples by their values in the data."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from allegory.conditions import rows_of
from allegory.data import DataSpec

COUNTED = DataSpec((2,), 0.0, 1.0, classes=9)
GAPS = replace(COUNTED, classes=2, class_names=(0, 7))
SIGNS = replace(COUNTED, classes=2, class_names=(-1, 1))
ANIMALS = replace(COUNTED, classes=2, class_names=("cat", "dog"))


@pytest.mark.parametrize(
    ("spec", "condition", "index"),
    [
        (COUNTED, None, None),
        (COUNTED, 7, [7, 7, 7]),
        (COUNTED, [7, -1, 0], [7, -1, 0]),
        (GAPS, 7, [1, 1, 1]),  # the value, where it is a number or a list ...
        (GAPS, [0, 7, -1], [0, 1, -1]),
        (GAPS, np.array([7, 0, 7]), [1, 0, 1]),
        (GAPS, torch.tensor([1, 0, 1]), [1, 0, 1]),  # ... and the index where it is a tensor
        (SIGNS, [-1, 1, -1], [0, 1, 0]),
        (ANIMALS, "dog", [1, 1, 1]),
        (ANIMALS, ["dog", "cat", "dog"], [1, 0, 1]),
    ],
)
def test_values_are_classes_and_tensors_are_indices(spec, condition, index):
    found = rows_of(condition, 3, spec.given)
    assert (None if found is None else found.tolist()) == index


@pytest.mark.parametrize(
    ("spec", "condition", "says"),
    [
        (GAPS, 1, "condition: class 1: not known; the classes are 0, 7"),
        (ANIMALS, ["cat", "cow", "dog"], "condition: class cow: not known; the classes are cat"),
        (COUNTED, 9, "condition: class 9: not known; the classes are 0 to 8"),
        (replace(COUNTED, classes=None), 0, "condition: given to a model of data without labels"),
    ],
)
def test_what_is_no_class_is_refused(spec, condition, says):
    with pytest.raises(ValueError, match=says):
        rows_of(condition, 3, spec.given)
