"""Restore the pictures of the panel's presets, so that its first picture is there at once.

python -m workbench.labs.diffusion.restoring.record
"""

from __future__ import annotations

import argparse
import datetime
import sys
from pathlib import Path

from workbench.home import keep_compiled
from workbench.labs.diffusion.restoring.form import GROUPS, PRESETS
from workbench.labs.diffusion.restoring.recorded import key, write
from workbench.labs.diffusion.restoring.restored import FOLDER, restored
from workbench.labs.diffusion.restoring.source import source
from workbench.measure import device
from workbench.panels.settings import defaults, merged, parse


def main(arguments: list[str] | None = None) -> int:
    """The command; 2 where restorers are missing."""
    parser = argparse.ArgumentParser(prog="python -m workbench.labs.diffusion.restoring.record")
    parser.add_argument("--out", type=Path, default=Path(FOLDER), help="folder of the restorers")
    given = parser.parse_args(arguments)
    keep_compiled()
    found = {}
    try:
        for preset in PRESETS:
            values, _ = parse(GROUPS, merged(defaults(GROUPS), preset.values))
            assert values is not None, "presets are valid"
            name = key(values)
            assert name is not None, "presets use shipped pictures"
            for one in restored(source(values), given.out):
                found[name] = one
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    write(found, given.out, device.label(), datetime.date.today().isoformat())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
