"""What E2GC claims, beside what is modelled, measured and trained here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.labs.vision.group_size_networks import MOBILENET, RESNEXT, outline
from workbench.panels.picture import ClaimCard, ClaimRow, Verdict
from workbench.study.paper import Paper
from workbench.vision.energy import Prices, spent
from workbench.vision.group_size_arms import NETWORKS
from workbench.vision.group_size_verdict import at_equal_arithmetic

E2GC = Paper(
    key="jha2020e2gc",
    title="E2GC: Energy-efficient Group Convolution in Deep Neural Networks",
    authors="Nandan Kumar Jha and Rajat Saini and Subhrajit Nag and Sparsh Mittal",
    year=2020,
    arxiv="2006.15100",
    claim="Groups of one size in all layers are more energy-efficient than as many groups in all "
    "layers, at comparable complexity.",
    venue="VLSI Design 2020",
)
PUBLISHED = {MOBILENET: 10.8, RESNEXT: 4.73}
"""Energy efficiency gained on a P100, per cent (abstract)."""

SIZE, GROUPS = 8, 32
"""The pair of both networks that is nearest in arithmetic: within 0.8 %."""


def modelled_gain(network: str, prices: Prices, **traffic: int) -> float:
    """Pictures a joule with groups of 8 over those with 32 groups, less one, per cent."""
    shape = outline(network)
    constant = spent(shape.at(group_size=SIZE), prices, **traffic)
    fixed = spent(shape.at(groups=GROUPS), prices, **traffic)
    return 100 * (fixed.joules / constant.joules - 1)


def measured_gain(found: Mapping[str, Any]) -> float | None:
    """Pictures a second with groups of 8 over those with 32 groups, less one, per cent."""
    times = {(row["rule"], row["number"]): row["median"] for row in found["rows"]}
    pair = times.get(("size", SIZE)), times.get(("groups", GROUPS))
    return None if pair[0] is None or pair[1] is None else 100 * (pair[1] / pair[0] - 1)


def card(
    rows: Sequence[Mapping[str, Any]],
    study: Mapping[str, Any],
    times: Mapping[str, Any],
    prices: Prices,
    **traffic: int,
) -> ClaimCard:
    """The claim of E2GC.

    Args:
        rows, study: of the study of group sizes, and its card.
        times: as recorded.
        prices: of the energy model.
        traffic: batch and bytes of a number.
    """
    names = {MOBILENET: "MobileNet", RESNEXT: "ResNeXt"}
    found = []
    for network, gain in PUBLISHED.items():
        ours = modelled_gain(network, prices, **traffic)
        found.append(
            ClaimRow(
                f"{names[network]} / J",
                f"+{gain:g} %",
                f"{ours:+.1f} %",
                "open",
                "predicted",
            )
        )
    for network in PUBLISHED:
        faster = measured_gain(times["networks"][network])
        if faster is not None:
            told = f"{faster:+.0f} %"
            found.append(ClaimRow(f"{names[network]} / s", "–", told, "open"))
    held = [v for network in NETWORKS for v in at_equal_arithmetic(rows, network)]
    won, lost = (sum(v.better == getattr(v, side) for v in held) for side in ("first", "second"))
    verdict: Verdict = "open"
    if won or lost:
        verdict = "reproduced" if not lost else "part" if won else "failed"
    found.append(ClaimRow("Accuracy: won", "–", f"{won} of {len(held)}", verdict))
    return ClaimCard(
        source="E2GC, abstract",
        url=E2GC.url,
        text=E2GC.claim,
        rows=found,
        verdict="open",
        reason="Energy is modelled here (≈) and was not measured: no sensor, no P100.",
        setting=f"Time: {times['device']}, {times['date']}. Accuracy: small networks, ours, on "
        f"patches of photographs, {study['seeds']} seeds. Paper: P100, ImageNet-1K and Food-101.",
        details=f"Pictures a joule, a second, and pairs of equal arithmetic; G = {SIZE} against "
        f"g = {GROUPS}, within {_apart():.1f} % in multiply-adds. The model counts every array "
        "once, at the prices of the form; the paper’s constants and chosen sizes are not at hand. "
        "Accuracy: reproduced where constant size is better in some pair and worse in none, open "
        "where no pair is told apart.",
        bibtex=E2GC.bibtex(),
        columns=("pictures", "paper", "here"),
    )


def _apart() -> float:
    """How far apart a pair is in arithmetic at most, per cent."""
    shares = []
    for network in PUBLISHED:
        shape = outline(network)
        constant, fixed = (
            sum(layer.macs() for layer in layers)
            for layers in (shape.at(group_size=SIZE), shape.at(groups=GROUPS))
        )
        shares.append(100 * abs(constant / fixed - 1))
    return max(shares)
