"""Where tests keep pictures to be looked at."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def artifacts() -> Path:
    """``$WORKBENCH_ARTIFACTS``, else ``artifacts/`` of the checkout; made where it is not there."""
    folder = Path(os.environ.get("WORKBENCH_ARTIFACTS") or ROOT / "artifacts")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
