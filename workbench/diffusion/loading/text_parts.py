"""Tokenizers that fit their encoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.checkpoints import CheckpointError
from workbench.diffusion.text.tokens import Tokenizer

MISLABELLED_END = 2
"""The end token's number in old configurations, which no text ends with."""


def require_fit(tokenizer: Tokenizer, config: Any, place: str | Path) -> None:
    """Holds a tokenizer against its encoder's configuration.

    Raises:
        CheckpointError: ids beyond the encoder's table, rows longer than its positions, or another
            end mark than the one it pools at.
    """
    if tokenizer.largest >= config.vocab_size:
        raise CheckpointError(
            f"{place}: the tokenizer's largest id is {tokenizer.largest}; its text encoder has "
            f"vocab_size={config.vocab_size}, ids 0 to {config.vocab_size - 1}"
        )
    if tokenizer.length > config.max_position_embeddings:
        raise CheckpointError(
            f"{place}: the tokenizer makes rows of {tokenizer.length} tokens; its text encoder has "
            f"max_position_embeddings={config.max_position_embeddings}"
        )
    end = config.eos_token_id
    if end not in (MISLABELLED_END, tokenizer.last):
        raise CheckpointError(
            f"{place}: the tokenizer ends texts with id {tokenizer.last}; its text encoder has "
            f"eos_token_id={end}"
        )
    if end == MISLABELLED_END and tokenizer.last != tokenizer.largest:
        raise CheckpointError(
            f"{place}: the tokenizer ends texts with id {tokenizer.last}; its text encoder pools "
            f"at the largest id, which is {tokenizer.largest}"
        )
