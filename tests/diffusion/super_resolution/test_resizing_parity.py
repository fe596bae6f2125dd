"""Resizing as torch's `interpolate` does it, which second-order degradation was published with."""

import numpy as np
import pytest

from tests.peers import peer
from workbench.diffusion.super_resolution.resizing import MODES, resized

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(8, 8), (21, 13), (64, 50), (33, 32)])
def test_sizes_up_and_down(mode, size: tuple[int, int]) -> None:
    torch = peer("torch")
    picture = np.random.default_rng(0).random((32, 32, 3)).astype(np.float32)
    planes = torch.from_numpy(picture).permute(2, 0, 1)[None]
    aligned = {} if mode == "area" else {"align_corners": False}
    theirs = torch.nn.functional.interpolate(planes, size=size, mode=mode, **aligned)
    ours = resized(picture, size, mode)
    # Torch computes its weights in float32.
    np.testing.assert_allclose(ours, theirs[0].permute(1, 2, 0).numpy(), atol=5e-6)
