"""The datasets that need no network: sizes, splits without a common original, fingerprints."""

import dataclasses
import io
import re
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from workbench.datasets import (
    PHOTOGRAPHS,
    Dataset,
    DatasetError,
    Images,
    Text,
    digits,
    english,
    photographs,
    text_pages,
)
from workbench.datasets.handwriting import FORM_STARTS

MAKERS: dict[str, Callable[[], Dataset]] = {
    "digits": digits,
    "digits-8": lambda: digits(8),
    "photographs": lambda: photographs(64, count=40),
    "grey": lambda: photographs(48, colour=False, shrink=2),
    "english": english,
    "pages": lambda: text_pages(12),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKERS)
def test_card_preview_and_split(name: str) -> None:
    data = MAKERS[name]()
    assert len(data.train) >= len(data.test) > 0
    assert not set(data.train.source.tolist()) & set(data.test.source.tolist())
    assert str(len(data.train)) in data.card.sizes.replace(",", "")
    assert f"{data.card.unique_bytes:,}" in str(data.card)
    assert data.card.licence and data.card.split and data.card.done
    for split in ("train", "test"):
        picture = Image.open(io.BytesIO(data.preview(20, split)))
        assert np.ptp(np.asarray(picture.convert("L"))) > 100, "a picture with something on it"
    page = data._repr_html_()
    assert "data:image/png;base64," in page and data.fingerprint[:16] in page
    with pytest.raises(DatasetError, match=r"split='dev' is not one of train, test"):
        data.preview(4, "dev")


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", MAKERS)
def test_made_twice_it_has_the_same_fingerprint(name: str) -> None:
    make = english.__wrapped__ if name == "english" else MAKERS[name]  # past its cache
    assert make().fingerprint == MAKERS[name]().fingerprint


def test_fingerprints_follow_name_version_and_content() -> None:
    data = digits(8)
    # Pinned: runs are identified by it. Only a raised version may change it.
    assert data.fingerprint == ("b329a2c63563c033bf82b8fda553bcb3383380f5c60836fc0b9e01c4d69808ec")
    assert dataclasses.replace(data, version="2").fingerprint != data.fingerprint
    assert dataclasses.replace(data, name="other").fingerprint != data.fingerprint
    swapped = dataclasses.replace(data, train=data.test, test=data.train)
    assert swapped.fingerprint != data.fingerprint
    pixels = data.train.images.copy()
    pixels[0, 0, 0, 0] ^= 1
    changed = dataclasses.replace(data, train=dataclasses.replace(data.train, images=pixels))
    assert changed.fingerprint != data.fingerprint


def test_content_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValueError, match="read-only"):
        digits(8).train.images[0] = 0


def test_digits_are_those_of_scikit_learn() -> None:
    import sklearn.datasets

    bunch = sklearn.datasets.load_digits()
    data = digits(8)
    images = np.concatenate([data.train.images, data.test.images])[..., 0]
    np.testing.assert_array_equal(images, np.rint(bunch.images * 255 / 16).astype(np.uint8))
    labels = np.concatenate([data.train.labels, data.test.labels])
    np.testing.assert_array_equal(labels, bunch.target)
    text = "".join(map(str, bunch.target))
    marks = [m.start() for m in re.finditer("0955650", text)]
    assert len(marks) == len(FORM_STARTS) == 14
    assert all(start <= mark <= start + 30 for start, mark in zip(FORM_STARTS, marks, strict=True))


@pytest.mark.parametrize("size", [8, 16, 32])
def test_digits_sizes(size: int) -> None:
    data = digits(size)
    assert data.train.images.shape == (1415, size, size, 1)
    assert data.test.images.shape == (382, size, size, 1)
    assert np.bincount(data.test.labels).min() >= 35
    assert data.train.images.min() == 0 and data.train.images.max() == 255
    assert ("no detail was added" in data.card.done) == (size > 8)
    block = size // 8
    small = data.train.images.astype(float).reshape(-1, 8, block, 8, block).mean((2, 4))
    original = digits(8).train.images[..., 0]
    assert np.abs(small - original).mean() < 12, "enlarged, yet the same picture"


def test_digits_stratified_split() -> None:
    data = digits(8, split="stratified")
    counts = [np.bincount(side.labels) for side in (data.train, data.test)]
    assert np.abs(counts[1] / (counts[0] + counts[1]) - 0.2).max() < 0.01


def test_photographs_are_split_by_picture_with_the_pair_on_one_side() -> None:
    data = photographs(64)
    assert data.train.images.shape[1:] == (64, 64, 3)
    pair = {"motorcycle-left", "motorcycle-right"}
    assert pair <= set(data.train.source.tolist())
    assert set(data.test.source.tolist()) == {"chelsea", "flower"}
    names = np.array(data.label_names)
    np.testing.assert_array_equal(names[data.train.labels], data.train.source)
    for grey in (p.name for p in PHOTOGRAPHS if not p.colour):
        assert grey in data.card.notes and grey not in data.label_names
    assert not {"page", "text"} & {p.name for p in PHOTOGRAPHS}


