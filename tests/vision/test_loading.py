"""Folders: written, read, and refused with one clear line."""

import json

import numpy as np
import pytest

from tests.vision.answers import MOBILE, SMALL, answer, pictures, stirred
from workbench import vision
from workbench.checkpoints import CheckpointError, read_tensors, write_tensors
from workbench.model_files.precision import Int8Kernel

NAME = "mobilenetv3_small_050"


@pytest.fixture(scope="module")
def small():
    """The smallest published network."""
    return stirred(vision.new(vision.published(NAME, num_classes=5)))


def fields_of(folder):
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))


def rewritten(folder, **changes):
    fields = fields_of(folder) | changes
    (folder / "config.json").write_text(json.dumps(fields), encoding="utf-8")


@pytest.mark.parametrize("config", SMALL.values(), ids=SMALL)
def test_networks_of_ones_own_come_back(config, tmp_path):
    model = stirred(vision.new(config))
    vision.save(model, tmp_path)
    again = vision.load(tmp_path)
    assert again.config == config
    assert fields_of(tmp_path)["architecture"] == "workbench-convnet"
    np.testing.assert_array_equal(answer(again, pictures()), answer(model, pictures()))


def test_published_networks_are_written_as_timm_names_them(small, tmp_path):
    vision.save(small, tmp_path)
    fields = fields_of(tmp_path)
    assert (fields["architecture"], fields["num_classes"]) == (NAME, 5)
    tensors = read_tensors(tmp_path)
    assert tensors["conv_stem.weight"].shape == (16, 3, 3, 3)
    assert tensors["blocks.1.0.conv_dw.weight"].shape[1] == 1
    assert tensors["classifier.weight"].shape == (5, 1024)
    assert {"bn1.running_mean", "bn1.running_var", "blocks.0.0.se.conv_reduce.bias"} <= set(tensors)
    assert vision.load(tmp_path).config == small.config


def test_counts_of_batches_are_no_weights(small, tmp_path):
    vision.save(small, tmp_path)
    tensors = read_tensors(tmp_path) | {"bn1.num_batches_tracked": np.asarray(7, np.int64)}
    write_tensors(tmp_path / "model.safetensors", tensors)
    found = vision.load(tmp_path).bn1
    np.testing.assert_array_equal(found.running_var[...], small.bn1.running_var[...])
    np.testing.assert_array_equal(found.scale[...], small.bn1.scale[...])


@pytest.mark.slow
def test_group_size_of_a_file(tmp_path):
    plain = vision.published("mobilenetv1_100", num_classes=2)
    config = vision.constant_group_size(plain, 8)
    vision.save(vision.new(config), tmp_path)
    assert fields_of(tmp_path)["model_args"]["group_size"] == 8
    assert vision.load(tmp_path).config == config


def test_the_old_form_of_a_configuration(small, tmp_path):
    vision.save(small, tmp_path)
    old = {"architecture": NAME, "num_classes": 5, "mean": [0.5] * 3, "std": [0.25] * 3}
    (tmp_path / "config.json").write_text(json.dumps(old), encoding="utf-8")
    preprocessing = vision.load(tmp_path).config.preprocessing
    assert (preprocessing.mean, preprocessing.std) == ((0.5,) * 3, (0.25,) * 3)


@pytest.mark.slow
def test_int8_and_bfloat16_are_near(small, tmp_path):
    vision.save(small, tmp_path)
    wanted = answer(small, pictures(32))
    for dtype, gap in (("bfloat16", 0.1), ("int8", 0.1)):
        held = vision.load(tmp_path, dtype=dtype)
        assert np.abs(answer(held, pictures(32)) - wanted).max() < gap * np.abs(wanted).max()
    assert isinstance(held.conv_stem.kernel, Int8Kernel)


def test_a_folder_without_a_configuration(small, tmp_path):
    vision.save(small, tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"no config.json here, which names the network"):
        vision.load(tmp_path)


def test_a_place_there_is_not(tmp_path):
    with pytest.raises(CheckpointError, match="no such file or folder, and no hub name"):
        vision.load(tmp_path / "nothing")
    file = tmp_path / "model.safetensors"
    file.touch()
    with pytest.raises(CheckpointError, match="a file; needed the folder with config.json"):
        vision.load(file)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "vit_base"}, r"config.json: architecture='vit_base' is not known"),
        ({"architecture": None}, "architecture is missing"),
        ({"global_pool": "max"}, "global_pool='max' is not supported"),
        ({"num_classes": 0, "model_args": {}}, "num_classes=0"),
        ({"num_classes": 4}, "num_classes=4, but model_args has num_classes=5"),
        ({"model_args": {"act_layer": "gelu"}}, "field act_layer='gelu' is not known"),
        ({"model_args": {"group_size": 0}}, "group_size=0 must be a whole number"),
        ({"pretrained_cfg": {"mean": "grey"}}, "mean='grey'"),
        ({"architecture": "workbench-convnet", "network": None}, "kind=None is not a network"),
    ],
)
def test_a_wrong_configuration(small, changes, message, tmp_path):
    vision.save(small, tmp_path)
    rewritten(tmp_path, **changes)
    with pytest.raises(ValueError, match=message):
        vision.load(tmp_path)


def test_tensors_that_do_not_fit(small, tmp_path):
    vision.save(small, tmp_path)
    rewritten(tmp_path, architecture="mobilenetv3_small_075", model_args={})
    with pytest.raises(CheckpointError, match=r"(?s)does not fit.*wrong shape.*blocks.0.0.bn2."):
        vision.load(tmp_path)


def test_a_key_that_is_missing(tmp_path):
    vision.save(vision.new(MOBILE), tmp_path)
    tensors = dict(read_tensors(tmp_path))
    tensors["blocks.0.0.conv.wight"] = tensors.pop("blocks.0.0.conv.weight")
    write_tensors(tmp_path / "model.safetensors", tensors)
    with pytest.raises(
        CheckpointError, match=r"(?s)blocks.0.0.conv.weight .*nearest found: blocks.0.0.conv.wight"
    ):
        vision.load(tmp_path)
