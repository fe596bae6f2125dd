"""`python -m workbench.vision.train`: trained, written, read back, gone on with, and refused."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from workbench import vision
from workbench.checkpoints import CheckpointError
from workbench.datasets import PHOTOGRAPHS
from workbench.datasets.photography import read_packaged
from workbench.vision import published
from workbench.vision.train import _parser, _words, main, pictures_of, plan_of
from workbench.vision.training import checkpoints, judged
from workbench.vision.training.folder_size import folder_size
from workbench.vision.training.plan import data_of


@pytest.mark.slow
@pytest.mark.long
def test_a_tiny_training_is_written_judged_and_done_once(tmp_path, workbench_home, capsys):
    words = ["--data", "digits", "--architecture", "our_small_resnext", "--tiny", "--grey"]
    words += ["--out", str(tmp_path / "out")]
    assert main([*words, "--minutes", "0"]) == 3
    assert "the same command goes on" in capsys.readouterr().err
    assert main(words) == 0
    assert "2 updates of 8 pictures" in capsys.readouterr().out
    (one,) = checkpoints(tmp_path / "out")
    assert one.name == "our_small_resnext" and one.data == "digits-16"
    model = one.load()
    found = judged(model, data_of("digits").test)
    assert found.top1.value == one.facts["top1"]["value"]
    assert vision.parameters(model) == one.facts["parameters"]
    first = json.loads((tmp_path / "out" / "training.json").read_text())
    assert main(words) == 0  # from the store
    again = json.loads((tmp_path / "out" / "training.json").read_text())
    assert again["networks"] == first["networks"]
    assert (tmp_path / "out" / "card.md").read_text().startswith("# Small convnets, trained")


def folder(tmp_path, **classes):
    rng = np.random.default_rng(0)
    for name, sides in classes.items():
        (tmp_path / name).mkdir(parents=True)
        for number, side in enumerate(sides):
            pixels = rng.integers(0, 256, (side, side, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    return tmp_path


@pytest.mark.parametrize(
    ("classes", "words", "message"),
    [
        ({"cats": [40, 40]}, [], "only one class, 'cats'"),
        (
            {"cats": [40, 40], "dogs": [40, 8]},
            [],
            "8×8 is smaller than size=32; take a smaller --size, or --enlarge",
        ),
        ({"cats": [40, 40], "dogs": [40]}, [], "class 'dogs' has 1 picture"),
        ({"a": [40, 40], "b": [40, 40]}, ["--architecture", "resnet49"], "did you mean resnet50?"),
        ({"a": [40, 40], "b": [40, 40]}, ["--size", "0"], "size=0"),
        ({"a": [40, 40], "b": [40, 40]}, ["--steps", "0"], "steps"),
        ({"a": [40, 40], "b": [40, 40]}, ["--ema", "2"], "ema_decay"),
    ],
)
def test_one_clear_line(tmp_path, classes, words, message, capsys):
    place = folder(tmp_path, **classes)
    assert main(["--data", str(place), "--out", str(tmp_path / "out"), *words]) == 2
    told = capsys.readouterr().err
    assert message in told and len(told.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_grey_among_colour_is_refused_and_taken_in_the_commands_own_words(tmp_path, capsys):
    place = folder(tmp_path / "photos", cats=[40, 8], dogs=[40, 40])
    Image.new("L", (40, 40), 90).save(place / "cats" / "grey.png")
    words = ["--data", str(place), "--architecture", "our_small_resnext", "--enlarge"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.endswith("say --grey or --colour\n") and "channels=" not in said
    for flag, channels in (("--grey", 1), ("--colour", 3)):
        given = _parser().parse_args([*words, flag])
        found = pictures_of(given, plan_of(given)).train.images
        assert found.shape[1:] == (32, 32, channels)
        assert f"{flag} --enlarge" in " ".join(_words(given))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "digits", "--colour"], "colour: digits are grey"),
        (["--data", "digits", "--enlarge"], "enlarge: digits are there at their own sizes"),
        (["--enlarge"], "enlarge: patches are there at their own sizes"),
    ],
)
def test_choices_that_only_a_folder_has(words, message, capsys):
    assert main(words) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("sides", "names", "enlarge", "size", "why"),
    [
        ([300, 240], ("mobilenetv2_100", "our_small_resnext"), False, 224, "mobilenetv2_100 is"),
        ([300, 150], ("mobilenetv2_100",), False, 128, "made for 224, and .* a/1.png is 150"),
        ([300, 150], ("mobilenetv2_100",), True, 224, "the size that mobilenetv2_100 is made"),
        ([300, 150], ("our_small_resnext",), False, 32, "our_small_resnext is made for"),
        ([300, 20], ("mobilenetv2_100",), False, 32, "a/1.png is 20"),
        ([300, 20], ("our_small_resnext",), False, 32, "our_small_resnext is made for"),
    ],
)
def test_a_folder_has_the_size_its_network_is_made_for(tmp_path, sides, names, enlarge, size, why):
    place = folder(tmp_path, a=sides, b=[300])
    found, said = folder_size(place, [published(name) for name in names], enlarge=enlarge)
    assert found == size and re.search(why, said)


def test_a_size_that_leaves_tiny_maps_is_told(tmp_path, capsys):
    place = folder(tmp_path, a=[40, 40], b=[40, 40])
    given = _parser().parse_args(["--data", str(place), "--architecture", "mobilenetv2_100"])
    assert pictures_of(given, plan_of(given)).train.images.shape[1] == 32
    said = capsys.readouterr().out
    assert "32 × 32 pixels: mobilenetv2_100 is made for 224" in said
    assert "its last maps are small here" in said


@pytest.mark.slow
@pytest.mark.long
def test_a_folder_of_photographs_is_trained_on_written_and_read(tmp_path, workbench_home, capsys):
    """The class is the photograph: 96 crops of each, 48 pixels wide, which do not overlap."""
    place, side = tmp_path / "photos", 48
    for name in ("coffee", "rocket"):
        (place / name).mkdir(parents=True)
        (one,) = (p for p in PHOTOGRAPHS if p.name == name)
        pixels = read_packaged(one.file, "RGB")
        corners = [(t, s) for t in range(0, 8 * side, side) for s in range(0, 12 * side, side)]
        for number, (top, left) in enumerate(corners):
            crop = np.ascontiguousarray(pixels[top : top + side, left : left + side])
            Image.fromarray(crop).save(place / name / f"{number}.png")
    words = ["--data", str(place), "--architecture", "our_small_mobilenet_v1", "--steps", "30"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "Pictures of 32 × 32 pixels: the size that our_small_mobilenet_v1 is made for" in said
    (one,) = checkpoints(tmp_path / "out")
    model = one.load()
    assert model.config.num_classes == 2
    found = judged(model, data_of(str(place)).test)
    assert found.top1.value == one.facts["top1"]["value"] and found.top1.low > 0.5


def test_a_folder_that_is_not_there_and_a_broken_picture(tmp_path, capsys):
    assert main(["--data", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err
    place = folder(tmp_path, a=[40, 40], b=[40, 40])
    (place / "b" / "1.png").write_bytes(b"not a picture")
    assert main(["--data", str(place)]) == 2
    assert "not a readable picture" in capsys.readouterr().err


def test_a_folder_without_a_record(tmp_path):
    with pytest.raises(CheckpointError, match="no record of networks"):
        checkpoints(tmp_path)
