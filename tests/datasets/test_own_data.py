"""The user's own pictures and text: what works, and what is said when it cannot."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workbench.datasets import DatasetError, image_folder, smallest_picture, text_file


def _picture(path: Path, seed: int, size: tuple[int, int] = (40, 50), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    bands = {"RGB": 3, "RGBA": 4, "L": 1}[mode]
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, bands), np.uint8)
    Image.fromarray(pixels if bands > 1 else pixels[..., 0]).save(path)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    for i in range(10):
        _picture(tmp_path / "pets" / "cats" / f"{i}.png", i)
        _picture(tmp_path / "pets" / "dogs" / "young" / f"{i}.jpg", 100 + i)
    return tmp_path / "pets"


def test_sub_folders_are_classes(pets: Path) -> None:
    (pets / ".hidden").mkdir()
    (pets / ".hidden" / "x.png").write_bytes(b"no")
    (pets / "notes.txt").write_text("about the pets")
    data = image_folder(pets, 32)
    assert data.label_names == ("cats", "dogs")
    assert data.train.images.shape == (16, 32, 32, 3) and len(data.test) == 4
    assert np.bincount(data.test.labels).tolist() == [2, 2]
    assert not set(data.train.source.tolist()) & set(data.test.source.tolist())
    for name, label in zip(data.train.source, data.train.labels, strict=True):
        assert name.startswith(data.label_names[label])
    assert "the user's own" in data._repr_html_().replace("&#x27;", "'")


def test_it_does_not_matter_where_the_folder_lies(pets: Path) -> None:
    first = image_folder(pets, 32).fingerprint
    (pets.parent / "moved").mkdir()
    assert image_folder(pets.rename(pets.parent / "moved" / "pets"), 32).fingerprint == first


def test_without_sub_folders_there_is_one_kind(pets: Path) -> None:
    data = image_folder(pets / "cats", 16)
    assert data.label_names == () and set(data.train.labels.tolist()) == {0}


def test_repeats_are_dropped_and_counted(pets: Path) -> None:
    (pets / "cats" / "copy.png").write_bytes((pets / "cats" / "0.png").read_bytes())
    data = image_folder(pets, 32)
    assert len(data.train) + len(data.test) == 20 and "1 exact repeats" in data.card.done
    (pets / "dogs" / "copy.png").write_bytes((pets / "cats" / "0.png").read_bytes())
    with pytest.raises(DatasetError, match="same picture in two classes"):
        image_folder(pets, 32)


def test_grey_and_colour(pets: Path) -> None:
    _picture(pets / "cats" / "grey.png", 1, mode="L")
    with pytest.raises(DatasetError, match=r"grey\.png is grey.*channels=1 or channels=3"):
        image_folder(pets, 32)
    assert image_folder(pets, 32, channels=1).train.images.shape[-1] == 1
    assert image_folder(pets, 32, channels=3).train.images.shape[-1] == 3
    for i in range(4):
        _picture(pets.parent / "plain" / f"{i}.png", i, mode="L")
    assert image_folder(pets.parent / "plain", 32).train.images.shape[-1] == 1


def test_transparency_lies_over_white_and_sixteen_bits_become_eight(tmp_path: Path) -> None:
    clear = np.zeros((20, 20, 4), np.uint8)
    Image.fromarray(clear).save(tmp_path / "clear.png")
    clear[..., 3] = 255
    Image.fromarray(clear).save(tmp_path / "black.png")
    data = image_folder(tmp_path, 16)
    both = {
        str(s): int(i.mean())
        for side in (data.train, data.test)
        for s, i in zip(side.source, side.images, strict=True)
    }
    assert both == {"clear.png": 255, "black.png": 0}
    deep = tmp_path / "deep"
    deep.mkdir()
    for value in (0x1234, 0xFF00):
        Image.fromarray(np.full((20, 20), value, np.uint16)).save(deep / f"{value}.png")
    data = image_folder(deep, 16)
    assert {int(data.train.images.max()), int(data.test.images.max())} == {0x12, 0xFF}


def test_pictures_are_turned_upright(tmp_path: Path) -> None:
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:16] = 255
    for number, turn in enumerate((1, 3)):  # 3: upside down
        exif = Image.Exif()
        exif[0x0112] = turn
        Image.fromarray(pixels).save(tmp_path / f"{number}.png", exif=exif)
    data = image_folder(tmp_path, 32)
    tops = {str(side.source[0]): int(side.images[0, 2].mean()) for side in (data.train, data.test)}
    assert tops == {"0.png": 255, "1.png": 0}


def test_tiny_pictures(pets: Path) -> None:
    _picture(pets / "dogs" / "tiny.png", 5, (10, 50))
    with pytest.raises(DatasetError, match=r"tiny\.png: 50×10 is smaller than size=32"):
        image_folder(pets, 32)
    assert "no detail was added" in image_folder(pets, 32, enlarge=True).card.done


def test_the_smallest_picture_is_found_without_decoding(pets: Path) -> None:
    _picture(pets / "dogs" / "wide.png", 5, (31, 90))
    assert smallest_picture(pets) == (pets / "dogs" / "wide.png", 31)
    whole = (pets / "dogs" / "wide.png").read_bytes()
    (pets / "dogs" / "wide.png").write_bytes(whole[:60])
    assert smallest_picture(pets)[1] == 31, "its head is enough"
    (pets / "dogs" / "wide.png").write_bytes(b"not a picture")
    assert smallest_picture(pets)[1] > 31
    for file in pets.rglob("*.*"):
        file.write_bytes(b"not a picture")
    with pytest.raises(DatasetError, match="none of its pictures is readable"):
        smallest_picture(pets)


def test_broken_pictures_are_named(pets: Path) -> None:
    whole = (pets / "cats" / "3.png").read_bytes()
    for junk in (b"", b"not a picture", whole[: len(whole) // 2], whole[:60] + b"\0" * 90):
        (pets / "cats" / "3.png").write_bytes(junk)
        with pytest.raises(DatasetError, match=r"3\.png: not a readable picture"):
            image_folder(pets, 32)


@pytest.mark.parametrize("side", [9_000, 40_000])
def test_a_small_file_that_unfolds_to_a_huge_picture(pets: Path, side: int) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(10**6)))
    (pets / "cats" / "bomb.png").write_bytes(bomb)
    with pytest.raises(DatasetError, match=r"bomb\.png.*(million pixels|far too large)"):
        image_folder(pets, 32)


def test_folders_that_cannot_be_used(tmp_path: Path, pets: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        image_folder(tmp_path / "gone", 32)
    with pytest.raises(DatasetError, match="is a file"):
        image_folder(pets / "cats" / "0.png", 32)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"no pictures here; looked for \.bmp"):
        image_folder(tmp_path / "empty", 32)
    _picture(pets / "loose.png", 1)
    with pytest.raises(DatasetError, match="both in sub-folders"):
        image_folder(pets, 32)
    _picture(tmp_path / "one" / "cats" / "a.png", 1)
    with pytest.raises(DatasetError, match="only one class, 'cats'"):
        image_folder(tmp_path / "one", 32)
    _picture(tmp_path / "one" / "dogs" / "a.png", 2)
    with pytest.raises(DatasetError, match="class 'cats' has 1 picture"):
        image_folder(tmp_path / "one", 32)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"size": 0}, "size=0"), ({"channels": 2}, "channels=2"), ({"test_share": 1}, "test_share=1")],
)
def test_folder_options_out_of_range(pets: Path, options: dict, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        image_folder(pets, **({"size": 32} | options))


def test_text_keeps_every_byte_and_holds_out_the_end(tmp_path: Path) -> None:
    text = "".join(f"Zeile {i}: Grüße aus Köln\n" for i in range(200))
    file = tmp_path / "brief.txt"
    file.write_text(text, encoding="utf-8-sig")
    data = text_file(file)
    assert data.train.documents()[0] + data.test.documents()[0] == text
    assert data.test.documents()[0].startswith("Zeile 18")
    assert 0.08 < len(data.test) / len(text.encode()) < 0.12
    assert data.preview(100).startswith(b"\x89PNG")


@pytest.mark.parametrize("shift", range(4))
def test_text_without_lines_is_cut_between_characters(tmp_path: Path, shift: int) -> None:
    text = "x" * shift + "€😀" * 200
    (tmp_path / "long.txt").write_text(text, encoding="utf-8")
    data = text_file(tmp_path / "long.txt")
    assert data.train.documents()[0] + data.test.documents()[0] == text
    assert len(data.test) > 0


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "0 bytes of text; at least 64"),
        (b" \n" * 100, "at least 64"),
        (b"ok line\n" * 20 + b"caf\xe9 " * 20, "not UTF-8: byte 0xe9 at position 163 in line 21"),
        ("Grüße".encode("utf-16") * 20, "not UTF-8"),
        (b"\x7fELF\0\0" * 40, "holds zero bytes"),
    ],
)
def test_text_that_cannot_be_used(tmp_path: Path, raw: bytes, message: str) -> None:
    (tmp_path / "a.txt").write_bytes(raw)
    with pytest.raises(DatasetError, match=message):
        text_file(tmp_path / "a.txt")


def test_text_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="No such file"):
        text_file(tmp_path / "gone.txt")
    with pytest.raises(DatasetError, match=r"Is a directory|Permission denied"):
        text_file(tmp_path)
