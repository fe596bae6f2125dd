"""Figures of what a mixer keeps and takes, against the length of the text."""

from __future__ import annotations

import jax
import numpy as np

from workbench.language.checking.report import Check
from workbench.language.checking.subject import Subject

CONTEXTS = (64, 256, 1024, 4096)
TIMED = (128, 256, 512, 1024, 2048)
REPEATS = 5


def state(subject: Subject) -> Check:
    """Bytes of one text's state; the batch is the first axis of each of its arrays."""
    held = []
    for length in CONTEXTS:
        two = _shapes(subject, 2, length)
        lone = [path for path, leaf in two if not leaf.ndim or leaf.shape[0] != 2]
        if lone:
            return Check(
                "state",
                "fail",
                "",
                f"{lone[0] or 'the state'} does not have the batch as its first axis",
            )
        held.append(sum(leaf.size * leaf.dtype.itemsize for _, leaf in two) // 2)
    said = [_said(subject, length) for length in CONTEXTS]
    for length, found, told in zip(CONTEXTS, held, said, strict=True):
        if told is not None and told != found:
            return Check(
                "state",
                "fail",
                f"{found:,} B at T = {length}",
                f"state_bytes says {told:,} B: what is predicted is not what is held",
            )
    if len(set(held)) == 1:
        return Check("state", "pass", f"{held[0]:,} B", "the same for every length of text")
    growth = (held[-1] - held[-2]) / (CONTEXTS[-1] - CONTEXTS[-2])
    figure = f"{held[0]:,} B at T = {CONTEXTS[0]}, {held[-1]:,} B at T = {CONTEXTS[-1]}"
    return Check("state", "pass", figure, f"grows by {growth:,.0f} B a token")


def _shapes(subject: Subject, batch: int, length: int) -> list[tuple[str, jax.ShapeDtypeStruct]]:
    found = jax.eval_shape(
        lambda weights: subject.merged(weights).initial_state(batch, length), subject.weights
    )
    leaves = jax.tree_util.tree_leaves_with_path(found)
    return [(jax.tree_util.keystr(path, simple=True), leaf) for path, leaf in leaves]


def _said(subject: Subject, length: int) -> int | None:
    try:
        return int(subject.config.state_bytes(subject.width, length))
    except NotImplementedError:
        return None


def speed(subject: Subject) -> tuple[Check, tuple[tuple[int, float], ...]]:
    """Time of a whole text against its length, one text at a time, on this device."""
    from workbench.measure import timing

    texts = {length: subject.texts(1, length) for length in TIMED}
    calls = {
        str(length): lambda x=x: subject.whole(x).block_until_ready() for length, x in texts.items()
    }
    found = timing.interleaved(calls, repeats=REPEATS)
    times = tuple((length, found[str(length)].median) for length in TIMED)
    tokens, seconds = np.log(np.array(times[-3:])).T
    power = float(np.polyfit(tokens, seconds, 1)[0])
    length, last = times[-1]
    figure = f"{1e3 * last:.2g} ms at T = {length}, {1e6 * last / length:.2g} µs a token"
    return Check("speed", "measured", figure, f"time grows like T^{power:.1f} at the end"), times
