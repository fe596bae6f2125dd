"""What of a UNet may be dropped, and what goes with it: names in, what is kept out.

Names are those of `UNet2DCondition.run`:

* ``down.1.layer.1`` or ``up.2.layer.1``: a ResNet with its transformer. Every down layer pushes a
  skip that an up layer reads, so one of each goes, from opposite blocks; naming one is enough.
* ``down.1.transformers``, ``up.2.transformers``, ``mid.transformers``: the ResNets stay.
* ``mid``: the middle block.
* ``down.3`` or ``up.0``: a whole stage with its up block; from the inside only.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from workbench.diffusion.unet.config import CROSS_DOWN, CROSS_MID, CROSS_UP, UNetConfig

MID, MID_TRANSFORMERS = "mid", "mid.transformers"


class DropError(ValueError):
    """Something that cannot be dropped, or is not there."""


@dataclass(frozen=True)
class Stage:
    """What stays at one width: layers of its down and up block by number, and whose attend."""

    down: tuple[int, ...]
    up: tuple[int, ...]
    down_attends: bool
    up_attends: bool


@dataclass(frozen=True)
class Kept:
    """What stays of a UNet, stages from the outermost; two sets that keep the same are the same."""

    stages: tuple[Stage, ...]
    mid: bool
    mid_attends: bool


def whole(config: UNetConfig) -> Kept:
    """Everything."""
    ups = config.up_block_types[::-1]
    return Kept(
        tuple(
            Stage(
                tuple(range(layers)),
                tuple(range(layers + 1)),
                config.down_block_types[level] == CROSS_DOWN and layers > 0,
                ups[level] == CROSS_UP,
            )
            for level, layers in enumerate(config.layers)
        ),
        config.mid_block_type is not None,
        config.mid_block_type == CROSS_MID,
    )


def kept(config: UNetConfig, dropped: Iterable[str]) -> Kept:
    """What stays when `dropped` goes, with what must go with it.

    Raises:
        DropError: a name the UNet does not have, or that cannot be dropped, saying why.
    """
    return _Dropping(config, dropped).kept()


def droppable(config: UNetConfig) -> tuple[str, ...]:
    """Every name that may be dropped alone, in execution order; a stage goes by its down block."""
    return tuple(name for name in _names(config) if _alone(config, name))


def _alone(config: UNetConfig, name: str) -> bool:
    try:
        kept(config, [name])
    except DropError:
        return False
    return True


def _names(config: UNetConfig) -> list[str]:
    everything = whole(config)
    last = len(everything.stages) - 1
    found = []
    for level, stage in enumerate(everything.stages):
        found += [f"down.{level}.layer.{j}" for j in stage.down]
        found += [f"down.{level}.transformers"] * stage.down_attends + [f"down.{level}"]
    found += [MID] * everything.mid + [MID_TRANSFORMERS] * everything.mid_attends
    for level, stage in reversed(tuple(enumerate(everything.stages))):
        found += [f"up.{last - level}.layer.{j}" for j in stage.up]
        found += [f"up.{last - level}.transformers"] * stage.up_attends + [f"up.{last - level}"]
    return found


class _Dropping:
    """One set of names, sorted by what they stand for."""

    def __init__(self, config: UNetConfig, dropped: Iterable[str]):
        self.config, self.everything = config, whole(config)
        count = len(self.everything.stages)
        self.stages: set[int] = set()
        self.layers: dict[str, list[set[int]]] = {
            side: [set() for _ in range(count)] for side in ("down", "up")
        }
        self.still: dict[str, set[int]] = {"down": set(), "up": set()}
        self.mid = self.mid_still = False
        known = _names(config)
        for name in dict.fromkeys(dropped):
            if name not in known:
                near = difflib.get_close_matches(name, known, n=3)
                hint = f"near: {', '.join(near)}" if near else f"there are {', '.join(known)}"
                raise DropError(f"This UNet has nothing called {name!r} to drop; {hint}")
            self._sort(name)

    def _sort(self, name: str) -> None:
        if name in (MID, MID_TRANSFORMERS):
            self.mid, self.mid_still = self.mid or name == MID, True
            return
        parts = re.fullmatch(r"(down|up)\.(\d+)(.*)", name)
        assert parts is not None, "the name is one of those there are"
        side, block, rest = parts.groups()
        last = len(self.everything.stages) - 1
        level = int(block) if side == "down" else last - int(block)
        if not rest:
            self.stages.add(level)
        elif rest == ".transformers":
            self.still[side].add(level)
        else:
            self.layers[side][level].add(int(rest.rpartition(".")[2]))

    def kept(self) -> Kept:
        count = self._count()
        stages = tuple(self._stage(level, innermost=level == count - 1) for level in range(count))
        everything = self.everything
        mid = everything.mid and not self.mid
        if mid:
            self._check_mid(count)
        found = Kept(stages, mid, mid and everything.mid_attends and not self.mid_still)
        if _attends(everything) and not _attends(found):
            raise DropError(
                "Nothing that stays would read the context (the class or text): keep transformers"
                " somewhere"
            )
        return found

    def _count(self) -> int:
        """How many stages stay."""
        all_stages = len(self.everything.stages)
        count = all_stages - len(self.stages)
        if count == 0:
            raise DropError("down.0 cannot be dropped: it would be the last stage to go")
        outside = sorted(self.stages - set(range(count, all_stages)))
        if outside:
            raise DropError(
                f"down.{outside[0]} cannot be dropped while down.{all_stages - 1}, inside it,"
                " stays: stages go from the inside"
            )
        return count

    def _check_mid(self, count: int) -> None:
        config, inner = self.config, count - 1
        sizes = (config.block_out_channels, config.heads, config.depths)
        if any(size[inner] != size[-1] for size in sizes):
            raise DropError(
                f"mid is {config.block_out_channels[-1]} channels wide with {config.heads[-1]}"
                f" heads, down.{inner} beside it would be {config.block_out_channels[inner]} with"
                f" {config.heads[inner]}: drop mid too"
            )

    def _stage(self, level: int, *, innermost: bool) -> Stage:
        stage, name = self.everything.stages[level], f"down.{level}"
        down, up = set(self.layers["down"][level]), set(self.layers["up"][level])
        free_down, free_up = self._free(level, stage)
        for layer in sorted(down - set(free_down)):
            raise DropError(f"{name}.layer.{layer} cannot be dropped: it changes the width")
        for layer in sorted(up - set(free_up)):
            up_name = f"up.{len(self.everything.stages) - 1 - level}.layer.{layer}"
            raise DropError(f"{up_name} cannot be dropped: it reads what comes from another width")
        fewer = max(len(down), len(up))
        for these, free in ((down, free_down), (up, free_up)):
            for layer in free:
                if len(these) < fewer:
                    these.add(layer)
        if len(down) < fewer or len(up) < fewer or (innermost and fewer == len(stage.down)):
            other = f"; the whole stage may go: {name}" if innermost else ""
            raise DropError(
                f"{name} cannot lose {fewer} of its {len(stage.down)} layers: none that may go is"
                f" left in it and in the up block across{other}"
            )
        attends = {}
        for side, was in (("down", stage.down_attends), ("up", stage.up_attends)):
            attends[side] = was and level not in self.still[side]
        left = tuple(j for j in stage.down if j not in down)
        return Stage(
            left,
            tuple(j for j in stage.up if j not in up),
            attends["down"] and bool(left),
            attends["up"],
        )

    def _free(self, level: int, stage: Stage) -> tuple[list[int], list[int]]:
        """Layers of the down and the up block that may go, in the order they do.

        Of the down block the last first. Of the up block the inner ones from the last, as in
        BK-SDM, then the first, then the last: where neighbours differ in width, these two stay.
        """
        widths = self.config.block_out_channels
        outside, width, inside = (widths[min(max(i, 0), len(widths) - 1)] for i in
                                  (level - 1, level, level + 1))  # fmt: skip
        down = [j for j in reversed(stage.down) if j > 0 or outside == width]
        up = [*stage.up[-2:0:-1]]
        up += stage.up[:1] * (inside == width) + stage.up[-1:] * (outside == width)
        return down, up


def _attends(found: Kept) -> bool:
    sides = (side for stage in found.stages for side in (stage.down_attends, stage.up_attends))
    return found.mid_attends or any(sides)
