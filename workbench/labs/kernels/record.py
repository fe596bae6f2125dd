"""Measures what the lab shows before anything ran here: the errors against gate strength.

python -m workbench.labs.kernels.record [--out data/kernels]
"""

from __future__ import annotations

import argparse
import datetime
import json
from pathlib import Path

from workbench.labs.kernels.exactness import TOKENS, WIDTH, accuracy
from workbench.measure import device

FILE = "accuracy.json"


def main() -> None:
    """Both dtypes, every scheme; under a minute."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("data/kernels"))
    out = parser.parse_args().out
    rows = [row for dtype in ("float32", "bfloat16") for row in accuracy(dtype=dtype)]
    found = {
        "date": datetime.date.today().isoformat(),
        "device": device.label(),
        "tokens": TOKENS,
        "width": WIDTH,
        "rows": rows,
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / FILE).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"{len(rows)} errors in {out / FILE}")


if __name__ == "__main__":
    main()
