"""Fail when a test of a JUnit report was skipped and is not listed with its reason.

``python .ci/skips.py allowed-skips.txt report.xml ...``
"""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def allowed(listing: Path) -> dict[str, str]:
    """The test ids that may be skipped, each with its reason."""
    lines = listing.read_text(encoding="utf-8").splitlines()
    entries = [line.partition(": ") for line in lines if line.strip() and line[0] != "#"]
    return {test: reason.strip() for test, _, reason in entries if reason.strip()}


def faults(report: Path, may: dict[str, str]) -> list[str]:
    """What is wrong with a report, in words: no report, no test, a skip without leave."""
    if not report.exists():
        return [f"no report at {report}: no test ran"]
    cases = list(ElementTree.parse(report).iter("testcase"))
    if not cases:
        return [f"{report} holds no test"]
    skipped = [
        (f"{case.get('classname')}.{case.get('name')}", mark.get("message"))
        for case in cases
        for mark in case.findall("skipped")
    ]
    return [f"skipped without leave: {test}: {why}" for test, why in skipped if test not in may]


def main(listing: Path, *reports: Path) -> int:
    """Print the faults of all reports; 1 if there is any."""
    may = allowed(listing)
    found = [fault for report in reports for fault in faults(report, may)]
    for fault in found:
        print(fault)
    return 1 if found or not reports else 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
