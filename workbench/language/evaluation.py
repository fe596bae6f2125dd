"""How good a decoder is: bits per byte, loss along a text, recall."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from workbench.datasets import DatasetError
from workbench.language.config import DecoderConfig
from workbench.language.cross_entropy import token_losses
from workbench.language.decoder import Decoder
from workbench.language.recall import MQAR
from workbench.language.token_data import IGNORED, Rows, TokenData

if TYPE_CHECKING:
    import pandas as pd

TOKENS_AT_ONCE = 4096


class HeldOutLoss(NamedTuple):
    """What a model said of a text.

    Attributes:
        nats: -log p of all targets together.
        tokens: how many there were.
        bytes: how many bytes of UTF-8 they stand for.
    """

    nats: float
    tokens: int
    bytes: int

    @property
    def bits_per_byte(self) -> float:
        """nats / (ln 2 bytes): the figure that compares across tokenizers."""
        return self.nats / (math.log(2) * self.bytes)

    @property
    def nats_per_token(self) -> float:
        """Mean loss."""
        return self.nats / self.tokens


def held_out_loss(model: Decoder, data: TokenData, *, rows: int | None = None) -> HeldOutLoss:
    """Loss on the test split, each row read from its beginning.

    Args:
        model: reads `data`'s tokens.
        data: gives the split and the length of rows.
        rows: at most so many, evenly spread; all when None.
    """
    chosen = data.test_rows(rows)
    nats = sum(float(part.sum(dtype=np.float64)) for part in _losses(model, chosen))
    return HeldOutLoss(nats, int((chosen.targets != IGNORED).sum()), data.bytes_of_targets(chosen))


def bits_per_byte(model: Decoder, data: TokenData, *, rows: int | None = None) -> float:
    """Bits a byte of the test split takes, as `held_out_loss`."""
    return held_out_loss(model, data, rows=rows).bits_per_byte


def loss_by_position(
    model: Decoder, data: TokenData, *, length: int | None = None, rows: int | None = None
) -> Float[np.ndarray, " T"]:
    """Mean loss at each place of a row, nats: how much more context helps.

    Args:
        length: tokens of a row, the data's own when None.
        rows: at most so many.
    """
    chosen = data.test_rows(rows, length)
    counts = (chosen.targets != IGNORED).sum(0)
    return sum(part.sum(0, dtype=np.float64) for part in _losses(model, chosen)) / counts


def recall_accuracy(model: Decoder, task: MQAR, *, rows: int | None = None) -> float:
    """Share of queries whose likeliest next token is the value of their key.

    Args:
        rows: at most so many of the held-out ones.
    """
    graph, weights = nnx.split(model)
    chosen = task.test_rows(rows)
    right = 0
    for part in _batches(chosen):
        right += int(_right(graph, weights, part))
    return right / int((chosen.targets != IGNORED).sum())


def _losses(model: Decoder, rows: Rows) -> Iterator[Float[np.ndarray, "B T"]]:
    graph, weights = nnx.split(model)
    for part in _batches(rows):
        yield np.asarray(_batch_losses(graph, weights, part))


def _batches(rows: Rows) -> Iterator[Rows]:
    """Batches of one size; the last is filled up with rows that do not count."""
    count, length = rows.tokens.shape
    size = min(count, max(1, TOKENS_AT_ONCE // length))
    for first in range(0, count, size):
        index = np.arange(first, first + size)
        inside = index < count
        index = np.minimum(index, count - 1)
        targets = np.where(inside[:, None], rows.targets[index], np.int32(IGNORED))
        segments = None if rows.segment_ids is None else rows.segment_ids[index]
        yield Rows(rows.tokens[index], targets, segments)


# One compilation for all models of a shape: `graph` is the shape, and equal ones are one key.
@partial(jax.jit, static_argnums=0)
def _batch_losses(graph: Any, weights: Any, rows: Any) -> jax.Array:
    model = nnx.merge(graph, weights)
    return token_losses(model(rows.tokens, segment_ids=rows.segment_ids), rows.targets)


@partial(jax.jit, static_argnums=0)
def _right(graph: Any, weights: Any, rows: Any) -> jax.Array:
    logits = nnx.merge(graph, weights)(rows.tokens, segment_ids=rows.segment_ids)
    return jnp.sum(jnp.argmax(logits, axis=-1).astype(jnp.int32) == rows.targets)


def length_extrapolation(
    model: Decoder,
    data: TokenData,
    *,
    length: int | None = None,
    factor: int = 8,
    rows: int | None = 16,
) -> pd.DataFrame:
    """Loss on texts longer than those learnt from, stretch after stretch.

    The state is carried from each stretch to the next and never reset, over ends of documents too.

    Args:
        length: tokens of a stretch; those of the data's rows, which the model learnt from, when
            None.
        factor: stretches of a text.
        rows: texts, at most.

    Returns:
        A row for each stretch: `tokens` (context at its end), `nats_per_token`, `bits_per_byte`.

    Raises:
        DatasetError: a test split shorter than one text.
        ValueError: a text longer than the model's limit.
    """
    import pandas as pd

    length = length or data.length
    whole = length * factor
    if len(data.test.ids) <= whole:
        raise DatasetError(
            f"{data.text.name}: its test split has {len(data.test.ids)} tokens; {factor} times "
            f"{length} needs {whole + 1}"
        )
    count = (len(data.test.ids) - 1) // whole  # full ones
    chosen = data.test_rows(min(count, rows or count), whole)
    graph, weights = nnx.split(model)
    states = model.initial_state(len(chosen.tokens), whole)
    found = []
    for first in range(0, whole, length):
        tokens, targets = (part[:, first : first + length] for part in chosen[:2])
        losses, states = _continued(graph, weights, tokens, targets, states)
        part = Rows(tokens, targets)
        nats = float(np.asarray(losses).sum(dtype=np.float64))
        counted = int((targets != IGNORED).sum())
        loss = HeldOutLoss(nats, counted, data.bytes_of_targets(part))
        found.append((first + length, loss.nats_per_token, loss.bits_per_byte))
    return pd.DataFrame(found, columns=["tokens", "nats_per_token", "bits_per_byte"])


def recall_by_pairs(
    model: Decoder, task: MQAR, pairs: Sequence[int], *, rows: int | None = None
) -> pd.DataFrame:
    """Accuracy as there is more to remember, beside the bytes there are to remember it in.

    Args:
        task: gives everything but the number of pairs.
        pairs: the numbers.
        rows: at most so many of the held-out rows of each.

    Returns:
        A row for each: `pairs`, `accuracy`, `chance` (of a guess among the values), `state_bytes`.

    Raises:
        ValueError: pairs that do not fit into a row.
    """
    import pandas as pd

    found = []
    for one in pairs:
        asked = MQAR.model_validate({**task.model_dump(), "pairs": one})
        accuracy = recall_accuracy(model, asked, rows=rows)
        chance = 1 / (asked.vocab - asked.vocab // 2)
        found.append((one, accuracy, chance, state_bytes(model.config, asked.length)))
    return pd.DataFrame(found, columns=["pairs", "accuracy", "chance", "state_bytes"])


def state_bytes(config: DecoderConfig, length: int) -> int:
    """Bytes of one row's states in all layers after `length` tokens."""
    layers = range(config.num_hidden_layers)
    return sum(config.mixer(layer).state_bytes(config.hidden_size, length) for layer in layers)


