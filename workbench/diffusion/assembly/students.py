"""The students of the shipped teacher: which are trained."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.diffusion.assembly.presets import Preset
from workbench.diffusion.unet.config import Routing

TEACHER = "data/digits-unet"


@dataclass(frozen=True)
class Student:
    """One student: what is cut, and how its convolutions are.

    Attributes:
        preset: what is dropped.
        experts: kernels in each 3x3 convolution of a ResNet; 1 is a plain one.
        routing: of several.
    """

    preset: Preset
    experts: int = 1
    routing: Routing = "softmax"

    @property
    def name(self) -> str:
        """Of its folder and on the screen."""
        return self.preset if self.experts == 1 else f"{self.preset}-experts"


STUDENTS = (
    Student("base"),
    Student("small"),
    Student("tiny"),
    Student("tiny", experts=4),
)
