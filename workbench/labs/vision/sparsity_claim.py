"""What Fast Sparse ConvNets claims, beside what kept blocks are worth here."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.labs.vision.sparsity_form import WHOLE_NAMES
from workbench.panels.picture import ClaimCard, ClaimRow
from workbench.study.paper import Paper
from workbench.vision.pruning.density_timed import NetworkTimed

SPARSE = Paper(
    key="elsen2020fast",
    title="Fast Sparse ConvNets",
    authors="Erich Elsen and Marat Dukhan and Trevor Gale and Karen Simonyan",
    year=2020,
    arxiv="1911.09723",
    venue="CVPR 2020",
    claim="Sparse kernels make pruned convnets 1.3 to 2.4 times as fast as dense ones of equal "
    "accuracy.",
)
PUBLISHED = "1.3–2.4 ×"


def card(networks: Sequence[NetworkTimed], where: str) -> ClaimCard:
    """The claim, with whole networks from their kept blocks.

    Args:
        networks: timed on one device.
        where: device and date.
    """
    rows = [
        ClaimRow(
            WHOLE_NAMES.get(one.network, one.network),
            PUBLISHED,
            f"{one.speedup:.2f} ×",
            "open",
        )
        for one in networks
    ]
    kept = ", ".join(f"{100 * one.density:.0f} %" for one in networks) or "not timed yet"
    return ClaimCard(
        source="Fast Sparse ConvNets, abstract",
        url=f"https://arxiv.org/abs/{SPARSE.arxiv}",
        text=SPARSE.claim,
        rows=[*rows, ClaimRow("Top-1", "equal", "no", "open")],
        verdict="open",
        reason="Not comparable: theirs are single weights on a telephone’s CPU and wider networks "
        "trained to equal accuracy; ours are blocks of 64 in networks with fresh weights.",
        setting=f"Here: {where}, float32, 224 pixels. Paper: Snapdragon 835, ImageNet.",
        details=f"Speed of whole networks with one block in six kept ({kept}) in pointwise layers "
        "at least 64 wide. Accuracy after pruning is judged on the small networks that ship, in "
        "the chart beside.",
        columns=("speed", "paper", "here"),
        bibtex=SPARSE.bibtex(),
    )