def throughput_by_context(
    model: Decoder, contexts: Sequence[int], *, batch: int = 1, repeats: int = 10
) -> pd.DataFrame:
    """Tokens a second of decoding after texts of several lengths, by turns.

    Args:
        contexts: tokens before the one that is timed.
        batch: rows decoded together.
        repeats: times each is measured.

    Returns:
        A row for each: `context`, `tokens_per_second` (median), `low` and `high` (quartiles),
        `state_bytes` of a row.

    Raises:
        ValueError: a context beyond the model's limit.
    """
    import pandas as pd

    from workbench.measure.timing import interleaved

    graph, weights = nnx.split(model)
    thunks = {}
    for context in contexts:
        tokens = np.arange(batch * context).reshape(batch, context) % model.config.vocab_size
        # A full cache from the first token that is timed: later ones replace its oldest.
        states = model.initial_state(batch, context + 1)
        states = _prefilled(graph, weights, tokens.astype(np.int32), states)
        last = jnp.zeros((batch,), jnp.int32)
        thunks[str(context)] = _Steps(graph, weights, last, states)
    timed = interleaved(thunks, repeats=repeats)
    found = []
    for context in contexts:
        rates = batch / np.asarray(timed[str(context)].samples)
        low, middle, high = (float(q) for q in np.quantile(rates, (0.25, 0.5, 0.75)))
        found.append((context, middle, low, high, state_bytes(model.config, context)))
    columns = ["context", "tokens_per_second", "low", "high", "state_bytes"]
    return pd.DataFrame(found, columns=columns)


@partial(jax.jit, static_argnums=0)
def _continued(graph: Any, weights: Any, tokens: Any, targets: Any, states: Any) -> Any:
    logits, states = nnx.merge(graph, weights).prefill(tokens, states)
    return token_losses(logits, targets), states


@partial(jax.jit, static_argnums=0)
def _prefilled(graph: Any, weights: Any, tokens: Any, states: Any) -> Any:
    return nnx.merge(graph, weights).prefill(tokens, states)[1]


@partial(jax.jit, static_argnums=0, donate_argnums=3)
def _step(graph: Any, weights: Any, tokens: Any, states: Any) -> Any:
    return nnx.merge(graph, weights).step(tokens, states)


class _Steps:
    """A token at each call, after those before; the states' memory is written, not copied."""

    def __init__(self, graph: Any, weights: Any, tokens: Any, states: Any):
        self.given, self.states = (graph, weights, tokens), states

    def __call__(self) -> Any:
        logits, self.states = _step(*self.given, self.states)
        return logits, self.states
