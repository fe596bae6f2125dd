"""Softmax attention and the MatMul-free model at 100 k parameters over bytes, beside `gates`.

    python -m workbench.language.studies.families

The two families of the language lab that the gate ablation has not: its models of 100 k parameters
and these are what the lab's panels open with. Data, length, updates and seeds are those of `gates`.
Ternary weights want higher rates than dense ones (Ma et al. 2025, arXiv 2504.12285, section 2.2),
so that four rates are tried for both, up to three times the highest of `gates`.

Plan: two models of seven runs, 1000 updates of 8 rows of 256; by count 7.3 T multiply-adds, four
minutes on two cores at best, and several times that with small products and compiling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from workbench.language.published import ladder
from workbench.language.studies.command import main as command
from workbench.language.studies.design import Design, Entry
from workbench.language.studies.gates import text_study

MODULE = "workbench.language.studies.families"
SIZE = "100k"
RATES = (1e-3, 3e-3, 1e-2, 3e-2)


def design() -> Design:
    """The study."""
    entries = (
        Entry("transformer", "Transformer++", SIZE, ladder("attention", SIZE)),
        Entry("matmulfree", "MatMul-free", SIZE, ladder("matmulfree", SIZE)),
    )
    return replace(text_study("families", entries), rates=RATES)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    return command(design(), MODULE, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
