"""Which column is what: a proposal from names and values, to be looked at and put right.

What no column has may be given by hand: one number for all rows, or one for each run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from workbench.scaling.flops import ABOUT
from workbench.scaling.importing.by_hand import are_values, of_each
from workbench.scaling.importing.completing import completed, told
from workbench.scaling.importing.quantities import SCALES, count, counts, nats


def _names(words: str) -> tuple[str, ...]:
    return tuple(words.split())


NAMES: Mapping[str, tuple[str, ...]] = {
    "n_params": _names(
        "n_params nparams params parameters num_params num_parameters model_params param_count "
        "model_size size n non_embedding_params non_emb_params n_nonemb n_non_embedding"
    ),
    "n_non_embedding": _names(
        "n_non_embedding non_embedding_params non_emb_params n_nonemb non_embedding_parameters"
    ),
    "embedding": _names("embedding embedding_params embedding_parameters emb_params n_embedding"),
    "n_tokens": _names(
        "n_tokens tokens ntokens num_tokens train_tokens training_tokens tokens_seen d "
        "num_input_tokens_seen total_tokens dataset_size tokens_trained"
    ),
    "loss": _names(
        "loss val_loss validation_loss eval_loss test_loss final_loss valid_loss nll "
        "cross_entropy ce val_nll eval_nll perplexity ppl val_ppl val_perplexity eval_perplexity "
        "bpb bpc bpt bits_per_byte bits_per_token val_bpb train_loss"
    ),
    "flops": _names("flops flop total_flops train_flops training_flops c compute total_flos"),
    "unique_tokens": _names("unique_tokens unique u tokens_unique"),
    "weight": _names("weight"),
    "seed": _names("seed random_seed"),
    "method": _names("method arch architecture model family model_type"),
    "run": _names("run run_id run_name name id"),
    "step": _names("step steps global_step iteration"),
    "learning_rate": _names("learning_rate lr rate"),
    "cluster": _names("cluster"),
    "tokens_per_step": _names(
        "tokens_per_step tokens_per_update tokens_per_batch batch_tokens tokens_a_step"
    ),
    "width": _names("width d_model hidden_size n_embd model_dim"),
    "depth": _names("depth n_layers num_layers n_layer num_hidden_layers layers"),
    "heads": _names("heads n_heads num_heads n_head num_attention_heads"),
    "inner": _names("inner d_ff ffn_dim intermediate_size ffn_width n_inner"),
    "vocabulary": _names("vocabulary vocab_size n_vocab vocab"),
    "length": _names("length seq_len sequence_length context_length block_size"),
    "gated": _names("gated gated_ffn"),
    "bits_w": _names("bits_w weight_bits w_bits"),
    "bits_a": _names("bits_a activation_bits a_bits"),
    "bits_kv": _names("bits_kv kv_bits"),
}
"""Names that columns go by, best first."""

COUNTS = (
    "n_params", "n_non_embedding", "embedding", "n_tokens", "flops", "unique_tokens",
    "tokens_per_step", "vocabulary",
)  # fmt: skip
NUMBERS = (
    "weight", "step", "learning_rate", "bits_w", "bits_a", "bits_kv", "width", "depth", "heads",
    "inner", "length", "gated",
)  # fmt: skip

COUNTED = tuple(f"flops_{name}" for name in ABOUT)
"""Columns of FLOPs whose convention is known."""

OTHER_LAWS = (
    "error", "accuracy", "score", "fraction", "tokens_per_byte", "bits", "fp_tokens", "qat_tokens",
    "bits_post", "degradation", "x", "gflops", "millions", "million_pairs", "least_steps",
    "least_flops",
)  # fmt: skip
"""Columns that laws of task scores, quantised training and one quantity read."""

KEPT = (*COUNTED, "budget", "mid_schedule", "simulated", *OTHER_LAWS)
"""Columns that keep their names, and are never taken for something else."""

UNITS = {
    word: SCALES[word]
    for word in (
        "k", "m", "million", "millions", "b", "billion", "billions", "t", "trillion", "trillions",
    )
}  # fmt: skip
"""Words of a header that say what its numbers are multiplied by."""

HIGHEST_LOSS = 15.0
"""Nats a token that no model of less than 3 M words begins above: it is a perplexity."""


@dataclass(frozen=True)
class Choice:
    """What a column of the table is.

    Attributes:
        target: the name it gets.
        column: as it stands in the table.
        scale: of a plain number: 1e9 where tokens are given in billions.
        unit: of a loss: `nats`, `bits` or `perplexity`.
        embedding: whether a number of parameters counts the embedding.
        why: in words.
        given: instead of a column, a number for all rows, or `run = number; run = number`.
    """

    target: str
    column: str
    scale: float = 1.0
    unit: str = "nats"
    embedding: bool = True
    why: str = ""
    given: str = ""

    @property
    def source(self) -> str:
        """The column, or the numbers that were given."""
        return self.column or self.given


def propose(table: pd.DataFrame) -> list[Choice]:
    """What each column is likely to be; columns that say nothing are left out.

    Args:
        table: as it was read.
    """
    found: list[Choice] = []
    taken: set[str] = set(KEPT)
    for target, names in NAMES.items():
        for column in _by_name(table, names):
            if column not in taken:
                taken.add(column)
                found.append(_choice(target, column, table[column]))
                break
    return found


def put_right(choices: list[Choice], target: str, **changes: Any) -> list[Choice]:
    """The choices with one changed by hand, or added.

    Args:
        choices: as proposed.
        target: which.
        **changes: fields of `Choice`.

    Raises:
        ValueError: a target that is not known, or no column for a new one.
    """
    if target not in NAMES:
        raise ValueError(f"target is {target!r}, not one of {', '.join(NAMES)}")
    here = [one for one in choices if one.target == target]
    if not here and "column" not in changes:
        raise ValueError(f"{target}: no column was proposed; name one")
    one = here[0] if here else Choice(target, "")
    changed = replace(one, **changes, why="by hand")
    return [*(other for other in choices if other.target != target), changed]


def put_by_hand(
    choices: list[Choice], table: pd.DataFrame, target: str, words: str, **changes: Any
) -> list[Choice]:
    """The choices with one that names a column, or gives the numbers themselves.

    Args:
        choices: as proposed.
        table: as it was read.
        target: which.
        words: a column; or of a number 70M for all rows, `small = 70M; large = 1.3B` by run.
        **changes: further fields of `Choice`.

    Raises:
        ValueError: as of `put_right`.
    """
    text = words.strip()
    there = [column for column in table.columns if str(column) == text]
    if not there and target in (*COUNTS, *NUMBERS) and are_values(text):
        return put_right(choices, target, column="", given=text, **changes)
    return put_right(choices, target, column=there[0] if there else text, given="", **changes)


def applied(table: pd.DataFrame, choices: list[Choice]) -> pd.DataFrame:
    """The table under this library's names and units; what is no number stays, to be named.

    Parameters that do not count the embedding are `n_non_embedding`. Columns of FLOPs by a named
    convention, `budget`, `mid_schedule` and `simulated` stay; what follows from the others is
    added, see `completing`.

    Raises:
        ValueError: a chosen column that the table does not have, or a run without a number.
    """
    found = table[[name for name in KEPT if name in table.columns]].copy()
    runs = _runs(table, choices)
    for choice in choices:
        found[_name(choice)] = _values(table, choice, runs)
    return completed(found)


def completions(choices: list[Choice]) -> list[str]:
    """How columns are made that no choice names, in words."""
    return told([_name(one) for one in choices])


def as_rows(choices: list[Choice]) -> list[dict[str, Any]]:
    """The choices as a table for the screen or a file."""
    return [asdict(choice) for choice in choices]


def _name(choice: Choice) -> str:
    """Of the column that a choice becomes."""
    body = choice.target == "n_params" and not choice.embedding
    return "n_non_embedding" if body else choice.target


def _values(table: pd.DataFrame, choice: Choice, runs: pd.Series | None) -> pd.Series:
    """A column in this library's units."""
    target = choice.target
    if choice.given:
        given = of_each(target, choice.given, table.index, runs)
    elif choice.column in table.columns:
        given = table[choice.column]
    else:
        there = ", ".join(map(str, table.columns))
        raise ValueError(f"{target}: no column {choice.column!r}; there are {there}")
    if target in COUNTS:
        return counts(given, choice.scale)
    if target == "loss":
        return nats(given, choice.unit)  # type: ignore[arg-type]
    return counts(given) if target in NUMBERS else given


