"""The claims of A-SDM's tuned half and of the scalability study beside what is counted here."""

from __future__ import annotations

from workbench.diffusion.assembly.presets import A_SDM
from workbench.figures.numbers import count, number
from workbench.labs.diffusion.assembling.networks import SD15, SDXL, TD4, Sum, network
from workbench.panels.picture import ClaimCard, ClaimRow, Verdict

SCALABILITY = "https://arxiv.org/abs/2404.02883"
SCALABILITY_BIBTEX = """@inproceedings{li2024scalability,
  title = {On the Scalability of Diffusion-based Text-to-Image Generation},
  author = {Li, Hao and Zou, Yang and Wang, Ying and Majumder, Orchid and Xie, Yusheng and
            Manmatha, R. and Swaminathan, Ashwin and Tu, Zhuowen and Ermon, Stefano and
            Soatto, Stefano},
  booktitle = {CVPR}, year = {2024}, eprint = {2404.02883}, archivePrefix = {arXiv}
}
"""
PUBLISHED = {SDXL: (2.39e9, 198e9), TD4: (1.32e9, 143e9)}
"""Parameters and MACs without attention's products of table 1."""
CLOSE = 0.01
"""Relative distance at which a count agrees with a printed number, which is rounded."""


def scalability() -> ClaimCard:
    """SDXL with its depth moved outwards: 45 % smaller, 28 % fewer operations."""
    rows = []
    verdicts: list[Verdict] = []
    for key, words in ((SDXL, "SDXL"), (TD4, "Depths 4, 4")):
        total = network(key).total
        for what, printed, ours, text in (
            ("parameters", PUBLISHED[key][0], total.parameters, count(total.parameters)),
            ("MACs", PUBLISHED[key][1], total.macs_no_bmm, f"{total.macs_no_bmm / 1e9:.0f} G"),
        ):
            agrees = abs(ours / printed - 1) < CLOSE
            verdicts.append("reproduced" if agrees else "failed")
            paper = f"{printed / 1e9:.2f} B" if what == "parameters" else f"{printed / 1e9:.0f} G"
            rows.append(ClaimRow(f"{words}, {what}", paper, text, verdicts[-1], "predicted"))
    small, large = network(TD4).total, network(SDXL).total
    fewer = [
        100 * (1 - a / b)
        for a, b in ((small.parameters, large.parameters), (small.macs_no_bmm, large.macs_no_bmm))
    ]
    for what, share, ours in zip(("Smaller", "Fewer MACs"), (45, 28), fewer, strict=True):
        agrees = abs(ours - share) < 1
        verdicts.append("reproduced" if agrees else "failed")
        rows.append(ClaimRow(what, f"{share} %", f"{ours:.0f} %", verdicts[-1], "predicted"))
    rows.append(ClaimRow("TIFA, sooner", "1.7 ×", "not run", "open"))
    whole = all(verdict == "reproduced" for verdict in verdicts)
    return ClaimCard(
        source="Scalability of text-to-image, table 1",
        url=SCALABILITY,
        text="A UNet of SDXL’s form with depths 4 and 4 in place of 2 and 10 is 45 % smaller and "
        "28 % faster, and reaches the same TIFA sooner.",
        rows=rows,
        verdict="part" if whole else "failed",
        reason="Sizes and operations are those of the paper; quality takes its training, which was "
        "not run.",
        setting="Counted here at latents of 32 × 32. Paper: 250 M pairs, 256 pixels.",
        details="MACs without attention’s two products, as the paper’s. A count agrees within 1 % "
        "of what is printed, which is rounded. “28 % faster” is operations there too.",
        bibtex=SCALABILITY_BIBTEX,
    )


def assembly(name: str, whole: Sum, left: Sum, measured: float | None, where: str) -> ClaimCard:
    """A lighter UNet generates 22.4 % faster.

    Args:
        name: of the UNet on the screen.
        whole, left: its cost, and that of what is kept.
        measured: time a picture of a trained student over its teacher's; None where not measured.
        where: device and date of the measurement.
    """
    operations = 100 * (whole.macs / left.macs - 1)
    base = network(SD15)
    counted = {
        preset: base.without(names).parameters for preset, names in _published_cuts().items()
    }
    rows = [
        ClaimRow("Faster", "22.4 %", _faster(measured), _told(measured)),
        ClaimRow("MACs, this cut", "–", f"+{number(operations)} %", "open", "predicted"),
    ]
    sizes = {"base": 0.58e9, "small": 0.49e9, "tiny": 0.33e9}
    for preset, printed in sizes.items():
        agrees = abs(counted[preset] - printed) < 0.01e9
        rows.append(
            ClaimRow(
                f"SD 1 {preset}, size",
                f"{printed / 1e9:.2f} B",
                f"{counted[preset] / 1e9:.3f} B",
                "reproduced" if agrees else "failed",
                "predicted",
            )
        )
    return ClaimCard(
        source="A-SDM, abstract; sizes: BK-SDM",
        url=A_SDM.url,
        text="A UNet assembled of fewer layers and recovered by distillation generates 22.4 % "
        "faster.",
        rows=rows,
        verdict=_told(measured),
        reason="Not measured with this cut."
        if measured is None
        else f"The trained student of {name} takes {number(100 * measured)} % of its teacher’s "
        "time; quality stands in the study.",
        setting=f"Here: {where} " if where else "Here: counted. ",
        details="A-SDM’s body is not at hand: which layers go, and how they are distilled, is "
        "BK-SDM’s, whose sizes are checked. Time decides: reproduced at 22.4 % faster or more, in "
        "part where faster at all.",
        bibtex=A_SDM.bibtex(),
    )


def _published_cuts() -> dict[str, tuple[str, ...]]:
    from workbench.diffusion.assembly.presets import PRESETS, dropped_by

    return {preset: dropped_by(network(SD15).config, preset) for preset in PRESETS}


def _faster(measured: float | None) -> str:
    return "not run" if measured is None else f"{100 * (1 / measured - 1):.1f} %"


def _told(measured: float | None) -> Verdict:
    if measured is None:
        return "open"
    faster = 1 / measured - 1
    return "reproduced" if faster >= 0.224 else "part" if faster > 0 else "failed"
