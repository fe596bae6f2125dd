"""Checks of what y_t may depend on, and that all ways to compute it agree."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from workbench.language.checking.report import Check
from workbench.language.checking.subject import LENGTH, ROWS, Subject

TOLERANCE = 1e-5
"""Of differences, over the largest output, in float32."""

CUT = 65
"""Tokens of a text's beginning: a chunk of 64, and one of the next."""

LENGTHS = (1, 7, CUT)
"""Texts shorter than a chunk of 64, and one token longer."""


def causality(subject: Subject) -> Check:
    """y_t does not change when later x do, and its gradient in them is zero."""
    # Of each row: the first token that is changed, and whether those after it are, too.
    changed = (
        (1, True),
        (64, True),
        (65, True),
        (1, False),
        (33, False),
        (64, False),
        (129, False),
    )
    x = np.array(subject.texts())
    x[1:] = x[:1]
    other = np.array(subject.texts(stream=2))
    for row, (first, onwards) in enumerate(changed, 1):
        last = LENGTH if onwards else first + 1
        x[row, first:last] = other[row, first:last]
    y = np.asarray(subject.whole(jnp.asarray(x)), np.float64)
    largest, worst = float(np.abs(y[0]).max()), 0.0
    for row, (first, _) in enumerate(changed, 1):
        moved = np.abs(y[row, :first] - y[0, :first]).max(axis=1) / largest
        worst = max(worst, float(moved.max()))
        if not worst <= TOLERANCE:
            at = int(np.argmax(~(moved <= TOLERANCE)))
            return Check(
                "causality",
                "fail",
                f"{worst:.1e} of the largest y",
                f"y at token {at} changes when x at token {first} does: it looks at least "
                f"{_ahead(subject)} ahead. y_t may depend on x_1 ... x_t alone",
            )
    share = _gradient_ahead(subject)
    if share is None:
        return Check(
            "causality", "pass", f"y moves by {worst:.1e}", "gradients are no numbers: see below"
        )
    if share > TOLERANCE:
        return Check(
            "causality",
            "fail",
            f"{share:.1e} of the largest gradient",
            "outputs do not change with later tokens, but the gradient says they do: the backward "
            "pass looks ahead",
        )
    return Check("causality", "pass", f"y moves by {worst:.1e}, gradient {share:.1e}")


def _ahead(subject: Subject) -> str:
    """How far an output looks ahead, from one token that is changed."""
    x = np.array(subject.texts())
    x[1] = x[0]
    x[1, CUT] += 1.0
    y = np.asarray(subject.whole(jnp.asarray(x)), np.float64)
    (moved,) = np.nonzero(np.abs(y[1] - y[0]).max(axis=1) > TOLERANCE * np.abs(y[0]).max())
    tokens = CUT - int(moved[0]) if len(moved) and moved[0] < CUT else 1
    return f"{tokens} token{'s' * (tokens > 1)}"


def _gradient_ahead(subject: Subject) -> float | None:
    """The largest gradient of early outputs in later inputs, over the largest of all."""
    early = np.arange(LENGTH) < CUT
    cotangent = np.asarray(subject.texts(stream=3)) * early[:, None]
    _, _, found = subject.gradients(subject.texts(), jnp.asarray(cotangent))
    gradient = np.abs(np.asarray(found, np.float64))
    if not np.isfinite(gradient).all() or not gradient.max():
        return None
    return float(gradient[:, CUT:].max() / gradient.max())


def steps(subject: Subject) -> Check:
    """Token by token, from the start and after a prefill, as all at once."""
    name, x = "step = parallel", subject.texts()
    y = np.asarray(subject.whole(x), np.float64)
    state = subject.state(ROWS, LENGTH)
    found = []
    for t in range(LENGTH):
        out, state = subject.step(x[:, t], state)
        found.append(np.asarray(out, np.float64))
    apart = np.abs(np.stack(found, axis=1) - y).max(axis=(0, 2)) / np.abs(y).max()
    if not apart.max() <= TOLERANCE:
        return Check(
            name, "fail", f"{apart.max():.1e} of the largest y", _where(apart, "step by step")
        )
    half = 70
    first, state = subject.prefill(x[:, :half], subject.state(ROWS, LENGTH))
    then, _ = subject.step(x[:, half], state)
    again = np.concatenate([np.asarray(first, np.float64), np.asarray(then)[:, None]], axis=1)
    resumed = np.abs(again - y[:, : half + 1]).max(axis=(0, 2)) / np.abs(y).max()
    if not resumed.max() <= TOLERANCE:
        words = _where(resumed, f"after {half} tokens at once and one more")
        return Check(name, "fail", f"{resumed.max():.1e} of the largest y", words)
    return Check(name, "pass", f"{max(apart.max(), resumed.max()):.1e} of the largest y")


def _where(apart: np.ndarray, how: str) -> str:
    at = int(np.argmax(~(apart <= TOLERANCE)))
    return (
        f"{how}, y differs from the whole text at once from token {at} on: "
        "`step` and `parallel` must be the same function"
    )


def lengths(subject: Subject) -> Check:
    """Any number of tokens and of texts runs, and a text's beginning does not know its end."""
    x = subject.texts()
    y = np.asarray(subject.whole(x), np.float64)
    worst = 0.0
    for length in LENGTHS:
        part = np.asarray(subject.whole(x[:, :length]), np.float64)
        worst = max(worst, float(np.abs(part - y[:, :length]).max() / np.abs(y).max()))
        if not worst <= TOLERANCE:
            return Check(
                "any length",
                "fail",
                f"{worst:.1e} of the largest y",
                f"the first {length} tokens alone give another y than within {LENGTH}",
            )
    alone = np.asarray(subject.whole(x[3:4, :CUT]), np.float64)
    worst = max(worst, float(np.abs(alone - y[3:4, :CUT]).max() / np.abs(y).max()))
    if not worst <= TOLERANCE:
        return Check(
            "any length",
            "fail",
            f"{worst:.1e} of the largest y",
            "a text alone gives another y than beside others: rows of a batch mix",
        )
    tried = ", ".join(map(str, LENGTHS))
    return Check("any length", "pass", f"{worst:.1e} of the largest y", f"T = {tried}, {LENGTH}")


def segments(subject: Subject) -> Check:
    """Nothing passes from one text to the next in a row of several."""
    x, cut = subject.texts(), LENGTH - CUT
    ids = jnp.broadcast_to(jnp.arange(LENGTH) >= cut, (ROWS, LENGTH)).astype(jnp.int32)
    packed = np.asarray(subject.whole(x, ids), np.float64)
    alone = np.asarray(subject.whole(x[:, cut:]), np.float64)
    apart = float(np.abs(packed[:, cut:] - alone).max() / np.abs(alone).max())
    if apart <= TOLERANCE:
        return Check("packed texts", "pass", f"{apart:.1e} of the largest y")
    return Check(
        "packed texts",
        "fail",
        f"{apart:.1e} of the largest y",
        "with segment_ids the second text of a row gives another y than alone: the first leaks",
    )
