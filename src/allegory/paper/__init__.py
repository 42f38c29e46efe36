"""The paper, executed: every numbered equation of Luo 2022, "Understanding Diffusion Models: A Unified Perspective".

for result in verify(section="elbo"): print(result.number, result.left, result.right, result.passed)
"""

from .check import Check, Kind, Result, Section
from .run import LAST, SECTIONS, checks, verify

__all__ = ["LAST", "SECTIONS", "Check", "Kind", "Result", "Section", "checks", "verify"]
