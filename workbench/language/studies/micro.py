"""Every mixer at 30 k parameters over bytes: what a mixer of one's own is set beside.

    python -m workbench.language.studies.micro

Data, length, rates and seeds are those of `gates`, so that rows of both can stand in one table.
Plan: 8 models of 6 runs; by count 12 T multiply-adds, 7 minutes on two cores at best, and beside
that 32 programs to compile.
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.language.published import ladder
from workbench.language.studies.command import main as command
from workbench.language.studies.design import Design, Entry
from workbench.language.studies.gates import text_study

MODULE = "workbench.language.studies.micro"
SIZE = "30k"
NAMES = {
    "attention": "Transformer++",
    "gla": "GLA",
    "retnet": "RetNet",
    "mamba2": "Mamba-2",
    "hgrn2": "HGRN2",
    "delta_net": "DeltaNet",
    "gated_delta_net": "Gated DeltaNet",
    "mlgru": "MLGRU",
}


def design() -> Design:
    """The study."""
    entries = tuple(Entry(kind, name, SIZE, ladder(kind, SIZE)) for kind, name in NAMES.items())
    return text_study("micro", entries)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    return command(design(), MODULE, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
