"""Runs benchmarks one after the other, each in a process of its own.

python benchmarks/run.py [--tiny] [--out DIR] [NAME ...]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from record import scripts


def main() -> int:
    """All benchmarks, or the named ones; the number of those that failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="which ones; all when none is named"
    )
    parser.add_argument("--tiny", action="store_true", help="short forms, to see that they run")
    parser.add_argument("--out", type=Path, help="folder for the JSON records")
    options = parser.parse_args()
    known = {script.stem: script for script in scripts()}
    unknown = sorted(set(options.names) - set(known))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    passed_on = [
        *(["--tiny"] if options.tiny else []),
        *(["--out", str(options.out)] if options.out else []),
    ]
    failed = []
    for name in options.names or known:
        done = subprocess.run([sys.executable, str(known[name]), *passed_on], check=False)
        if done.returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
