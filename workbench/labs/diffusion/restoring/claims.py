"""TVT's claim beside what was found here."""

from __future__ import annotations

from workbench.diffusion.super_resolution.verdict import RESTORATION
from workbench.figures import numbers
from workbench.labs.diffusion.restoring.recorded import RIVALS, Study
from workbench.panels.picture import ClaimCard, ClaimRow, Verdict

URL = "https://arxiv.org/abs/2507.20291"
BIBTEX = """@inproceedings{yi2025tvt,
  title = {Fine-structure Preserved Real-world Image Super-resolution via Transfer {VAE} Training},
  author = {Yi, Qiaosi and Li, Shuai and Wu, Rongyuan and Sun, Lingchen and Wu, Yuhui and
            Zhang, Lei},
  booktitle = {ICCV}, year = {2025}, eprint = {2507.20291}, archivePrefix = {arXiv}
}
"""
DECIDES = (("pages", "characters", "Letters"), ("photographs", "edges", "Edges"))
"""Kind, metric, and what the card calls it: what the paper says a finer latent keeps."""
EQUAL = {"updates": "by steps", "multiply-adds": "by MACs"}


def card(study: Study) -> ClaimCard:
    """The claim that 4x keeps fine structure, held against both rivals of the study."""
    rows, outcomes = [], []
    for kind, metric, words in DECIDES:
        for rival in RIVALS:
            found = study.verdict(rival, RESTORATION, kind, metric)
            if found is None:
                continue
            told: Verdict = (
                "open" if not found.better else "reproduced" if found.difference.value > 0
                else "failed"
            )  # fmt: skip
            outcomes.append(told)
            apart = numbers.number(abs(found.difference.value))
            sign = "+" if found.difference.value >= 0 else "−"
            equal = EQUAL[rival.split("equal ")[1]]
            rows.append(ClaimRow(f"{words}, {equal}", "better", f"{sign}{apart}", told))
    full = study.card["macs_a_picture"]
    four, eight = (sum(full[f"{n}×, full size, 512 px"].values()) for n in (4, 8))
    change = 100 * (four / eight - 1)
    rows.append(
        ClaimRow(
            "MACs, full size", "fewer",
            f"{'−' if change < 0 else '+'}{abs(change):.0f} %", "open", "predicted",
        )
    )  # fmt: skip
    verdict, reason = _told(outcomes)
    return ClaimCard(
        source="TVT, abstract",
        url=URL,
        text="A 4× autoencoder in the latent space of the 8× one keeps fine structure, small "
        "characters above all, at fewer FLOPs than other one-step methods.",
        rows=rows,
        verdict=verdict,
        reason=reason,
        setting=f"Here: {study.card['device']}, {study.card['date']}, pictures of 64 pixels, "
        f"{len(study.card['seeds'])} seeds. Paper: LSDIR and FFHQ at 512 pixels, four GPUs.",
        details="Of restored pictures, 4× less the 8× of as many steps or MACs of training: "
        "correlation within each letter’s box on pages, and of edges on photographs. A row is "
        "reproduced where 4× is better and the interval over seeds excludes zero, failed where 8× "
        "is. Sizes, lengths, degradation and feature loss are ours; the paper’s tables are not at "
        "hand, so its column only says which way. MACs are counted for this pair of full-size "
        "networks, not against other methods.",
        bibtex=BIBTEX,
    )


def _told(outcomes: list[Verdict]) -> tuple[Verdict, str]:
    better, worse = outcomes.count("reproduced"), outcomes.count("failed")
    words = f"4× is better in {better} of {len(outcomes)} comparisons, worse in {worse}."
    if outcomes and better == len(outcomes):
        return "reproduced", words
    if worse == len(outcomes) or (worse and not better):
        return "failed", words
    return ("part" if better else "open"), words