def _runs(table: pd.DataFrame, choices: list[Choice]) -> pd.Series | None:
    """Which run a row is of, where a column says so."""
    columns = [one.column for one in choices if one.target == "run"]
    return table[columns[0]] if columns and columns[0] in table.columns else None


def _by_name(table: pd.DataFrame, names: tuple[str, ...]) -> list[str]:
    """Columns of one of the names, with or without a unit in them; best name first."""
    plain = {column: _words(str(column)) for column in table.columns}
    order = {name: place for place, name in enumerate(names)}
    ranked = []
    for column, words in plain.items():
        for cut in range(len(words), 0, -1):
            stem = "_".join(words[:cut])
            if stem in order and all(word in UNITS or word in OTHER for word in words[cut:]):
                ranked.append((order[stem], column))
                break
    return [column for _, column in sorted(ranked, key=lambda one: one[0])]


OTHER = {"nats", "nat", "bits", "bit", "total", "non", "embedding", "emb", "nonemb", "final", "per"}
OTHER |= {"token", "byte", "char", "ppl", "perplexity", "ne"}


def _words(column: str) -> list[str]:
    """`Tokens (B)` as tokens, b; `valLoss` as val, loss; `val/loss` likewise."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column)
    return [word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word]


def _choice(target: str, column: str, values: pd.Series) -> Choice:
    words = _words(str(column))
    found = Choice(target, column, why=f"by its name, {column}")
    if target in COUNTS:
        unit = next((UNITS[word] for word in words[1:] if word in UNITS), None)
        if unit is not None:
            found = replace(found, scale=unit, why=f"{found.why}: in units of {unit:g}")
        elif (guess := _scale(target, values)) != 1.0:
            found = replace(
                found, scale=guess, why=f"{found.why}; so small that it counts {guess:g}"
            )
    if target == "n_params" and {"non", "nonemb", "ne", "nonembedding"} & set(words):
        found = replace(found, embedding=False, why=f"{found.why}: without the embedding")
    if target == "loss":
        of_loss, why = _loss_unit(words, values)
        found = replace(found, unit=of_loss, why=why)
    return found


def _scale(target: str, values: pd.Series) -> float:
    """Models of less than a hundred parameters, and tokens alike, are given in larger units."""
    numbers = values.map(count).to_numpy(float)
    plain = numbers[np.isfinite(numbers)]
    if not len(plain) or plain.max() >= 5000:
        return 1.0
    if target in ("n_params", "n_non_embedding"):
        return 1e9 if plain.max() < 100 else 1e6
    return 1e9 if target in ("n_tokens", "unique_tokens") else 1.0


def _loss_unit(words: list[str], values: pd.Series) -> tuple[str, str]:
    if {"ppl", "perplexity"} & set(words):
        return "perplexity", "a perplexity, by its name"
    if {"bits", "bit", "bpb", "bpc", "bpt"} & set(words):
        return "bits", "bits, by its name"
    numbers = values.map(count).to_numpy(float)
    plain = numbers[np.isfinite(numbers)]
    if len(plain) and np.median(plain) > HIGHEST_LOSS:
        return "perplexity", f"a perplexity: most are above {HIGHEST_LOSS:g}"
    return "nats", "nats a token, as usual; bits and perplexities differ"
