"""Inception v3 against timm's, and in FID's form against timm's with that form's pools."""

import importlib

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.parity.without_torchvision import randomised, stand_in
from workbench.diffusion.quality.inception import Inception

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def timm_inception():
    with stand_in():
        return importlib.import_module("timm.models.inception_v3")


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).uniform(size=(2, 128, 96, 3)).astype(np.float32)


def _network(timm_inception, classes):
    import torch

    torch.manual_seed(0)
    return randomised(timm_inception.InceptionV3(num_classes=classes, aux_logits=False))


def _peer_features(network, pictures):
    import torch

    with torch.no_grad():
        x = torch.nn.functional.interpolate(
            torch.from_numpy(pictures.transpose(0, 3, 1, 2)),
            size=(299, 299),
            mode="bilinear",
            align_corners=False,
        )
        return network.forward_features(2 * x - 1).mean((2, 3)).numpy()


def _saved(network, folder):
    file = folder / "inception.safetensors"
    save_file({name: value.numpy() for name, value in network.state_dict().items()}, file)
    return file


def test_torchvisions_form(timm_inception, pictures, tmp_path):
    network = _network(timm_inception, 1000)
    ours = Inception.load(_saved(network, tmp_path))
    assert ours.form == "torchvision"
    wanted = _peer_features(network, pictures)
    assert np.ptp(wanted) > 0.1
    np.testing.assert_allclose(ours.features(pictures), wanted, rtol=0, atol=1e-4 * wanted.max())


def test_the_form_fid_is_defined_on(timm_inception, pictures, tmp_path, monkeypatch):
    import torch.nn.functional as functional

    network = _network(timm_inception, 1008)
    ours = Inception.load(_saved(network, tmp_path))
    assert ours.form == "fid"
    calls = []

    def pool(x, kernel_size, stride, padding):
        calls.append(x.shape)
        if len(calls) == 9:  # the last block's
            return functional.max_pool2d(x, kernel_size, stride, padding)
        return plain(x, kernel_size, stride, padding, count_include_pad=False)

    plain = functional.avg_pool2d
    monkeypatch.setattr(timm_inception.F, "avg_pool2d", pool)
    wanted = _peer_features(network, pictures)
    monkeypatch.undo()
    assert len(calls) == 9
    np.testing.assert_allclose(ours.features(pictures), wanted, rtol=0, atol=1e-4 * wanted.max())
    usual = _peer_features(network, pictures)
    assert np.abs(usual - wanted).max() > 1e-2 * wanted.max()
