"""The colours, marks and dashes: a hue means a method, a ramp means a quantity."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Theme = Literal["light", "dark"]

BASELINE = 0
"""The slot of the method everything else is compared with: ink, never a hue."""


@dataclass(frozen=True)
class Slot:
    """One method's look: colour in both themes, mark and dash belong together."""

    name: str
    light: str
    dark: str
    mark: str
    dash: tuple[float, ...]


_STAR = (
    "M0,-1L0.26,-0.36L0.95,-0.31L0.42,0.14L0.59,0.81"
    "L0,0.44L-0.59,0.81L-0.42,0.14L-0.95,-0.31L-0.26,-0.36Z"
)
_HEXAGON = "M0,-0.9L0.78,-0.45L0.78,0.45L0,0.9L-0.78,0.45L-0.78,-0.45Z"
_HOURGLASS = "M-0.75,-0.85L0.75,-0.85L0.15,0L0.75,0.85L-0.75,0.85L-0.15,0Z"
_PLUS = (
    "M-0.3,-0.9L0.3,-0.9L0.3,-0.3L0.9,-0.3L0.9,0.3L0.3,0.3"
    "L0.3,0.9L-0.3,0.9L-0.3,0.3L-0.9,0.3L-0.9,-0.3L-0.3,-0.3Z"
)

SLOTS: tuple[Slot, ...] = (
    Slot("ink", "#292b2f", "#e2e5e9", "circle", ()),
    Slot("blue", "#577eec", "#64a7ff", "square", (7, 3)),
    Slot("vermilion", "#ba380b", "#ff641d", "diamond", (2, 2.5)),
    Slot("teal", "#209f89", "#349585", "triangle-up", (10, 3, 2, 3)),
    Slot("violet", "#6e18c5", "#7f59e0", "triangle-down", (5, 2)),
    Slot("gold", "#b4871a", "#ffdf43", _PLUS, (1, 3)),
    Slot("tide", "#003170", "#88e1fd", _STAR, (12, 3)),
    Slot("rose", "#e55d80", "#f97dad", "triangle-right", (7, 2, 2, 2, 2, 2)),
    Slot("moss", "#6b7850", "#a3da9c", _HEXAGON, (4, 4)),
    Slot("umber", "#5e3c26", "#8b6d51", _HOURGLASS, (9, 2, 4, 2)),
)

OTHERS = len(SLOTS)
"""The slot of everything beyond ten methods: folded together, drawn in secondary ink."""

AREA: dict[Theme, tuple[str, ...]] = {
    "light": (
        *("#eef2f6", "#d5e1ec", "#b4cbe0", "#8fb0d0"),
        *("#6690bb", "#4170a2", "#245083", "#123560"),
    ),
    "dark": (
        *("#1a2028", "#1f2e3f", "#254261", "#305a86"),
        *("#4177ab", "#6399cb", "#95bee3", "#cfe4f8"),
    ),
}
"""Heat-map steps, small to large: pale is small in light, dark is small in dark."""

BUDGET: dict[Theme, tuple[str, ...]] = {
    "light": ("#6a93c0", "#4b79ac", "#336196", "#204a7d", "#0f3161"),
    "dark": ("#4a78a8", "#6590bf", "#86aad3", "#abc7e6", "#d6e6f8"),
}
"""Line steps for a quantity such as compute budget; each at least 3:1 on paper."""


class Palette:
    """Gives every method name one slot, the same in every chart that uses the palette.

    A name's slot never depends on where the name stands in a chart. Declared names keep
    the slot they declare; the baseline is always slot 0; another name is given a free slot
    found from a hash of the name itself.
    """

    def __init__(self, declared: Mapping[str, int | None] | None = None, baseline: str = ""):
        """Declares names and their slots.

        Args:
            declared: method name to slot 1–9, 0 for the baseline, or None for "any free one".
            baseline: name of the method the others are compared with.

        Raises:
            ValueError: if a slot is outside 0–9.
        """
        self._slots: dict[str, int] = {}
        if baseline:
            self._slots[baseline] = BASELINE
        declared = dict(declared or {})
        for name in sorted(declared):
            wanted = declared[name]
            if wanted is None or name in self._slots:
                continue
            if not 0 <= wanted < len(SLOTS):
                raise ValueError(f"slot of {name!r} must be from 0 to {len(SLOTS) - 1}: {wanted}")
            if wanted == BASELINE or wanted not in self._slots.values():
                self._slots[name] = wanted
        self.learn(declared)

    def learn(self, names: Iterable[str]) -> None:
        """Gives a slot to each new name, independent of the order in which they come."""
        for name in sorted(set(names) - self._slots.keys()):
            self._slots[name] = self._free(name)

    def slot(self, name: str) -> int:
        """Returns the slot of a name; a name never seen gets a free one and keeps it."""
        if name not in self._slots:
            self._slots[name] = self._free(name)
        return self._slots[name]

    def declare(self, name: str, wanted: int | None) -> int:
        """Gives a new name the slot it wants if that is free; returns the slot it has."""
        free = wanted == BASELINE or wanted not in self._slots.values()
        new = name not in self._slots
        if new and free and wanted is not None and 0 <= wanted < len(SLOTS):
            self._slots[name] = wanted
        return self.slot(name)

    def _free(self, name: str) -> int:
        hues = len(SLOTS) - 1
        first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % hues
        taken = set(self._slots.values())
        order = (1 + (first + step) % hues for step in range(hues))
        return next((slot for slot in order if slot not in taken), OTHERS)

    def as_dict(self) -> dict[str, int]:
        """Returns every known name with its slot, for a record or another palette."""
        return dict(self._slots)


_shared = Palette()


def slot(name: str) -> int:
    """Returns the slot of a method name in the palette shared by this process."""
    return _shared.slot(name)


def declare(name: str, wanted: int | None) -> int:
    """Fixes a method's slot in the shared palette if the name is new; returns its slot."""
    return _shared.declare(name, wanted)


def use(declared: Mapping[str, int | None], baseline: str = "") -> Palette:
    """Replaces the shared palette, so that one lab's methods own their slots; returns it."""
    global _shared
    _shared = Palette(declared, baseline)
    return _shared


def hue(slot: int, theme: Theme = "light") -> str:
    """Returns the hex colour of a slot in a theme."""
    return str(getattr(SLOTS[slot], theme))


def css_variables(theme: Theme = "light") -> dict[str, str]:
    """Returns the colours of methods and quantities as CSS custom properties.

    `--wb-m0` … `--wb-m9` are marks, `--wb-m0t` … their text forms (75 % hue, 25 % ink),
    `--wb-area0` … `--wb-area7` heat-map steps, `--wb-budget0` … `--wb-budget4` line steps.
    """
    found = {f"--wb-m{number}": hue(number, theme) for number in range(len(SLOTS))}
    ink = "#000000" if theme == "light" else "#ffffff"
    found |= {f"{key}t": mix(value, ink, 0.75) for key, value in found.items()}
    found |= {f"--wb-area{step}": color for step, color in enumerate(AREA[theme])}
    found |= {f"--wb-budget{step}": color for step, color in enumerate(BUDGET[theme])}
    return found


def mix(first: str, second: str, share: float) -> str:
    """Returns `share` of the first hex colour over the rest of the second, in sRGB."""
    pairs = zip(channels(first), channels(second), strict=True)
    mixed = (round(share * one + (1 - share) * two) for one, two in pairs)
    return "#" + "".join(f"{value:02x}" for value in mixed)


def channels(color: str) -> tuple[int, int, int]:
    """Returns the red, green and blue of `#rrggbb`, each 0–255."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
