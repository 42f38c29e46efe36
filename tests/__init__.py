"""Tests mirror the tree of the library."""

from . import typecheck as typecheck
