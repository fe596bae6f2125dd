"""Which column is what: a proposal from names and values, to be looked at and put right."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from workbench.scaling.importing.quantities import SCALES, count, counts, nats


def _names(words: str) -> tuple[str, ...]:
    return tuple(words.split())


NAMES: Mapping[str, tuple[str, ...]] = {
    "n_params": _names(
        "n_params nparams params parameters num_params num_parameters model_params param_count "
        "model_size size n non_embedding_params non_emb_params n_nonemb n_non_embedding"
    ),
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
    "learning_rate": _names("learning_rate lr"),
    "bits_w": _names("bits_w weight_bits w_bits"),
    "bits_a": _names("bits_a activation_bits a_bits"),
    "bits_kv": _names("bits_kv kv_bits"),
}
"""Names that columns go by, best first."""

COUNTS = ("n_params", "n_tokens", "flops", "unique_tokens")
NUMBERS = ("weight", "step", "learning_rate", "bits_w", "bits_a", "bits_kv")

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
    """

    target: str
    column: str
    scale: float = 1.0
    unit: str = "nats"
    embedding: bool = True
    why: str = ""


def propose(table: pd.DataFrame) -> list[Choice]:
    """What each column is likely to be; columns that say nothing are left out.

    Args:
        table: as it was read.
    """
    found: list[Choice] = []
    taken: set[str] = set()
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


def applied(table: pd.DataFrame, choices: list[Choice]) -> pd.DataFrame:
    """The table under this library's names and units; what is no number stays, to be named.

    Raises:
        ValueError: a chosen column that the table does not have.
    """
    found = pd.DataFrame(index=table.index)
    for choice in choices:
        if choice.column not in table.columns:
            there = ", ".join(map(str, table.columns))
            raise ValueError(f"{choice.target}: no column {choice.column!r}; there are {there}")
        given = table[choice.column]
        if choice.target in COUNTS:
            found[choice.target] = counts(given, choice.scale)
        elif choice.target == "loss":
            found["loss"] = nats(given, choice.unit)  # type: ignore[arg-type]
        elif choice.target in NUMBERS:
            found[choice.target] = counts(given)
        else:
            found[choice.target] = given
    return found


def as_rows(choices: list[Choice]) -> list[dict[str, Any]]:
    """The choices as a table for the screen or a file."""
    return [asdict(choice) for choice in choices]


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
    if target == "n_params":
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
