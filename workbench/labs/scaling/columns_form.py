"""What the columns of a brought table are, put right by hand: a column's name, or the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from workbench.study.knobs import Knobs, knob

if TYPE_CHECKING:
    import pandas as pd

    from workbench.scaling.importing import Choice

AS_PROPOSED = "proposed"

SCALES = {AS_PROPOSED: "As proposed", "1": "Ones", "1e3": "Thousands", "1e6": "Millions",
          "1e9": "Billions"}  # fmt: skip
UNITS = {AS_PROPOSED: "As proposed", "nats": "Nats", "bits": "Bits", "perplexity": "Perplexity"}
COUNTED = {AS_PROPOSED: "As proposed", "total": "All", "body": "No embedding"}

BY_HAND = "or numbers: 70M for all, small = 70M; large = 1.3B by run"

NAMED: Mapping[str, tuple[str, str, str]] = {
    "size_column": ("n_params", "Column of N", f"the parameters by name, {BY_HAND}"),
    "embedding_column": ("embedding", "Embedding", "the embedding’s parameters, which are added to "
                         f"an N without them, by name, {BY_HAND}"),
    "vocabulary_column": ("vocabulary", "Vocabulary", "the vocabulary’s size, by name or as a "
                          "number; times the width it is the embedding"),
    "width_column": ("width", "Width", f"the model’s width by name, {BY_HAND}"),
    "tokens_column": ("n_tokens", "Column of D", f"the training tokens by name, {BY_HAND}"),
    "step_tokens": ("tokens_per_step", "Tokens a step", "the tokens of an update, for a log that "
                    f"has steps alone, by name, {BY_HAND}"),
    "loss_column": ("loss", "Column of loss", "the loss, by name"),
    "method_column": ("method", "Column of method", "the method or architecture, by name"),
    "run_column": ("run", "Column of run", "the run that a row by step is of, by name"),
    "seed_column": ("seed", "Column of seed", "the seed, by name"),
    "rate_column": ("learning_rate", "Column of rate", "the learning rate, by name: a point read "
                    "while it was high is flagged"),
    "unique_column": ("unique_tokens", "Unique tokens", f"the distinct tokens by name, {BY_HAND}"),
    "flops_column": ("flops", "Column of FLOP", "the FLOPs of training by name, for the FLOP "
                     "count “As given”"),
}  # fmt: skip
"""Fields that take a column or numbers: their target, label, and what they are a column of."""

CHOSEN: Mapping[str, tuple[str, str, Mapping[str, str], str, str]] = {
    "size_scale": ("n_params", "scale", SCALES, "N is in",
                   "What a plain number of parameters counts."),
    "size_counts": ("n_params", "embedding", COUNTED, "Column N has",
                    "Whether the embedding is among them. Where it is not, it is added from its "
                    "column or from vocabulary × width; else N stays without it, and 6 N D is "
                    "Kaplan’s count."),
    "tokens_scale": ("n_tokens", "scale", SCALES, "D is in",
                     "What a plain number of tokens counts."),
    "loss_unit": ("loss", "unit", UNITS, "Loss is in", "Bits and perplexities become nats."),
    "unique_scale": ("unique_tokens", "scale", SCALES, "Unique tokens in",
                     "What a plain number of unique tokens counts."),
    "flops_scale": ("flops", "scale", SCALES, "FLOP is in", "What a plain number of FLOP counts."),
}  # fmt: skip
"""Fields of a choice: their target, which field of it, the words, the label, the help."""

ORDER = (
    "size_column", "size_scale", "size_counts", "embedding_column", "vocabulary_column",
    "width_column", "tokens_column", "tokens_scale", "step_tokens", "loss_column", "loss_unit",
    "method_column", "run_column", "seed_column", "rate_column", "unique_column", "unique_scale",
    "flops_column", "flops_scale",
)  # fmt: skip


def column_knobs(seen: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the form, by name.

    Args:
        seen: when they are.
    """
    return {name: _text(name, seen) if name in NAMED else _choice(name, seen) for name in ORDER}


def _text(name: str, seen: Mapping[str, Any]) -> tuple[Any, Any]:
    _, label, what = NAMED[name]
    help = f"Column of {what}; empty where the proposal is right."
    return str, knob("", label=label, visible_when=dict(seen), help=help)


def _choice(name: str, seen: Mapping[str, Any]) -> tuple[Any, Any]:
    _, _, words, label, help = CHOSEN[name]
    made = knob(AS_PROPOSED, label=label, choices=dict(words), visible_when=dict(seen), help=help)
    return Literal[tuple(words)], made


def corrected(knobs: Knobs, raw: pd.DataFrame) -> list[Choice]:
    """What was put right by hand, as choices; what is left empty stays as proposed.

    Args:
        knobs: with the fields of `column_knobs`, or without them.
        raw: the table as it was read.

    Raises:
        ValueError: a unit or a scale of what no column was proposed for.
    """
    from workbench.scaling.importing import propose, put_by_hand, put_right, recall

    named, changed = _named(knobs), _changed(knobs)
    targets = dict.fromkeys([*named, *changed])
    if not targets:
        return []
    choices = recall(raw) or propose(raw)
    for target in targets:
        fields = changed.get(target, {})
        if target in named:
            choices = put_by_hand(choices, raw, target, named[target], **fields)
        elif target in {one.target for one in choices}:
            choices = put_right(choices, target, **fields)
        else:
            raise ValueError(f"No column was proposed for {target}; name one first")
    return [one for one in choices if one.target in targets]


def _named(knobs: Knobs) -> dict[str, str]:
    """Words of each target that a column, or numbers, were given for."""
    given = {NAMED[name][0]: str(getattr(knobs, name, "")).strip() for name in NAMED}
    return {target: words for target, words in given.items() if words}


def _changed(knobs: Knobs) -> dict[str, dict[str, Any]]:
    """Fields of each target that were chosen."""
    found: dict[str, dict[str, Any]] = {}
    for name, (target, field, *_) in CHOSEN.items():
        value = str(getattr(knobs, name, AS_PROPOSED))
        if value == AS_PROPOSED:
            continue
        found.setdefault(target, {})[field] = _plain(field, value)
    return found


def _plain(field: str, value: str) -> Any:
    """A choice of the form as a field of `Choice`."""
    if field == "scale":
        return float(value)
    return value == "total" if field == "embedding" else value
