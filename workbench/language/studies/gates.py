"""The gate ablation of GLA's paper at sizes for a CPU, over bytes.

    python -m workbench.language.studies.gates

Gated linear attention with no gate, with RetNet's fixed decay a head, with one gate a head of the
data, and with its own gate for each channel, on the ladder's 10 k, 30 k and 100 k parameters;
feed-forward layers take what a gate leaves, so that sizes are equal. The paper has this at 340 M
parameters and 7 B tokens (Yang et al. 2023, arXiv 2312.06635, table 6), where training perplexity
is 23.21, 16.55, 15.56 and 14.77.

Plan: each run sees 2.05 M bytes of the standard library's English, about one epoch, in 1000 updates
of 8 rows of 256. Three rates of half that length are searched for each family and size, then three
seeds. By count that is 21.9 T multiply-adds, 12 minutes at 30 GFLOP/s on each of two cores; small
products and compiling several times that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.language.config import DecoderConfig
from workbench.language.published import ladder
from workbench.language.studies.command import main as command
from workbench.language.studies.design import Design, Entry
from workbench.language.tasks import NextToken
from workbench.training import Result

MODULE = "workbench.language.studies.gates"
SIZES = ("10k", "30k", "100k")
NAMES = {
    "gla-none": "no gate",
    "gla-fixed": "fixed decay",
    "gla-scalar": "scalar gate",
    "gla": "GLA",
}
PAPER = ("gla", "gla-scalar", "gla-fixed", "gla-none")
SOURCE = "Yang et al. 2023 (GLA), gate ablation, 340 M parameters, 7 B tokens"
LENGTH = 256


def next_byte(config: DecoderConfig) -> NextToken:
    """The next byte of the standard library's English."""
    from workbench.datasets import english
    from workbench.language.token_data import TokenData

    return NextToken(config, TokenData(english(), length=LENGTH))


def bits(entry: Entry, result: Result) -> list[dict[str, Any]]:
    """Bits per byte of the held-out text."""
    return [{"bits_per_byte": result.evaluation["bits_per_byte"]}]


def design() -> Design:
    """The study."""
    entries = tuple(
        Entry(kind, name, size, ladder(kind, size))
        for size in SIZES
        for kind, name in NAMES.items()
    )
    return text_study("gates", entries, PAPER, SOURCE)


def text_study(
    name: str, entries: tuple[Entry, ...], paper: tuple[str, ...] = (), source: str = ""
) -> Design:
    """Entries that learn the next byte, compared by bits per byte."""
    return Design(
        name=name,
        entries=entries,
        task=next_byte,
        measured=bits,
        value="bits_per_byte",
        better="lower",
        within="size",
        rates=(1e-3, 3e-3, 1e-2),
        seeds=(0, 1, 2),
        steps=1000,
        search_steps=500,
        batch_size=8,
        length=LENGTH,
        paper=paper,
        source=source,
        about={"data": "the standard library's English as bytes; a tenth of its files held out"},
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    return command(design(), MODULE, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
