"""Draw and time what the panel's presets show, so that its first picture is there at once.

python -m workbench.labs.diffusion.distilled.record
"""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path

import numpy as np

from workbench.home import keep_compiled
from workbench.labs.diffusion.distilled.drawn import STUDY, Drawn, drawn, write
from workbench.labs.diffusion.distilled.form import GROUPS, PRESETS
from workbench.measure import device
from workbench.panels.settings import defaults, merged, parse
from workbench.progress import silent


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m workbench.labs.diffusion.distilled.record")
    parser.add_argument("--out", type=Path, default=Path(STUDY), help="folder of the study")
    given = parser.parse_args(arguments)
    keep_compiled()
    pictures: dict[str, np.ndarray] = {}
    seconds: dict[str, float] = {}
    for preset in PRESETS[:2]:
        values, _ = parse(GROUPS, merged(defaults(GROUPS), preset.values))
        assert values is not None, "presets are valid"
        found = drawn(values, silent)
        pictures |= found.pictures
        seconds |= {name: took for name, took in found.seconds.items() if name not in seconds}
    today = datetime.date.today().isoformat()
    write(Drawn(pictures, seconds), given.out, device.label(), today)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
