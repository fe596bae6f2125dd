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


def test_what_cannot_be_prepared():
    with pytest.raises(ValueError, match="pictures is empty"):
        Preprocessing().prepare([])
    with pytest.raises(ValueError, match="pictures have 1 or 3 channels"):
        Preprocessing(input_size=(4, 8, 8)).prepare([Image.new("L", (8, 8))])
