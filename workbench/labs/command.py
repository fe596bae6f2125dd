"""`python -m workbench compare`: what a panel does, without a panel."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

LABS = ("diffusion",)


def compare(
    lab: str,
    *,
    settings: Path | None = None,
    changes: Sequence[str] = (),
    repeats: int = 7,
    out: Path | None = None,
) -> int:
    """Run a lab's methods with a panel's settings; print the summary, write the tables.

    Args:
        settings: a file with what "Copy settings" gave; the panel's defaults without one.
        changes: "group.knob=value", on top of the settings.
        out: folder for the tables.

    Returns:
        0, or 2 where the settings cannot be taken.
    """
    from tqdm.auto import tqdm

    from workbench.panels import settings as forms
    from workbench.runs import Store
    from workbench.study.compare import compare as run

    if lab not in LABS:
        print(f"There is no lab {lab!r}; there is {', '.join(LABS)}", file=sys.stderr)
        return 2
    headless: Any = import_module(f"workbench.labs.{lab}.headless")
    groups = headless.form()
    try:
        state = forms.defaults(groups)
        if settings is not None:
            state = forms.merged(state, forms.from_text(settings.read_text(encoding="utf-8")))
        state = forms.merged(state, _changes(changes))
        values, problems = forms.parse(groups, state)
        if values is None:
            raise ValueError(problems[0].message)
        study, methods = headless.study_and_methods(values)
        with tqdm(total=1000, bar_format="{l_bar}{bar}| {elapsed}<{remaining}") as bar:

            def report(done: int, total: int, note: str = "", preview: Any = None) -> None:
                bar.set_description(note[:40])
                bar.update(int(1000 * done / max(total, 1)) - bar.n)

            found = run(methods, study, repeats=repeats, memory=Store(), report=report)
    except (ValueError, KeyError, OSError) as error:
        words = error.args[0] if isinstance(error, KeyError) else error
        print(words, file=sys.stderr)
        return 2
    print(found.summary().to_string(index=False, float_format=lambda value: f"{value:.4g}"))
    for method in found.others:
        print(found.verdict(method).sentence)
    if out is not None:
        print(f"Tables in {found.tables.save(out)}")
    return 0


def _changes(changes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """`["group.knob=3"]` as settings; values are JSON, and plain words need no quotes."""
    found: dict[str, dict[str, Any]] = {}
    for change in changes:
        name, equals, text = change.partition("=")
        group, dot, knob = name.partition(".")
        if not (equals and dot and knob):
            raise ValueError(f"{change!r} is not a change; write group.knob=value")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        found.setdefault(group, {})[knob] = value
    return found
