"""Pictures become input of the right size, channels and spread."""

import numpy as np
import pytest
from PIL import Image

from workbench.vision import Preprocessing


def test_size_crop_and_spread():
    """The middle of a picture whose left half is black and right half white."""
    halves = np.zeros((40, 80, 3), np.uint8)
    halves[:, 40:] = 255
    ready = Preprocessing(input_size=(3, 16, 16), mean=(0.5,) * 3, std=(0.25,) * 3)
    found = np.asarray(ready.prepare([Image.fromarray(halves), Image.fromarray(halves[:, ::-1])]))
    assert found.shape == (2, 16, 16, 3)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0, :, :6], -2)
    np.testing.assert_allclose(found[0, :, 10:], 2)
    np.testing.assert_allclose(found[1], found[0, :, ::-1], atol=1e-5)


def test_grey_and_colour_follow_the_network():
    colour = Image.new("RGB", (9, 20), (255, 0, 0))
    one = Preprocessing(input_size=(1, 8, 8), mean=(0.0,), std=(1.0,)).prepare([colour])
    assert one.shape == (1, 8, 8, 1)
    np.testing.assert_allclose(one, 76 / 255)
    three = Preprocessing(input_size=(3, 8, 12)).prepare([Image.new("L", (30, 30), 124)])
    assert three.shape == (1, 8, 12, 3)


HALVES = np.zeros((40, 80, 3), np.uint8)
HALVES[:, 40:] = 255


def made(mode, crop_pct=1.0, size=(3, 16, 16), **more):
    how = {"mean": (0.2, 0.4, 0.6), "std": (0.5,) * 3, "interpolation": "nearest"} | more
    return Preprocessing(input_size=size, crop_pct=crop_pct, crop_mode=mode, **how)


def test_squashed_pictures_lose_nothing():
    (found,) = np.asarray(made("squash").prepare([Image.fromarray(HALVES)]))
    for half, value in ((found[:, :8], 0), (found[:, 8:], 1)):
        wanted = (value - np.array([0.2, 0.4, 0.6])) / 0.5
        np.testing.assert_allclose(half, np.broadcast_to(wanted, half.shape), atol=1e-6)


def test_a_border_is_of_the_mean():
    (found,) = np.asarray(made("border").prepare([Image.fromarray(HALVES)]))
    for edge in (found[:4], found[12:]):
        np.testing.assert_allclose(edge, 0, atol=1e-6)  # 0.2, 0.4 and 0.6 are whole of 255
    white = (1 - np.array([0.2, 0.4, 0.6])) / 0.5
    np.testing.assert_allclose(found[4:12, 8:], np.broadcast_to(white, (8, 8, 3)), atol=1e-6)
    tall = made("border").prepare([Image.fromarray(HALVES.transpose(1, 0, 2))])
    np.testing.assert_allclose(tall[0], found.transpose(1, 0, 2), atol=1e-6)
    grey = made("border", size=(1, 16, 16), mean=(0.4,), std=(0.5,))
    np.testing.assert_allclose(grey.prepare([Image.new("L", (40, 20), 255)])[0, 0], 0, atol=1e-6)


@pytest.mark.parametrize(
    ("mode", "size", "picture", "wanted"),
    [
        ("center", (3, 224, 224), (640, 427), (383, 256)),  # 383.7, cut off as timm does
        ("center", (3, 224, 224), (427, 640), (256, 383)),
        ("center", (3, 224, 112), (400, 400), (256, 256)),
        ("squash", (3, 224, 112), (640, 427), (128, 256)),
        ("border", (3, 224, 224), (640, 427), (256, 171)),
    ],
)
def test_the_size_before_the_crop(mode, size, picture, wanted):
    assert made(mode, 0.875, size).resized(*picture) == wanted


def test_the_mode_is_read_written_and_refused():
    fields = {"input_size": [3, 384, 384], "crop_mode": "squash", "crop_pct": 1.0}
    found = Preprocessing.from_file_fields(fields)
    assert found.crop_mode == "squash" and found.input_size == (3, 384, 384)
    written = found.model_dump(mode="json")
    assert written["crop_mode"] == "squash" and Preprocessing.from_file_fields(written) == found
    plain = Preprocessing.from_file_fields({"crop_mode": None})
    assert plain == Preprocessing() and "crop_mode" not in plain.model_dump(mode="json")
    with pytest.raises(ValueError, match="'center', 'squash' or 'border'"):
        Preprocessing.from_file_fields({"crop_mode": "wrap"})


def test_what_cannot_be_prepared():
    with pytest.raises(ValueError, match="pictures is empty"):
        Preprocessing().prepare([])
    with pytest.raises(ValueError, match="pictures have 1 or 3 channels"):
        Preprocessing(input_size=(4, 8, 8)).prepare([Image.new("L", (8, 8))])
