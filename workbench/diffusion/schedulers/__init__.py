"""Samplers as tables: DDIM, DDPM, PNDM, Euler, DPM-Solver++, LCM, one `step`, and their files."""

from workbench.diffusion.schedulers.ddim import DDIM
from workbench.diffusion.schedulers.ddpm import DDPM
from workbench.diffusion.schedulers.dpm_solver import DPMSolverPlusPlus
from workbench.diffusion.schedulers.euler import Euler, EulerAncestral
from workbench.diffusion.schedulers.files import (
    from_fields,
    load_scheduler,
    save_scheduler,
    to_fields,
)
from workbench.diffusion.schedulers.lcm import LCM
from workbench.diffusion.schedulers.noise import Scheduler
from workbench.diffusion.schedulers.pndm import PNDM
from workbench.diffusion.schedulers.schedule import Row, Schedule, State, model_input, start, step

__all__ = [
    "DDIM",
    "DDPM",
    "LCM",
    "PNDM",
    "DPMSolverPlusPlus",
    "Euler",
    "EulerAncestral",
    "Row",
    "Schedule",
    "Scheduler",
    "State",
    "from_fields",
    "load_scheduler",
    "model_input",
    "save_scheduler",
    "start",
    "step",
    "to_fields",
]
