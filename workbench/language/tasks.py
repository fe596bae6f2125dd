"""What decoders are trained for: the next token of a text, and recall."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from workbench.language.config import DecoderConfig
from workbench.language.cross_entropy import mean_loss
from workbench.language.decoder import Decoder
from workbench.language.evaluation import held_out_loss, recall_accuracy
from workbench.language.recall import MQAR
from workbench.language.token_data import IGNORED, Rows, TokenData
from workbench.model_files.abstract import abstract
from workbench.training import Recipe

Compute = Literal["float32", "bfloat16"]


@dataclass(frozen=True, eq=False)
class TokenTask:
    """A decoder that learns the targets of rows of tokens; the loss is in nats a target.

    Weights, moments and the loss are float32 whatever products run in. Batches are drawn as the
    recipe says that `train` is given: its `batch_size` and `seed`.

    Args:
        config: the model's shape.
        data: rows of tokens.
        dtype: what products run in.
        remat: whether layers are computed again in the backward pass; the loss is the same.
        test_rows: rows an evaluation reads; all of the test split when None.
        batch_size, seed: what `with_recipe` sets.

    Raises:
        ValueError: rows longer than the model's limit, or tokens it does not have.
    """

    config: DecoderConfig
    data: Any
    dtype: Compute = "float32"
    remat: bool = False
    test_rows: int | None = None
    batch_size: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        limit = self.config.max_position_embeddings
        if limit is not None and self.data.length > limit:
            raise ValueError(
                f"length={self.data.length}: the rows are longer than the model's "
                f"max_position_embeddings={limit}"
            )
        if self.data.vocab_size > self.config.vocab_size:
            raise ValueError(
                f"vocab_size={self.config.vocab_size}: the data has {self.data.vocab_size} tokens; "
                "make the model for the data's tokenizer"
            )

    def with_recipe(self, recipe: Recipe) -> TokenTask:
        """The task with batches of the recipe's size and order."""
        return replace(self, batch_size=recipe.batch_size, seed=recipe.seed)

    @property
    def fingerprint(self) -> str:
        """Of model, data and loss."""
        shape = json.dumps(self.config.record(), sort_keys=True)
        rows = "" if self.test_rows is None else f"; test_rows={self.test_rows}"
        return f"{type(self).__name__}; {self.data.fingerprint}; {shape}; {self.dtype}{rows}"

    @cached_property
    def graph(self) -> Any:
        """The model's tree without weights."""
        made = partial(Decoder, remat=self.remat)
        return nnx.split(abstract(made, self.config, dtype=jnp.dtype(self.dtype)))[0]

    def init(self, key: Array) -> nnx.State:
        """The first weights."""
        model = Decoder(self.config, dtype=jnp.dtype(self.dtype), rngs=nnx.Rngs(params=key))
        return nnx.split(model)[1]

    def model(self, params: nnx.State) -> Decoder:
        """The decoder with these weights."""
        made: Decoder = nnx.merge(self.graph, params)
        return made

    def loss(self, params: nnx.State, batch: Rows, key: Array) -> tuple[Array, dict[str, Array]]:
        """Mean cross-entropy over the targets that count."""
        return self.loss_of(self.model(params), batch), {}

    def loss_of(self, model: Decoder, batch: Any) -> Array:
        """The same of any model; `batch` is `Rows` of jax's arrays."""
        features = model.features(batch.tokens, segment_ids=batch.segment_ids)
        return mean_loss(model.logits, features, batch.targets)

    def evaluate(self, params: nnx.State) -> dict[str, float]:
        """How good the weights are on what is held out."""
        return self.evaluate_model(self.model(params))

    def evaluate_model(self, model: Decoder) -> dict[str, float]:
        """The same of any model."""
        raise NotImplementedError

    def weight(self, batch: Rows) -> Array:
        """What the loss is a mean over: targets that count."""
        return jnp.sum(batch.targets != IGNORED).astype(jnp.float32)

    def batch(self, step: int) -> Rows:
        """Rows of an update; in a job of several processes this process's share of them."""
        rows: Rows = self.data.batch(step, self.batch_size, self.seed)
        if jax.process_count() == 1:
            return rows
        share, left = divmod(self.batch_size, jax.process_count())
        if left:
            raise ValueError(
                f"batch_size={self.batch_size} cannot be split evenly over "
                f"{jax.process_count()} processes"
            )
        first = jax.process_index() * share
        own: Rows = jax.tree.map(lambda part: part[first : first + share], rows)
        return own


@dataclass(frozen=True, eq=False)
class NextToken(TokenTask):
    """The next token of a text, all of it at once (teacher forcing)."""

    data: TokenData

    def evaluate_model(self, model: Decoder) -> dict[str, float]:
        """Bits per byte and nats per token of the held-out text."""
        found = held_out_loss(model, self.data, rows=self.test_rows)
        return {"bits_per_byte": found.bits_per_byte, "nats_per_token": found.nats_per_token}


@dataclass(frozen=True, eq=False)
class Recall(TokenTask):
    """The values of keys that come again."""

    data: MQAR

    def evaluate_model(self, model: Decoder) -> dict[str, float]:
        """Share of held-out queries answered."""
        return {"accuracy": recall_accuracy(model, self.data, rows=self.test_rows)}
