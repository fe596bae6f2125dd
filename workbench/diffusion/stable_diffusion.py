"""What the UNet the papers measured computes, so that a plan's saving on it is told at once."""

from __future__ import annotations

from workbench.diffusion.arithmetic import PartCost, UnitCosts

STABLE_DIFFUSION_15 = UnitCosts(
    full=PartCost(401636720640.0, 338610585600.0),
    decode=PartCost(270918942720.0, 233117122560.0),
    shallow=(
        PartCost(31626035200.0, 20686766080.0),
        PartCost(90071531520.0, 57253724160.0),
        PartCost(152711331840.0, 98014986240.0),
        PartCost(188729098240.0, 132589649920.0),
        PartCost(226581053440.0, 167555399680.0),
        PartCost(270305034240.0, 208393175040.0),
        PartCost(305174446080.0, 243044352000.0),
        PartCost(340729692160.0, 278163128320.0),
        PartCost(377962659840.0, 314959626240.0),
        PartCost(385723760640.0, 322720727040.0),
        PartCost(390655344640.0, 327652311040.0),
        PartCost(395586928640.0, 332583895040.0),
    ),
    feature_bytes=26869760,
    branch_bytes=(
        *(5242880, 5242880, 10485760, 2621440, 2621440, 5242880),
        *(1310720, 1310720, 1310720, 327680, 327680, 327680),
    ),
    widest_bytes=5242880,
)
"""Counted at 64 × 64 with 77 tokens by `costs.unit_costs`, which needs jax and some seconds."""
