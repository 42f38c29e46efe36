"""Low-discrepancy sequences: numbers that fill the unit interval evenly."""

from __future__ import annotations

import math

GOLDEN = (math.sqrt(5) - 1) / 2
"""The golden ratio: the fractions of its multiples fill [0, 1) evenly, however many they are."""
