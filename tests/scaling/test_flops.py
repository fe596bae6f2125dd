"""FLOPs by every convention, against the ratios that the literature's choices make."""

import numpy as np
import pytest

from workbench.scaling.flops import (
    ABOUT,
    FLOPS,
    Shape,
    forward_additions,
    mixing,
    per_token,
    training,
)


@pytest.mark.parametrize(
    ("width", "depth", "total", "body", "of_total", "of_body", "attention"),
    [
        (512, 8, 4.15e7, 2.52e7, 1.803, 2.977, 0.224),
        (640, 10, 6.96e7, 4.92e7, 1.675, 2.373, 0.225),
        (1024, 18, 2.59e8, 2.26e8, 1.421, 1.627, 0.205),
        (2048, 24, 1.27e9, 1.21e9, 1.210, 1.276, 0.131),
        (8192, 80, 6.47e10, 6.44e10, 1.046, 1.050, 0.040),
    ],
)
def test_the_choice_of_a_convention(
    width: int,
    depth: int,
    total: float,
    body: float,
    of_total: float,
    of_body: float,
    attention: float,
) -> None:
    shape = Shape(width, depth, width // 64, 4 * width, 32_000)
    found = per_token(shape, 2048)
    assert shape.total == pytest.approx(total, rel=5e-3)
    assert shape.body == pytest.approx(body, rel=5e-3)
    assert found["detailed"] / found["total"] == pytest.approx(of_total, abs=2e-3)
    assert found["detailed"] / found["kaplan"] == pytest.approx(of_body, abs=2e-3)
    scores = 3 * mixing(shape, 2048, causal=False)
    assert scores / found["detailed"] == pytest.approx(attention, abs=1e-3)


def test_conventions_by_hand() -> None:
    width, depth, heads, inner, words, length = 4, 3, 2, 10, 7, 5
    layer = 6 * length * 4**2  # queries, keys, values
    layer += 2 * length**2 * 4 + 3 * 2 * length**2 + 2 * length**2 * 4  # scores, softmax, values
    layer += 2 * length * 4**2 + 4 * length * 4 * 10  # output, feed-forward
    ends = 2 * (2 * length * 7 * 4)  # embedding as a product, head
    assert (layer, ends) == (480 + 550 + 960, 560)
    found = per_token(Shape(width, depth, heads, inner, words), length)
    assert found["detailed"] == 3 / 5 * (560 + 3 * 1990) == 3918
    # 3 layers of 64 + 80 weights and a head of 28; the causal half of scores and values is 6 s d l.
    assert found["standard"] == 6 * (3 * 144 + 28) == 2760
    assert found["attention"] == 2760 + 6 * 5 * 4 * 3 == 3120
    gated = per_token(Shape(width, depth, heads, inner, words, gated=True), length)
    assert gated["detailed"] - found["detailed"] == 3 * (2 * 4 * 10) * 3
    assert gated["attention"] - found["attention"] == 6 * (4 * 10) * 3


def test_every_convention_is_explained_and_ordered() -> None:
    shape = Shape(512, 8, 8, 2048, 32_000)
    found = training(shape, 1e9, 2048)
    assert set(found) == set(ABOUT)
    assert found["kaplan"] < found["standard"] < found["attention"] < found["detailed"]
    assert found["standard"] == 6 * (shape.body + shape.head) * 1e9


def test_a_recurrent_mixer_has_no_term_in_the_length() -> None:
    shape = Shape(512, 8, 4, 1365, 32_000, gated=True, mixer="gla", key=64, value=128)
    near, far = per_token(shape, 2048), per_token(shape, 65_536)
    assert near == far
    dense = Shape(512, 8, 8, 1365, 32_000, gated=True)
    assert per_token(dense, 65_536)["attention"] > 3 * per_token(dense, 2048)["attention"] / 2
    state = Shape(512, 8, 8, 1365, 32_000, gated=True, mixer="state")
    assert mixing(state, 2048, causal=True) == 8 * 3 * 512


def test_ternary_weights_are_counted_both_ways() -> None:
    shape = Shape(512, 8, 8, 2048, 32_000)
    additions = forward_additions(shape.body + shape.head, 1e9)
    assert training(shape, 1e9, 2048)["standard"] == 6 * additions


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"width": 0}, "width is 0"),
        ({"mixer": "gla"}, "needs key and value"),
    ],
)
def test_a_shape_that_is_none(fields: dict, words: str) -> None:
    whole = {"width": 8, "depth": 1, "heads": 1, "inner": 8, "vocabulary": 8} | fields
    with pytest.raises(ValueError, match=words):
        Shape(**whole)


def test_the_compute_of_the_matmul_free_models() -> None:
    sizes, tokens = np.asarray([370e6, 1.3e9, 2.7e9]), np.asarray([15e9, 100e9, 100e9])
    assert [f"{flops:.1e}" for flops in FLOPS * sizes * tokens] == ["3.3e+19", "7.8e+20", "1.6e+21"]
    assert (tokens / sizes).round().tolist() == [41, 77, 37]
