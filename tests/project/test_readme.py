"""The README's Python runs as it stands there, with fewer pictures."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.labs import small_text_model, tiny

README = Path(__file__).resolve().parents[2] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def block(words: str) -> str:
    """The one block of Python that has these words."""
    (found,) = [code for code in BLOCKS if words in code]
    return found


@pytest.fixture
def run(tmp_path, monkeypatch, workbench_home):
    """Runs code as a file of the user's, in the user's folder."""
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    monkeypatch.syspath_prepend(tmp_path / "mine")

    def run(name: str, code: str):
        Path(f"{name}.py").write_text(code, encoding="utf-8")
        return importlib.import_module(name)

    return run


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(900)
def test_five_lines_compare(run):
    code, fewer = re.subn(r"seeds=\d+", "seeds=2", block("FullSampling(), EncoderPropagation"))
    assert fewer == code.count("\ncompare(") == 1
    code = code.replace("\ncompare(", "\nfound = compare(")
    found = run("readme_compare", code).found
    assert found.tables.methods == ["Full sampling", "Encoder propagation"]
    assert len(found.tables.trials) == 4
    assert set(found.summary()["method"]) == set(found.tables.methods)
    assert found.verdict("Encoder propagation").sentence


@pytest.mark.slow
def test_a_method_and_images_of_ones_own_and_a_model_made_of_them(run):
    draw = np.random.default_rng(0)
    for name in ("day", "night"):
        folder = Path("photos") / name
        folder.mkdir(parents=True)
        for number in range(12):
            pixels = draw.integers(0, 255, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    tiny.write(Path("my-model"))
    method, images = block("PlannedSampling"), block("image_folder")
    model = block('diffusion.pipeline("my-model")')
    assert method.count("\ndiffusion.open(") == 1 and model.startswith("diffusion.open(")
    method = method.replace("\ndiffusion.open(", "\nmine = diffusion.open(")
    made = run("readme_own", f"{method}\n{images}\nother = {model}")
    assert made.photos.train.images.shape[1:] == (32, 32, 3)
    assert made.FullThenShallow().plan(20).actions == ("full",) * 15 + ("shallow",) * 5
    assert made.FullThenShallow.name in [group.label for group in made.mine.view.groups]
    assert made.other.view.pipeline.name == "my-model"
    made.mine.close()
    made.other.close()


@pytest.mark.slow
@pytest.mark.long
def test_a_checkpoint_of_ones_own(run):
    small_text_model.write(Path("my-checkpoint"))
    code, fewer = re.subn(r"steps=20, seeds=8", "steps=6, seeds=2", block("load_pipeline"))
    code, panels = re.subn(r"\ndiffusion\.(\w+)\(", r"\n\1_panel = diffusion.\1(", code)
    code, compared = re.subn(r"\ncompare\(", "\nfound = compare(", code)
    assert (fewer, panels, compared) == (1, 3, 1)
    made = run("readme_checkpoint", code)
    assert made.found.tables.methods == ["Full sampling", "Encoder propagation"]
    assert made.mine.prompts == ("a red house", "a cat and a dog")
    for panel in (made.text_to_image_panel, made.plan_editor_panel, made.open_panel):
        assert not panel.problems
        panel.close()


@pytest.mark.slow
def test_a_mixer_of_ones_own(run):
    code = block("from workbench.language import check").replace("\ncheck(", "\nfound = check(")
    code = code.replace("\nlanguage.where", "\npanel = language.where")
    made = run("readme_mixer", code)
    assert made.found.passed and made.found.mixer == "Decay"
    assert made.panel.picture.contents["seconds"].title.endswith("?")
    made.panel.close()


@pytest.mark.slow
def test_kernels_alone_and_shared_out(run):
    code = block("from kernels_pallas import chosen").replace("\nchosen(", "\nchoices = chosen(")
    alone, together = code.replace("out, state", "wanted, _"), block("jax.shard_map(")
    made = run("readme_kernels", f"{alone}\n{together}")
    assert [choice.form for choice in made.choices] == ["xla"]
    np.testing.assert_allclose(made.out, made.wanted, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_a_sweep(run):
    table = run("readme_sweep", block("def train(settings, job)")).study.table()
    assert list(table["state"]) == ["finished"] * 6
    assert list(table["seed"]) == [0, 1, 2] * 2 and set(table["steps"]) == {50}
    assert table["loss"].max() == pytest.approx(3 * 0.99**50)


@pytest.mark.slow
@pytest.mark.long
def test_a_scaling_law(run):
    from workbench.labs.scaling import tables

    tables.simulate().query("method == 'reference'")[1:].to_csv("runs.csv", index=False)
    code = block("import Chinchilla").replace("\nfound.allocation(", "\nrows = found.allocation(")
    code, panels = re.subn(r"\nscaling\.(\w+)\(", r"\n\1_panel = scaling.\1(", code)
    assert panels == 2
    made = run("readme_scaling", code)
    assert (made.rows["n_params_low"] < made.rows["n_params"]).all() and len(made.choices) >= 3
    for panel in (made.fit_panel, made.decide_panel):
        assert panel.wait(240) and panel.status["kind"] == "done"
        panel.close()


@pytest.mark.slow
@pytest.mark.long
def test_a_convnet(run):
    from workbench import vision

    vision.save(vision.new(vision.published("mobilenetv3_small_050")), "my-convnet")
    Image.new("L", (90, 60), 200).save("cat.png")
    made = run("readme_convnet", block("vision.load"))
    assert made.pictures.shape == (1, 224, 224, 3) and made.logits.shape == (1, 1000)
    assert round(vision.macs(made.grouped) / 1e9, 3) == 0.690


@pytest.mark.slow
def test_convnets_compared(run):
    from workbench import vision

    vision.save(vision.new(vision.published("mobilenetv3_small_050")), "my-convnet")
    code = block("lab.waterline(").replace("lab.study())", "lab.study(pixels=32), repeats=3)")
    code, panels = re.subn(r"\nlab\.(\w+)\(", r"\n\1_panel = lab.\1(", code)
    code = code.replace("\ncompare(", "\nfound = compare(")
    made = run("readme_networks", code)
    assert panels == 3 and made.waterline_panel.settings["shown"]["network"] == "own"
    assert made.found.tables.methods == ["MobileNet V1", "MobileNet V1, groups of 8"]
    for panel in (made.gap_panel, made.waterline_panel, made.group_size_panel):
        assert not panel.problems
        panel.close()


def test_a_kernel_by_itself(run):
    made = run(
        "readme_kernels",
        block("from kernels_pallas import").replace("\nchosen(", "\nchoices = chosen("),
    )
    assert made.out.shape == made.v.shape and made.state.shape == (1, 4, 128, 128)
    assert [choice.op for choice in made.choices] == ["gated_linear_attention"]
