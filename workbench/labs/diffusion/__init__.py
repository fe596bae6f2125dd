"""Diffusion lab: sampling plans compared on quality, time and arithmetic, on a model that runs.

from workbench.labs import diffusion

diffusion.open()  # methods compared
diffusion.text_to_image()  # prompts on a checkpoint
diffusion.plan_editor()  # what each step computes, painted
diffusion.automatic_plan()  # a plan that finds itself
diffusion.students()  # one pass in place of fifty steps
diffusion.assembly()  # blocks of a UNet clicked away
diffusion.super_resolution()  # a picture restored in the latents of 8x and of 4x
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "DEFAULT": "workbench.labs.diffusion.methods",
    "TRANSFORMER": "workbench.labs.diffusion.methods",
    "OwnNetworks": "workbench.labs.diffusion.own_networks",
    "OwnPlan": "workbench.labs.diffusion.own_plan",
    "blind": "workbench.labs.diffusion.blind_pairs",
    "open": "workbench.labs.diffusion.view",
    "assembly": "workbench.labs.diffusion.assembling.view",
    "automatic_plan": "workbench.labs.diffusion.automatic_view",
    "checkpoint": "workbench.labs.diffusion.own_checkpoint",
    "generate": "workbench.labs.diffusion.generation",
    "restore": "workbench.labs.diffusion.restoring.view",
    "settings_in": "workbench.labs.diffusion.picture_files",
    "super_resolution": "workbench.labs.diffusion.restoring.view",
    "text_to_image": "workbench.labs.diffusion.images_view",
    "plan_editor": "workbench.labs.diffusion.plan_editor_view",
    "pipeline": "workbench.labs.diffusion.sampling_study",
    "students": "workbench.labs.diffusion.distilled.view",
    "study": "workbench.labs.diffusion.sampling_study",
}

__all__ = [
    "DEFAULT",
    "TRANSFORMER",
    "OwnNetworks",
    "OwnPlan",
    "assembly",
    "automatic_plan",
    "blind",
    "checkpoint",
    "generate",
    "open",
    "pipeline",
    "plan_editor",
    "restore",
    "settings_in",
    "students",
    "study",
    "super_resolution",
    "text_to_image",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
