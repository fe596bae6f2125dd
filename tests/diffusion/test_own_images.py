"""A model of one's own: trained on a folder, opened by the pipeline, refused with one line."""

import numpy as np
import pytest
from PIL import Image

from workbench.diffusion import own_images
from workbench.diffusion.driver import sample
from workbench.diffusion.full_sampling import FewerSteps, FullSampling
from workbench.diffusion.pipeline import Pipeline
from workbench.labs.diffusion import study
from workbench.study import compare


@pytest.fixture
def photos(tmp_path):
    draw = np.random.default_rng(0)
    for name in ("day", "night"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(12):
            picture = draw.integers(0, 255, (14, 14, 3), dtype=np.uint8)
            Image.fromarray(picture).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(900)  # compiles the shipped recipe at another size
def test_a_folder_becomes_a_model_that_samples(photos, tmp_path):
    out, runs = tmp_path / "model", tmp_path / "runs"
    given = [str(photos), "--size", "12", "--steps", "2", "--out", str(out), "--runs", str(runs)]
    recipe = own_images.UNET_RECIPE.model_copy(update={"warmup": 1})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own_images, "UNET_RECIPE", recipe)
        assert own_images.main(given) == 0
    model = Pipeline.load(out, steps=2)
    assert model.tokens.classes == 2
    pictures = sample(model, model.inputs((0, 1)))["image"]
    assert pictures.shape == (2, 12, 12, 3)
    assert np.isfinite(pictures).all()
    found = compare(
        [FullSampling(), FewerSteps(steps=1)], study(model, steps=2, seeds=2), repeats=0
    )
    assert np.isfinite(found.tables.trials["quality.ssim"]).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--size", "14"], "multiple of 4"),
        (["--size", "8"], "11 or more"),
        (["--size", "64"], "smaller than size=64; take a smaller --size"),
    ],
)
def test_what_cannot_be_trained_on_is_one_line(photos, capsys, change, said):
    assert own_images.main([str(photos), *change]) == 2
    shown = capsys.readouterr().err
    assert said in shown and len(shown.strip().splitlines()) == 1


def test_an_empty_folder_is_refused(tmp_path, capsys):
    (tmp_path / "none").mkdir()
    assert own_images.main([str(tmp_path / "none"), "--size", "12"]) == 2
    assert "none" in capsys.readouterr().err
