"""What the UNet the papers measured computes, so that a plan's saving on it is told at once."""

from __future__ import annotations

import json
from pathlib import Path

from workbench.diffusion.arithmetic import UnitCosts

COUNTS = Path(__file__).with_suffix(".json")

STABLE_DIFFUSION_15 = UnitCosts.of_record(json.loads(COUNTS.read_text(encoding="utf-8")))
"""Counted at 64 × 64 with 77 tokens by `costs.unit_costs`, which needs jax and some seconds."""
