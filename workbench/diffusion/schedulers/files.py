"""Schedulers as a diffusers `scheduler_config.json` holds them."""

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.checkpoints import replace_text
from workbench.diffusion.schedulers.ddim import DDIM
from workbench.diffusion.schedulers.ddpm import DDPM
from workbench.diffusion.schedulers.dpm_solver import DPMSolverPlusPlus
from workbench.diffusion.schedulers.euler import Euler, EulerAncestral
from workbench.diffusion.schedulers.lcm import LCM
from workbench.diffusion.schedulers.noise import Scheduler
from workbench.diffusion.schedulers.pndm import PNDM

NAME = "scheduler_config.json"

CLASSES: dict[str, type[Scheduler]] = {
    "DDIMScheduler": DDIM,
    "DDPMScheduler": DDPM,
    "DPMSolverMultistepScheduler": DPMSolverPlusPlus,
    "EulerAncestralDiscreteScheduler": EulerAncestral,
    "EulerDiscreteScheduler": Euler,
    "LCMScheduler": LCM,
    "PNDMScheduler": PNDM,
}
"""Class name in the file -> scheduler here."""

# What a well-known scheduler that is not here is nearest to, by mathematics, not by spelling.
_NEAREST = {
    "CMStochasticIterativeScheduler": "LCMScheduler",
    "DDIMInverseScheduler": "DDIMScheduler",
    "DDIMParallelScheduler": "DDIMScheduler",
    "DDPMParallelScheduler": "DDPMScheduler",
    "DDPMWuerstchenScheduler": "DDPMScheduler",
    "DEISMultistepScheduler": "DPMSolverMultistepScheduler",
    "DPMSolverSDEScheduler": "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler": "DPMSolverMultistepScheduler",
    "EDMDPMSolverMultistepScheduler": "DPMSolverMultistepScheduler",
    "EDMEulerScheduler": "EulerDiscreteScheduler",
    "FlowMatchEulerDiscreteScheduler": "EulerDiscreteScheduler",
    "HeunDiscreteScheduler": "DPMSolverMultistepScheduler",
    "IPNDMScheduler": "PNDMScheduler",
    "KDPM2AncestralDiscreteScheduler": "EulerAncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler": "DPMSolverMultistepScheduler",
    "LMSDiscreteScheduler": "PNDMScheduler",
    "SASolverScheduler": "DPMSolverMultistepScheduler",
    "TCDScheduler": "LCMScheduler",
    "UniPCMultistepScheduler": "DPMSolverMultistepScheduler",
}

# What a file without the field means, where that is not the default here.
_ASSUMED: dict[str, dict[str, Any]] = {"PNDMScheduler": {"skip_prk_steps": False}}

# Fields with the values under which ours is the same sampler; None: any, it has no effect.
_FIXED: dict[str, tuple[Any, ...] | None] = {
    "thresholding": (False,),
    "dynamic_thresholding_ratio": None,
    "sample_max_value": None,
}
_FIXED_BY_CLASS: dict[str, dict[str, tuple[Any, ...] | None]] = {
    "DPMSolverMultistepScheduler": {
        "use_flow_sigmas": (False, None),
        "use_dynamic_shifting": (False,),
        "flow_shift": None,
        "time_shift_type": None,
        "variance_type": (None,),
    },
}

# A file may carry fields of the sampler it was made from; they have no effect on this one.
_LEFT_OVER = frozenset(field for made in CLASSES.values() for field in made.model_fields)


def from_fields(fields: Mapping[str, Any], kind: str | None = None) -> Scheduler:
    """The scheduler a file's fields describe.

    Args:
        fields: content of a `scheduler_config.json`.
        kind: read the file as this class instead of its own; fields it does not have are left out.

    Raises:
        ValueError: a class, field or value that is not supported.
    """
    name = kind or str(fields.get("_class_name", ""))
    if name not in CLASSES:
        near = (
            _NEAREST.get(name)
            or (difflib.get_close_matches(name, CLASSES, n=1) or ["DDIMScheduler"])[0]
        )
        raise ValueError(
            f"scheduler {name or '(no _class_name)'} is not supported; the nearest is {near}"
            f" (pass kind={near!r} to read the file as that one); all: {', '.join(CLASSES)}"
        )
    made, fixed = CLASSES[name], _FIXED | _FIXED_BY_CLASS.get(name, {})
    foreign = kind is not None and kind != fields.get("_class_name")
    kept: dict[str, Any] = {} if foreign else dict(_ASSUMED.get(name, {}))
    for field, value in fields.items():
        if field.startswith("_"):
            continue
        if field in made.model_fields:
            kept[field] = value
        elif field in fixed:
            allowed = fixed[field]
            if not foreign and allowed is not None and value not in allowed:
                raise ValueError(
                    f"{name} field {field}={value!r} is not supported; supported: "
                    + " or ".join(repr(v) for v in allowed)
                )
        elif not foreign and field not in _LEFT_OVER:
            near_fields = difflib.get_close_matches(field, made.model_fields, n=1)
            hint = f"; did you mean {near_fields[0]}?" if near_fields else ""
            raise ValueError(f"{name} field {field}={value!r} is not known{hint}")
    return made(**kept)


def to_fields(scheduler: Scheduler) -> dict[str, Any]:
    """The fields of a `scheduler_config.json`."""
    name = next(name for name, made in CLASSES.items() if type(scheduler) is made)
    return {"_class_name": name, **scheduler.model_dump(mode="python")}


def load_scheduler(path: str | Path, *, kind: str | None = None) -> Scheduler:
    """Read `scheduler_config.json`: the file, or the folder it lies in.

    Raises:
        ValueError: no such file, not JSON, or a scheduler that is not supported.
    """
    path = Path(path)
    file = path / NAME if path.is_dir() else path
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{file}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ValueError(f"{file}: not valid JSON ({error})") from error
    if not isinstance(fields, dict):
        raise ValueError(f"{file}: holds {type(fields).__name__}, needed an object of fields")
    try:
        return from_fields(fields, kind)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def save_scheduler(scheduler: Scheduler, folder: str | Path) -> Path:
    """Write `scheduler_config.json` into `folder`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / NAME
    # `lambda_min_clipped` may be -Infinity, which the format's own reader and writer use too.
    text = json.dumps(to_fields(scheduler), indent=2, sort_keys=True)
    return replace_text(file, text + "\n")
