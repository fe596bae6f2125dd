"""English prose that is on every machine with Python: its own documentation strings.

Taken from the standard library's files: docstrings, comment paragraphs, the help topics of
`pydoc`, the licence. Nothing is imported or run; the files are parsed. The text is the same for
one release of Python as packaged by one distributor; another release gives another fingerprint.
"""

import ast
import functools
import hashlib
import inspect
import os
import re
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from workbench.datasets.card import Card
from workbench.datasets.dataset import Dataset, DatasetError, Text
from workbench.syntax import syntax_tree

LEFT_OUT = frozenset(
    {
        # Not everywhere: distributors put these in packages of their own, or drop them.
        *("test", "tests", "idlelib", "turtledemo", "lib2to3", "ensurepip", "distutils", "tkinter"),
        # Not the standard library.
        *("site-packages", "dist-packages", "__pycache__"),
    }
)
SHORTEST = 40
"""Characters; a shorter paragraph is rarely a sentence."""

LETTERS = 0.8
"""Least share of letters and spaces, which tells prose from tables, code and diagrams."""

_COMMENT = re.compile(r"(?m)(?:^[ \t]*#[^\n]*\n)+")
_TEST_SHARE = 26  # of 256: a tenth


@functools.lru_cache(maxsize=1)
def english() -> Dataset[Text]:
    """English prose of the standard library, about two megabytes, no paragraph twice.

    Cost: 3 to 6 s the first time in a process, then nothing.

    Raises:
        DatasetError: this Python came without the sources of its library.
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    seen: set[bytes] = set()
    read = 0
    documents: dict[str, str] = {}
    for name, paragraphs in _documents(root):
        fresh = []
        for paragraph in paragraphs:
            read += 1
            key = hashlib.sha256(" ".join(paragraph.split()).lower().encode()).digest()
            if key not in seen:
                seen.add(key)
                fresh.append(paragraph)
        if fresh:
            documents[name] = "\n\n".join(fresh) + "\n\n"
    if len(documents) < 20:
        raise DatasetError(
            f"{root} holds {len(documents)} readable files; english() needs a Python with the "
            "sources of its standard library"
        )
    held_out = {name: hashlib.sha256(name.encode()).digest()[0] < _TEST_SHARE for name in documents}
    train = join_documents({n: t for n, t in documents.items() if not held_out[n]})
    test = join_documents({n: t for n, t in documents.items() if held_out[n]})
    unique = len(train) + len(test)
    release = ".".join(map(str, sys.version_info[:3]))
    card = Card(
        title="English prose from Python's standard library",
        source=f"docstrings, comment paragraphs, pydoc topics and licence of Python {release}",
        licence="PSF License Agreement",
        done=f"paragraphs of {SHORTEST} characters or more, at least {LETTERS:.0%} letters and "
        f"spaces; {read - len(seen):,} of {read:,} paragraphs dropped as repeats",
        split="by file, a tenth by hash of its name; each pydoc topic counts as a file",
        sizes=f"{len(train):,} bytes train, {len(test):,} bytes test, {len(documents)} files",
        unique_bytes=unique,
        notes="Technical prose of one house style, with names of functions in it; paragraphs "
        "that differ in a word are kept. Another Python release gives other text.",
    )
    return Dataset(f"english-python-{release}", card, train, test)


def join_documents(documents: dict[str, str]) -> Text:
    """Text by name, one after another, as bytes."""
    pieces = [text.encode("utf-8") for text in documents.values()]
    starts = np.cumsum([0, *map(len, pieces)], dtype=np.int64)[:-1]
    text = np.frombuffer(b"".join(pieces), np.uint8).copy()
    return Text(text, starts, np.array(list(documents), dtype=np.str_))


def _documents(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Name and paragraphs of each file, in the order of their names."""
    licence = root / "LICENSE.txt"
    if licence.is_file():
        yield licence.name, _prose(licence.read_text(encoding="utf-8", errors="replace"))
    for inner, path in sorted(_sources(root).items()):
        try:
            source = path.read_text(encoding="utf-8")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # odd escapes in others' files are not our matter
                tree = syntax_tree(source)
        except (OSError, ValueError, SyntaxError):
            continue
        if inner == "pydoc_data/topics.py":
            yield from _topics(tree)
        else:
            text = "\n\n".join([*_docstrings(tree), *_comments(source)])
            yield inner, _prose(text)


def _sources(root: Path) -> dict[str, Path]:
    files = {}
    for parent, inner, names in os.walk(root):
        inner[:] = [name for name in inner if name not in LEFT_OUT]
        for name in names:
            if name.endswith(".py"):
                path = Path(parent, name)
                files[path.relative_to(root).as_posix()] = path
    return files


def _docstrings(tree: ast.Module) -> Iterator[str]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, documented) and (text := ast.get_docstring(node)):
            yield text


def _comments(source: str) -> Iterator[str]:
    for block in _COMMENT.findall(source):
        lines = [line.strip().lstrip("#") for line in block.splitlines()]
        yield inspect.cleandoc("\n" + "\n".join(lines))


def _topics(tree: ast.Module) -> Iterator[tuple[str, list[str]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                name, text = (getattr(part, "value", None) for part in (key, value))
                if isinstance(name, str) and isinstance(text, str):
                    yield f"pydoc topic {name}", _prose(text)


def _prose(text: str) -> list[str]:
    paragraphs = (inspect.cleandoc("\n" + part) for part in re.split(r"\n\s*\n", text))
    return [p for p in paragraphs if _is_prose(p)]


def _is_prose(paragraph: str) -> bool:
    if len(paragraph) < SHORTEST or ">>>" in paragraph or "\0" in paragraph:
        return False
    plain = sum(c.isalpha() or c.isspace() for c in paragraph)
    words = len(paragraph.split())
    return plain >= LETTERS * len(paragraph) and words >= 6
