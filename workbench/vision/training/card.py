"""The card of trained networks: what they are, of what, by which command, and how good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def card(facts: Mapping[str, Any]) -> str:
    """The card, in Markdown.

    Args:
        facts: as `training.json` has them.
    """
    data, recipe, moved = facts["data"], facts["recipe"], facts["augmentation"]
    floor = data["colour_alone"]
    averaged = recipe["ema_decay"]
    lines = [
        "# Small convnets, trained\n",
        "Blocks as in their papers; tables named `our_…` have stems, depths and widths of ours, so "
        "no published number belongs to them.\n",
        f"- Data: {data['name']}; {data['source']}. {data['sizes']}",
        f"- Licence of the pictures: {data['licence']}",
        f"- Split {data['split']}",
        *([f"- {data['notes']}"] if data["notes"] else []),
        f"- Mean and deviation of each channel alone give {_share(floor)}, the floor here",
        f"- Command: `{facts['command']}`",
        f"- {facts['device']}, {facts['date']}",
        f"- {recipe['steps']} updates of {recipe['batch_size']} pictures, seed {recipe['seed']}, "
        f"AdamW at {recipe['learning_rate']:g}, cosine, labels smoothed by {facts['smoothing']:g}, "
        f"shifts of up to {moved['shift']} pixels{', flips' * moved['flips']}; "
        + (f"weights averaged, decay {averaged:g}" if averaged else "the last weights"),
        "- Batch norms take the training pictures' statistics, of the final weights\n",
    ]
    for name, one in facts["networks"].items():
        lines.append(
            f"- `{name}`: {one['parameters']:,} parameters, {one['macs'] / 1e6:.2f} M "
            f"multiply-adds, {one['seconds'] / 60:.1f} minutes: top-1 {_share(one['top1'])} of "
            f"{one['top1']['count']} held-out pictures, cross-entropy {one['cross_entropy']:.3f}"
        )
    return "\n".join(lines) + "\n"


def _share(found: Mapping[str, float]) -> str:
    return f"{found['value']:.1%} ({found['low']:.1%} to {found['high']:.1%})"
