"""A checkpoint of one's own for the lab's panels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.diffusion.pipeline import Pipeline


def checkpoint(
    source: str | Path = "",
    *,
    prompts: str | Sequence[str] = (),
    negative: str = "",
    **more: Any,
) -> Pipeline | None:
    """A model from a folder, a file or a hub name, with the prompts that studies draw by seed.

    Args:
        source: see `workbench.diffusion.load_pipeline`; empty for none, where panels and studies
            take the shipped digits.
        prompts, negative: texts, for a model that reads them.
        more: further arguments of `load_pipeline`, such as `dtype="bfloat16"`.

    Raises:
        CheckpointError: what is missing, broken, or does not fit.
    """
    if not str(source):
        return None
    from workbench.diffusion import load_pipeline

    found = load_pipeline(source, **more)
    if not found.reads_text or not prompts:
        return found
    return found.with_prompts(prompts, negative)
