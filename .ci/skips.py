"""Fail when a test of a JUnit report was skipped and is not listed with its reason.

``python .ci/skips.py report.xml allowed-skips.txt``
"""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def allowed(listing: Path) -> dict[str, str]:
    """The test ids that may be skipped, each with its reason."""
    lines = listing.read_text(encoding="utf-8").splitlines()
    entries = [line.partition(": ") for line in lines if line.strip() and line[0] != "#"]
    return {test: reason.strip() for test, _, reason in entries if reason.strip()}


def skipped(report: Path) -> list[tuple[str, str]]:
    """The skipped tests of a report: (id, message)."""
    cases = ElementTree.parse(report).iter("testcase")
    return [
        (f"{case.get('classname')}.{case.get('name')}", str(mark.get("message")))
        for case in cases
        for mark in case.findall("skipped")
    ]


def main(report: Path, listing: Path) -> int:
    """Print what was skipped without leave; 1 if anything was, or if no test ran at all."""
    if not report.exists():
        print(f"no report at {report}: no test ran")
        return 1
    may, found = allowed(listing), skipped(report)
    unlisted = [(test, message) for test, message in found if test not in may]
    for test, message in unlisted:
        print(f"skipped without leave: {test}: {message}")
    total = sum(1 for _ in ElementTree.parse(report).iter("testcase"))
    if total == 0:
        print("the report holds no test")
    return 1 if unlisted or total == 0 else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
