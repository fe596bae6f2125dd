"""The charts of the group-size page: reuse by layer, energy, time, accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.figures.axes import Axis
from workbench.figures.charts import Chart, bars, lines, ranges
from workbench.figures.numbers import count, number
from workbench.labs.vision.group_size_networks import NAMES, SIZES
from workbench.vision.conv_shapes import ConvShape, Outline
from workbench.vision.energy import PICOJOULE, Prices, knee, spent
from workbench.vision.group_size_arms import CHANNELS, NETWORKS, Arm
from workbench.vision.group_size_arms import SIZES as TRAINED
from workbench.vision.group_size_verdict import accuracy as over_seeds

CONSTANT, FIXED = "Constant size", "Fixed number"
SLOTS = {CONSTANT: 1, FIXED: 2}
PARTS = {"All spatial layers": 0, "The first": 3, "The last": 4}


def reuse(
    constant: Sequence[ConvShape],
    fixed: Sequence[ConvShape],
    size: int,
    groups: int,
    prices: Prices,
    **traffic: int,
) -> Chart:
    """Multiply-adds a byte of every spatial layer, with both rules.

    Args:
        constant, fixed: all layers.
        size, groups: G and g.
        prices: their ratio is the level above which arithmetic costs more than memory.
        traffic: batch and bytes of a number.
    """
    rows = [
        {
            "method": method,
            "layer": place,
            "reuse": layer.reuse(**traffic),
            "key": f"{method} {place}",
            "predicted": True,
        }
        for method, layers in ((CONSTANT, constant), (FIXED, fixed))
        for place, layer in enumerate((one for one in layers if one.groupable), 1)
    ]
    return lines(
        rows,
        Axis("layer", "Spatial convolution, from first to last"),
        Axis("reuse", "Reuse (multiply-adds a byte)", scale="log"),
        title="Which rule keeps layers in balance?",
        subtitle=f"G = {size} against g = {groups} · rule: memory and arithmetic cost the same, "
        f"{number(prices.balance)}",
        names={CONSTANT: f"G = {size}", FIXED: f"g = {groups}"},
        slots=SLOTS,
        level=prices.balance,
    )


def per_mac(outline: Outline, side: int, prices: Prices, **traffic: int) -> Chart:
    """Energy of a multiply-add against the group size, and the knee.

    Args:
        outline: of the network.
        side: of a picture, pixels.
        prices: of the model.
        traffic: batch and bytes of a number.
    """
    rows: list[dict[str, Any]] = []
    able = [s for s in SIZES if all(width % s == 0 for width in outline.widths)]
    for size in able:
        spatial = [layer for layer in outline.at(side, group_size=size) if layer.groupable]
        for part, layers in zip(PARTS, (spatial, spatial[:1], spatial[-1:]), strict=True):
            found = spent(layers, prices, **traffic)
            rows.append({
                "method": part, "size": size, "energy": found.per_mac / PICOJOULE,
                "key": f"{part} {size}", "predicted": True,
            })  # fmt: skip
    first = next(layer for layer in outline.at(side, group_size=1) if layer.groupable)
    bend = knee(first, prices, **traffic)
    shown = {f"knee of the first, {number(bend)}": bend} if bend <= able[-1] else {}
    where = "" if shown else f" · the first layer’s knee is at {number(bend)} channels"
    return lines(
        rows,
        Axis("size", "Group size G (channels)", scale="log"),
        Axis("energy", "Energy (pJ a multiply-add)", scale="log"),
        title="Where do larger groups stop paying?",
        subtitle=f"modelled · rule: twice the {number(prices.mac)} pJ of arithmetic{where}",
        slots=PARTS,
        level=2 * prices.mac,
        upright=shown,
    )


def times(
    outline: Outline, found: Mapping[str, Any], where: str, *, most: int | None = None
) -> Chart:
    """Time of a pass and its arithmetic by group size, in % of depthwise.

    Args:
        outline: of the network.
        found: size, batch, and rows of rule, number, median, low and high [s].
        where: device and date.
        most: rows shown.
    """
    rows = found["rows"]
    base = next(row for row in rows if (row["rule"], row["number"]) == ("size", 1))
    least = sum(layer.macs() for layer in outline.at(found["size"], group_size=1))
    shown, slots = [], {}
    for row in rows[:most]:
        constant = row["rule"] == "size"
        given = {"group_size" if constant else "groups": row["number"]}
        name = f"{'G' if constant else 'g'} = {row['number']}"
        slots[name] = SLOTS[CONSTANT if constant else FIXED]
        macs = sum(layer.macs() for layer in outline.at(found["size"], **given))
        shown.append({
            "method": name,
            "predicted": 100 * macs / least,
            "measured": 100 * row["median"] / base["median"],
            "low": 100 * row["low"] / base["median"],
            "high": 100 * row["high"] / base["median"],
        })  # fmt: skip
    return bars(
        shown,
        title="How long does it take here?",
        subtitle=f"% of G = 1, {1e3 * base['median']:.3g} ms · hollow: operations · filled: time, "
        f"quartiles · {found['size']} px, batch {found['batch']} · {where}",
        slots=slots,
    )


def accuracy(rows: Sequence[Mapping[str, Any]], network: str, card: Mapping[str, Any]) -> Chart:
    """Held-out accuracy of both rules at equal arithmetic, with intervals over seeds.

    Args:
        rows: of the study.
        network: a small table.
        card: of the study.
    """
    shown: list[dict[str, Any]] = []
    for size in TRAINED:
        groups = CHANNELS[network] // size
        for method, arm in (
            (CONSTANT, Arm(network, "size", size)),
            (FIXED, Arm(network, "groups", groups)),
        ):
            macs = {int(row["macs"]) for row in rows if row["arm"] == arm.name}
            if not macs:
                continue
            found = over_seeds(rows, arm)
            row: dict[str, Any] = {
                "method": method,
                "group": f"G = {size} · {count(macs.pop())} MACs",
                "accuracy": 100 * found.value,
                "label": arm.name.split(", ")[1],
                "key": arm.name,
            }
            if found.known:
                row |= {"low": 100 * found.low, "high": 100 * found.high}
            shown.append(row)
    return ranges(
        shown,
        Axis("accuracy", "Right answers", unit="%"),
        title="Which is more accurate at equal arithmetic?",
        subtitle=f"{NETWORKS[network]} (ours), {card['data']}, {card['test_pictures']} held out · "
        f"{card['seeds']} seeds, 95 % intervals",
        slots=SLOTS,
    )


__all__ = ["CONSTANT", "FIXED", "NAMES", "SLOTS", "accuracy", "per_mac", "reuse", "times"]
