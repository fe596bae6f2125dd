"""Samplers as tables: `DDIM`, `DDPM`, `DPMSolverPlusPlus`, their one `step`, and their files."""

from workbench.diffusion.schedulers.ddim import DDIM
from workbench.diffusion.schedulers.ddpm import DDPM
from workbench.diffusion.schedulers.dpm_solver import DPMSolverPlusPlus
from workbench.diffusion.schedulers.files import (
    from_fields,
    load_scheduler,
    save_scheduler,
    to_fields,
)
from workbench.diffusion.schedulers.noise import Scheduler
from workbench.diffusion.schedulers.schedule import Row, Schedule, start, step

__all__ = [
    "DDIM",
    "DDPM",
    "DPMSolverPlusPlus",
    "Row",
    "Schedule",
    "Scheduler",
    "from_fields",
    "load_scheduler",
    "save_scheduler",
    "start",
    "step",
    "to_fields",
]
