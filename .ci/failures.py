"""Print the failed tests of a folder's JUnit reports, each with the end of what it said.

``python .ci/failures.py artifacts/reports``
"""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

LINES = 40


def failures(report: Path) -> list[str]:
    """Each failed test of a report: its name and the last lines of its traceback."""
    return [
        "\n".join([f"{case.get('classname')}.{case.get('name')}", *_end(mark.text or "")])
        for case in ElementTree.parse(report).iter("testcase")
        for mark in [*case.findall("failure"), *case.findall("error")]
    ]


def _end(text: str) -> list[str]:
    return [f"    {line}" for line in text.rstrip().splitlines()[-LINES:]]


def main(folder: Path) -> None:
    for report in sorted(folder.glob("*.xml")):
        for failure in failures(report):
            print(failure)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
