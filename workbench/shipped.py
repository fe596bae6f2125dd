"""Where the shipped notebooks and data lie: beside the packages in a checkout, inside a wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_FOLDERS = ("notebooks", "data")


def root() -> Path:
    """The folder that holds ``notebooks/`` and ``data/``."""
    packed = _PACKAGE / "_shipped"
    return packed if packed.is_dir() else _PACKAGE.parent


def path(relative: str) -> Path:
    """The shipped file or folder `relative`, in a checkout and in an installed wheel alike.

    Args:
        relative: starts with ``notebooks`` or ``data``, with forward slashes: ``"data/x/card.md"``.

    Raises:
        ValueError: `relative` leaves the shipped folders.
        FileNotFoundError: nothing of that name is shipped.
    """
    parts = relative.split("/")
    if parts[0] not in _FOLDERS or ".." in parts:
        raise ValueError(
            f"relative: {relative!r} is not shipped; it must start with one of {_FOLDERS} "
            "and stay inside it"
        )
    found = root().joinpath(*parts)
    if not found.exists():
        raise FileNotFoundError(f"relative: {relative!r} is not among the shipped files ({found})")
    return found
