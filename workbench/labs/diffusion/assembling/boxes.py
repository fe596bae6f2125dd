"""The diagram of a UNet: what is kept, what each click would do, and what each block costs."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.diffusion.assembly.dropping import DropError, Kept, kept
from workbench.figures.numbers import count, number
from workbench.labs.diffusion.assembling.networks import Network, attends, layers_of, told
from workbench.panels.diagram import Box, Diagram, Level, State, shade

CONV_IN, CONV_OUT = "conv_in", "conv_out"


def diagram(network: Network, names: Sequence[str]) -> Diagram:
    """The whole network, with what these names drop struck out.

    Raises:
        DropError: names that cannot be dropped.
    """
    return _Drawing(network, tuple(names)).diagram()


def after(network: Network, names: Sequence[str], clicked: str) -> tuple[str, ...] | None:
    """The names after a click on a box; None where it can do nothing."""
    if clicked in struck(network, names):
        return _brought_back(network, tuple(names), clicked)
    longer = (*names, clicked)
    return longer if allowed(network, longer) else None


def _brought_back(network: Network, names: tuple[str, ...], clicked: str) -> tuple[str, ...] | None:
    """Without the fewest names that keep a box away: itself, or those it goes with."""
    if clicked in names:
        shorter = tuple(name for name in names if name != clicked)
        if allowed(network, shorter) and clicked not in struck(network, shorter):
            return shorter
    for name in names:
        shorter = tuple(other for other in names if other not in (name, clicked))
        if allowed(network, shorter) and clicked not in struck(network, shorter):
            return shorter
    return None


def allowed(network: Network, names: Sequence[str]) -> bool:
    try:
        kept(network.config, names)
    except DropError:
        return False
    return True


def struck(network: Network, names: Sequence[str]) -> set[str]:
    """Every box that is gone: layers, transformers of blocks, whole stages, the middle."""
    return _gone(network, kept(network.config, names))


def _gone(network: Network, parts: Kept) -> set[str]:
    levels = len(network.config.layers)
    run = set(layers_of(parts, levels))
    found = {name for name in network.blocks if name not in run} - {CONV_IN, CONV_OUT}
    found |= {f"down.{level}" for level in range(len(parts.stages), levels)}
    if not parts.mid:
        found.add("mid")
    blocks = {name: name.rsplit(".layer.", 1)[0] for name in network.transformers}
    reading = {
        block
        for name, block in blocks.items()
        if name not in found and attends(parts, name, levels)
    }
    found |= {f"{block}.transformers" for block in blocks.values() if block not in reading}
    return found


class _Drawing:
    """One state of the diagram."""

    def __init__(self, network: Network, names: tuple[str, ...]):
        self.network, self.names = network, names
        self.gone = struck(network, names)
        self.most = max(one.macs for one in network.blocks.values())
        self.whole = network.total

    def diagram(self) -> Diagram:
        config = self.network.config
        levels = len(config.layers)
        middle = [self._middle()] if config.mid_block_type is not None else []
        if "mid.layer.0" in self.network.transformers:
            middle.append(self._transformers("mid"))
        left = self.network.without(self.names)
        share = 100 * left.macs / self.whole.macs
        return Diagram(
            [self._level(level, levels) for level in range(levels)],
            middle,
            ("0", f"{told(self.most)}MACs a block"),
            f"{count(left.parameters)} of {count(self.whole.parameters)} parameters, "
            f"{told(left.macs)} of {told(self.whole.macs)}MACs a pass: "
            f"{number(share)} %",
        )

    def _level(self, level: int, levels: int) -> Level:
        side = self.network.side >> level
        down, up = f"down.{level}", f"up.{levels - 1 - level}"
        first = [self._layer(CONV_IN)] if level == 0 else []
        last = [self._layer(CONV_OUT)] if level == 0 else []
        whole = self._named(down, f"{side} × {side}", "the whole stage, both sides")
        return Level(
            f"{side} × {side}",
            [*first, *self._block(down)],
            [*self._block(up), *last],
            None if whole.state == "fixed" else whole,
        )

    def _block(self, block: str) -> list[Box]:
        layers = [name for name in self.network.blocks if name.startswith(f"{block}.")]
        attending = any(name in self.network.transformers for name in layers)
        own = [self._transformers(block)] if attending else []
        return [*(self._layer(name) for name in layers), *own]

    def _layer(self, name: str) -> Box:
        cost = self.network.blocks[name]
        label = name.replace(".layer.", " layer ").replace("downsample", "halve")
        label = label.replace("upsample", "double").replace(".", " ")
        words = "a ResNet" + (" with transformers" if name in self.network.transformers else "")
        if ".layer." not in name:
            words = "it changes the size or the channels"
        return self._box(name, label, words, cost.macs, count(cost.parameters))

    def _middle(self) -> Box:
        parts = [one for name, one in self.network.blocks.items() if name.startswith("mid.")]
        macs = sum(one.macs for one in parts)
        return self._box(
            "mid", "middle", "the middle block", macs, count(sum(one.parameters for one in parts))
        )

    def _transformers(self, block: str) -> Box:
        of = [n for n in self.network.transformers if n.rsplit(".layer.", 1)[0] == block]
        macs = sum(self.network.transformers[name].macs for name in of)
        box = self._named(f"{block}.transformers", "its transformers", "the ResNets stay")
        return Box(box.id, box.label, box.state, None, told(macs), box.why)

    def _named(self, name: str, label: str, words: str) -> Box:
        state, why = self._state(name, words)
        return Box(name, label, state, None, "", why)

    def _box(self, name: str, label: str, words: str, macs: float, parameters: str) -> Box:
        state, why = self._state(name, f"{words}, {parameters} parameters")
        return Box(name, label, state, shade(macs, self.most), told(macs), why)

    def _state(self, name: str, words: str) -> tuple[State, str]:
        """Whether it is there, and what a click does or why it does nothing."""
        if name in self.gone:
            back = _brought_back(self.network, self.names, name)
            return "gone", f"{name}: dropped" + ("; a click brings it back" if back else "")
        try:
            kept(self.network.config, (*self.names, name))
        except DropError as error:
            reason = str(error)
            if "nothing called" in reason:
                reason = f"{name} stays: {words}"
            return "fixed", reason
        return "kept", f"{name}: {words}; a click drops it"