def test_photograph_crops_are_the_pixels_of_the_picture() -> None:
    import skimage.data

    data = photographs(50, names=["astronaut", "chelsea"])
    np.testing.assert_array_equal(data.train.images[0], skimage.data.astronaut()[:50, :50])
    np.testing.assert_array_equal(data.test.images[1], skimage.data.chelsea()[:50, 50:100])
    assert len(data.train) == 100 and len(data.test) == 6 * 9


def test_every_photograph_listed_is_in_the_wheels() -> None:
    data = photographs(64, colour=False)
    assert set(data.label_names) == {p.name for p in PHOTOGRAPHS} and len(PHOTOGRAPHS) == 19


def test_photograph_count_and_seed() -> None:
    one, same, other = (photographs(64, count=30, seed=seed) for seed in (1, 1, 2))
    assert len(one.train) == len(one.test) == 30
    assert one.fingerprint == same.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": 0}, "crop=0"),
        ({"stride": 0}, "stride=0"),
        ({"count": 0}, "count=0"),
        ({"seed": -1}, "seed=-1"),
        ({"crop": 400}, "crop=400 is larger than chelsea, 451×300"),
        ({"names": ["lena"]}, "names has 'lena'"),
        ({"names": ["coffee"]}, "no picture for test; add one of chelsea, flower"),
        ({"names": ["coins"]}, "names has 'coins'; with colour=True"),
        ({"stride": 1}, "more than 2 GiB"),
    ],
)
def test_photographs_refuse(options: dict, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        photographs(**({"crop": 64} | options))


@pytest.mark.slow
def test_english_is_unique_prose() -> None:
    data = english()
    assert data.card.unique_bytes == len(data.train) + len(data.test) > 1_500_000
    print(f"english(): {data.card.unique_bytes:,} unique bytes")
    documents = data.train.documents() + data.test.documents()
    paragraphs = [p for text in documents for p in text.split("\n\n") if p.strip()]
    keys = [" ".join(p.split()).lower() for p in paragraphs]
    assert len(set(keys)) == len(keys), "no paragraph twice"
    assert min(map(len, paragraphs)) >= 40
    words = b" ".join([data.train.text.tobytes()]).lower().split()
    assert words.count(b"the") / len(words) > 0.03, "reads like English"


def test_pages_carry_their_text_and_their_font() -> None:
    data = text_pages(20, height=120, width=300)
    assert data.train.images.shape == (20, 120, 300, 1) and len(data.test) == 5
    assert len(data.train.captions) == 20 and all(len(c) > 40 for c in data.train.captions)
    fonts = [set(side.labels.tolist()) for side in (data.train, data.test)]
    if len(data.label_names) > 1:
        assert not fonts[0] & fonts[1], "no font on both sides"
    assert "rendered" in data.card.done and all(f in data.card.source for f in data.label_names)
    for image, caption in zip(data.train.images, data.train.captions, strict=True):
        inked = (image[..., 0] < 128).sum()
        letters = len(caption.replace(" ", "").replace("\n", ""))
        assert 8 * letters < inked * 2 < 120 * letters, "about as much ink as there are letters"
        assert (image[:, -4:] > 200).all() and (image[-3:] > 200).all(), "nothing runs off the page"


def test_real_pages_are_for_testing_only() -> None:
    data = text_pages(4)
    assert isinstance(data.test_only, Images)
    assert data.test_only.source.tolist() == ["skimage page", "skimage text"]
    assert data.test_only.labels.tolist() == [-1, -1]
    assert not any("skimage" in name for name in data.train.source.tolist())
    assert data.preview(2, "test_only").startswith(b"\x89PNG")


def test_one_font_only_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.datasets import fonts, rendered

    monkeypatch.setattr(rendered, "found", lambda: (fonts.Font(fonts.PILLOW, None),))
    data = text_pages(4)
    assert data.label_names == ("Aileron",) and "by text only" in data.card.split


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "count=0"),
        ({"height": 20}, "too small for font_size=14; at least 156×44"),
        ({"count": 10**6}, "exceed 2 GiB"),
    ],
)
def test_pages_refuse(options: dict, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        text_pages(**options)


def test_digits_refuse() -> None:
    with pytest.raises(DatasetError, match=r"size=28 must be one of \(8, 16, 32\)"):
        digits(28)
    with pytest.raises(DatasetError, match="split='writer'"):
        digits(8, split="writer")


@pytest.mark.usefixtures("unchecked_shapes")
def test_splits_must_agree_with_themselves() -> None:
    pixels, labels = np.zeros((2, 4, 4, 1), np.uint8), np.zeros(2, np.int32)
    with pytest.raises(DatasetError, match="2 images, 2 labels and 1 sources"):
        Images(pixels, labels, np.array(["a"]))
    with pytest.raises(DatasetError, match="uint8"):
        Images(pixels.astype(np.float32), labels, np.array(["a", "b"]))
    with pytest.raises(DatasetError, match="captions"):
        Images(pixels, labels, np.array(["a", "b"]), ("one",))
    with pytest.raises(DatasetError, match="1 documents but 2 sources"):
        Text(np.zeros(4, np.uint8), np.zeros(1, np.int64), np.array(["a", "b"]))
