"""The libraries that parity tests compare with, which stand in an environment of their own."""

from typing import Any

import pytest

ABSENT = "torch and its libraries are not here; `make test-parity` runs what compares with them"


def peer(name: str) -> Any:
    """The module `name`; where it is not installed, the test or file that asks is skipped.

    All of them are skipped at this one place and for one reason, which pytest tells in one line.
    """
    return pytest.importorskip(name, reason=ABSENT)
