"""Inception from a file: what does not fit is named, and pictures of any kind are taken."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from workbench.checkpoints import CheckpointError
from workbench.diffusion.population import Statistics, frechet_distance
from workbench.diffusion.quality.inception import Inception, file_shapes


@pytest.fixture(scope="module")
def tensors():
    rng = np.random.default_rng(0)
    made = {"fc.weight": np.zeros((1008, 2048), np.float32)}
    for name, shape in file_shapes("fid").items():
        if name.endswith("conv.weight"):
            fan_in = np.prod(shape[1:])
            made[name] = rng.standard_normal(shape, np.float32) * np.sqrt(2 / fan_in)
        else:
            made[name] = np.full(shape, float(name.endswith(("weight", "var"))), np.float32)
    return {name: np.asarray(array, np.float32) for name, array in made.items()}


def test_the_network_has_its_94_convolutions_and_known_size(tensors):
    assert sum(name.endswith("conv.weight") for name in tensors) == 94
    learnt = sum(
        array.size
        for name, array in tensors.items()
        if name.endswith(("conv.weight", "bn.weight", "bn.bias"))
    )
    # torchvision's count of the whole network, less its classifier of 1,000 classes.
    assert learnt == 23_834_568 - (2048 * 1000 + 1000)


@pytest.mark.slow
def test_grey_pictures_are_their_rgb_copies(tensors, tmp_path):
    save_file(tensors, tmp_path / "inception.safetensors")
    network = Inception.load(tmp_path)
    grey = np.random.default_rng(1).uniform(size=(1, 40, 40, 1)).astype(np.float32)
    seen: list[tuple[int, int]] = []
    found = network.features(grey, lambda done, total, note: seen.append((done, total)))
    assert found.shape == (1, 2048) and np.ptp(found) > 0 and seen == [(0, 1), (1, 1)]
    colour = network.features(np.repeat(grey, 3, axis=-1))
    np.testing.assert_allclose(found, colour, rtol=0, atol=1e-5 * found.max())
    with pytest.raises(ValueError, match=r"shape \(1, 40, 20, 2\); needed \[B, H, W, 1 or 3\]"):
        network.features(grey.reshape(1, 40, 20, 2))


def test_a_file_that_does_not_fit_is_named(tensors, tmp_path):
    file = tmp_path / "weights.safetensors"

    def fault(**changed):
        kept = {name: array for name, array in (tensors | changed).items() if array is not None}
        save_file(kept, file)
        with pytest.raises(CheckpointError) as caught:
            Inception.load(file)
        return str(caught.value)

    assert "0 classes" in fault(**{"fc.weight": None}) and str(file) in fault(**{"fc.weight": None})
    assert "7 classes" in fault(**{"fc.weight": np.zeros((7, 2048), np.float32)})
    name = "Mixed_6b.branch7x7_2.conv.weight"
    assert name in fault(**{name: None})
    assert name in fault(**{name: np.zeros((128, 128, 7, 1), np.float32)})
    assert "running_var" in fault(
        **{"Mixed_7c.branch_pool.bn.running_var": np.full(192, np.nan, np.float32)}
    )


def test_distance_to_stored_statistics_is_that_to_the_pictures(tmp_path):
    rng = np.random.default_rng(2)
    few, many = rng.normal(size=(5, 12)), rng.normal(0.3, 2, size=(40, 12))
    Statistics.of(many).save(tmp_path / "reference.npz")
    stored = Statistics.load(tmp_path / "reference.npz")
    for first in (few, many + 1):
        wanted = frechet_distance(first, many)
        assert frechet_distance(first, stored) == pytest.approx(wanted, rel=1e-9)
    with pytest.raises(ValueError, match="12 wide and the reference's 7"):
        frechet_distance(few, Statistics.of(many[:, :7]))


def test_statistics_that_are_none_are_refused(tmp_path):
    with pytest.raises(ValueError, match="needed an .npz with mu and sigma"):
        Statistics.load(tmp_path / "none.npz")
    np.savez(tmp_path / "wrong.npz", mu=np.zeros(3), sigma=np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"mu has shape \(3,\)"):
        Statistics.load(tmp_path / "wrong.npz")
    np.savez(tmp_path / "pickled.npz", mu=np.array([object()]), sigma=np.zeros((1, 1)))
    with pytest.raises(ValueError, match="needed an .npz"):
        Statistics.load(tmp_path / "pickled.npz")
