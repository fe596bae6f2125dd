"""Syntax trees of Python text, in whichever thread."""

from __future__ import annotations

import ast

TRIES = 20


def syntax_tree(text: str) -> ast.Module:
    """What `ast.parse` gives, also while other threads parse.

    Python 3.11 counts the depth of all threads' trees in one place. When a garbage collection lets
    another thread in halfway, the count is off and a sound text raises `SystemError`
    (CPython issue 106905, mended in later releases); read anew, it parses.

    Raises:
        SyntaxError: the text is no Python.
        SystemError: every try was disturbed.
    """
    for _ in range(TRIES - 1):
        try:
            return ast.parse(text)
        except SystemError:
            continue
    return ast.parse(text)
