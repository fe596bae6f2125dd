"""`python -m workbench.vision.train`: trained, written, read back, gone on with, and refused."""

import json

import numpy as np
import pytest
from PIL import Image

from workbench import vision
from workbench.checkpoints import CheckpointError
from workbench.vision.train import main
from workbench.vision.training import checkpoints, judged
from workbench.vision.training.plan import data_of


@pytest.mark.slow
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
        (tmp_path / name).mkdir()
        for number, side in enumerate(sides):
            pixels = rng.integers(0, 256, (side, side, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    return tmp_path


@pytest.mark.parametrize(
    ("classes", "words", "message"),
    [
        ({"cats": [40, 40]}, [], "only one class, 'cats'"),
        ({"cats": [40, 40], "dogs": [40, 8]}, [], "8×8 is smaller than size=32"),
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
