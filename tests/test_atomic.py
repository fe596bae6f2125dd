"""A file is replaced whole or not at all."""

import pytest

from workbench.atomic import replace_file


def test_new_content_stands_alone(tmp_path):
    file = tmp_path / "a.bin"
    replace_file(file, [b"old"])
    replace_file(file, [b"ne", memoryview(b"w")])
    assert file.read_bytes() == b"new" and list(tmp_path.iterdir()) == [file]


def test_what_breaks_off_leaves_the_old_content_and_nothing_else(tmp_path):
    def pieces():
        yield b"half"
        raise RuntimeError("broken off")

    file = tmp_path / "a.bin"
    replace_file(file, [b"old"])
    with pytest.raises(RuntimeError, match="broken off"):
        replace_file(file, pieces())
    assert file.read_bytes() == b"old" and list(tmp_path.iterdir()) == [file]
