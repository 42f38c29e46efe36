"""The numbered equations of Luo 2022, each one executed, and some of other papers.

The paper is "Understanding Diffusion Models: A Unified Perspective" (arXiv 2208.11970).

    for result in verify(section="elbo"):
        print(result.number, result.left, result.right, result.passed)
"""

from .check import Check, Kind, Result, Section
from .run import FURTHER, LAST, SECTIONS, checks, verify

__all__ = ["FURTHER", "LAST", "SECTIONS", "Check", "Kind", "Result", "Section", "checks", "verify"]
