"""Text to image: forms, faults in one line, memory, previews, files; on a small real pipeline."""

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.labs import small_text_model, tiny
from tests.labs.tiny import dit_pipeline
from workbench.diffusion import load_pipeline
from workbench.diffusion.pipeline import SAMPLERS
from workbench.labs import diffusion
from workbench.labs.diffusion import images_view
from workbench.labs.diffusion.generation import Generated, in_parts, inputs_of
from workbench.labs.diffusion.images_form import DrawingKnobs
from workbench.labs.diffusion.images_view import ImagesView
from workbench.labs.diffusion.model_shelf import Shelf
from workbench.labs.diffusion.picture_files import png_with_settings, settings_in
from workbench.labs.diffusion.room import Room, is_out_of_memory, what_would_fit
from workbench.model_files.precision import precision
from workbench.panels.panel import Panel
from workbench.panels.settings import accepted, start
from workbench.progress import Cancelled
from workbench.study.knobs import describe

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return small_text_model.write(tmp_path_factory.mktemp("text-model") / "small")


@pytest.fixture(scope="module")
def small(folder):
    return load_pipeline(folder, steps=4, guidance=2.0)


ONE = {"prompt": {"prompt": "and"}, "drawing": {"at_once": 1}}


def settings(view, **groups):
    return accepted(view, start(view, groups))


def refused(view, **groups):
    """The first problem of these settings, as (group, field, message)."""
    found = [p for p in view.check(settings(view, **groups)) if p.level == "error"]
    return (found[0].group, found[0].field, found[0].message) if found else None


# -- before anything is loaded --------------------------------------------------------------


def test_it_opens_on_shipped_pictures_without_a_model():
    script = """
import sys
from workbench.labs import diffusion
panel = diffusion.text_to_image()
assert panel.status["kind"] == "idle", panel.status
gallery = panel.picture.contents["pictures"]
assert len(gallery.pictures) == 8 and "DDIM, 50 steps" in gallery.subtitle
assert {"pictures", "seconds", "memory"} <= set(panel.picture.contents)
for index in range(3):
    panel._on_preset({"index": index})
    assert panel.status["kind"] == "idle", (index, panel.status)
panel.load({"checkpoint": {"path": "/nowhere/at-all"}})
assert panel.status["kind"] == "invalid"
assert "nothing is at '/nowhere/at-all'" in panel.status["text"], panel.status
print(sorted(set(sys.modules) & {"jax", "flax", "optax", "torch"}))
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_the_form_offers_every_sampler():
    (field,) = [field for field in describe(DrawingKnobs) if field.name == "sampler"]
    assert {value for value, _ in field.choices} == {"own", *SAMPLERS}


def test_the_shipped_pictures_can_be_saved():
    panel = diffusion.text_to_image()
    name, content = panel.view.export("pictures", panel.values, panel.picture)
    assert name == "pictures.zip"
    with zipfile.ZipFile(BytesIO(content)) as files:
        assert files.namelist() == [f"seed-{seed}.png" for seed in range(8)]
    name, content = panel.view.export("picture 3", panel.values, panel.picture)
    assert name == "seed-3.png" and content.startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="no export of kind"):
        panel.view.export("picture 99", panel.values, panel.picture)
    # What is on the screen leaves, not what was drawn before it.
    panel.view.made = Generated(np.zeros((1, 4, 4, 1)), (3,), {})
    assert panel.view.export("picture 3", panel.values, panel.picture) == (name, content)
    panel.close()


def test_saved_pictures_replace_none_that_are_there(tmp_path):
    first = Generated(np.zeros((2, 4, 4, 3)), (0, 7), {})
    second = Generated(np.ones((1, 4, 4, 3)), (7,), {})
    assert [file.name for file in first.save(tmp_path)] == ["seed-0.png", "seed-7.png"]
    assert [file.name for file in second.save(tmp_path)] == ["seed-7-2.png"]
    assert [file.name for file in second.save(tmp_path)] == ["seed-7-3.png"]
    with Image.open(tmp_path / "seed-7.png") as kept:
        assert np.asarray(kept).max() == 0


# -- a checkpoint that is there -------------------------------------------------------------


def test_the_model_says_what_it_cannot_draw(small):
    view = ImagesView(small)
    assert refused(view) is None
    group, field, message = refused(view, drawing={"height": 17})
    assert (group, field) == ("drawing", "height") and "multiple of 4" in message
    assert refused(view, drawing={"steps": 5000})[1] == "steps"
    assert "A pattern is written" in refused(view, plan={"method": "own", "pattern": "no"})[2]
    digits = ImagesView(tiny.pipeline())
    assert refused(digits, prompt={"negative": "blur"})[1] == "negative"
    assert "classes 0 to 9" in refused(digits, prompt={"prompt": "a cat"})[2]
    assert refused(digits, prompt={"prompt": "3, 4"}) is None
    transformer = ImagesView(dit_pipeline())
    assert "classes 0 to 9" in refused(transformer, prompt={"prompt": "11"})[2]
    assert refused(transformer, prompt={"prompt": "9"}) is None


@pytest.mark.slow
@pytest.mark.long
def test_a_run_draws_with_previews_and_tells_each_part(small):
    view = ImagesView(small)
    given = {"prompt": {"prompt": "the red cat"}, "drawing": {"count": 3, "at_once": 1}}
    values = settings(view, **given)
    seen = []

    def report(done, total, note="", preview=None):
        seen.append((done / total, note, preview))

    pictures = list(view.run(values, report))
    assert len(pictures) == 3
    last = pictures[-1].contents
    assert [thumb.key for thumb in last["pictures"].pictures] == ["0", "1", "2"]
    assert last["pictures"].title == "“the red cat”" and last["pictures"].saves
    parts = [part.label for part in last["seconds"].bars[0].parts]
    assert parts == ["text encoder", "UNet", "VAE"]
    held = [part.label for part in last["memory"].bars[0].parts]
    expected = ["text encoder weights", "UNet weights", "VAE weights", "activations", "free"]
    assert held == expected
    shown = [preview.contents["pictures"] for _, _, preview in seen if preview is not None]
    assert shown and all(not gallery.saves for gallery in shown)
    # The last group's previews stand behind the finished pictures of those before.
    assert [thumb.alt for thumb in shown[-1].pictures[:2]] == ["seed 0", "seed 1"]
    assert any(note.startswith("Sampling 1 of 4") for _, note, _ in seen)
    shares = [share for share, note, _ in seen if note.startswith("Sampling")]
    assert shares == sorted(shares) and shares[-1] <= 1

    # The same seeds as from Python, whatever they are drawn with; each file says how.
    alone = diffusion.generate(small, "the red cat", seeds=(2,))
    np.testing.assert_allclose(view.made.images[2], alone.images[0], atol=1e-5)
    name, content = view.export("picture 1", values, pictures[-1])
    assert name == "seed-1.png"
    about = settings_in(BytesIO(content))
    assert (about["prompt"], about["seed"], about["steps"]) == ("the red cat", 1, 4)


@pytest.mark.slow
@pytest.mark.long
def test_what_is_copied_draws_the_same(small, folder, monkeypatch, tmp_path):
    view = ImagesView()
    values = settings(
        view,
        checkpoint={"path": str(folder)},
        prompt={"prompt": "a dog", "negative": "red"},
        drawing={"steps": 4, "guidance": 2.0, "count": 1, "at_once": 1, "height": 16},
        plan={"method": "feature inheritance", "interval": 2},
    )
    text = view.code(values)
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(compile(text, "copied", "exec"), found)
    assert settings_in(tmp_path / "pictures" / "seed-0.png")["prompt"] == "a dog"
    method = found["FeatureInheritance"](interval=2)
    there = diffusion.generate(small, "a dog", negative="red", method=method, at_once=1)
    np.testing.assert_allclose(found["made"].images, there.images, atol=1e-5)


@pytest.mark.slow
def test_stopping_keeps_what_was_shown(small):
    panel = Panel(ImagesView(small), settings=ONE, quiet=0.0)
    view = panel.view
    run = view.run

    def stopping(values, report):
        def told(done, total, note="", preview=None):
            report(done, total, note, preview)
            if preview is not None:
                panel.stop()

        return run(values, told)

    view.run = stopping
    panel.run()
    assert panel.wait(120)
    assert panel.status["kind"] == "stopped" and "What was done is shown" in panel.status["text"]
    gallery = panel.picture.contents["pictures"]
    assert gallery.title == "On the way" and gallery.pictures
    with pytest.raises(ValueError, match="no finished pictures"):
        view.export("pictures", panel.values, panel.picture)
    panel.close()


def test_a_broken_checkpoint_is_told_in_one_line_and_at_its_field(folder, tmp_path):
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    shutil.rmtree(broken / "vae")
    panel = Panel(ImagesView(), settings={"checkpoint": {"path": str(broken)}}, quiet=0.0)
    panel.run()
    assert panel.wait(60)
    assert panel.status["kind"] == "error" and "vae" in panel.status["text"], panel.status
    panel.load({"drawing": {"count": 2}})
    (problem,) = panel.problems
    assert (problem["group"], problem["field"]) == ("checkpoint", "path")
    assert "vae" in problem["message"] and "\n" not in problem["message"]
    panel.close()


@pytest.mark.slow
def test_cancelled_leaves_the_finished_group(small):
    def report(done, total, note="", preview=None):
        if note.startswith("Sampling") and done > total / 2:
            raise Cancelled

    made = in_parts(small, "cat", seeds=2, at_once=1, report=report)
    assert next(made).seeds == (0,)
    with pytest.raises(Cancelled):
        next(made)


# -- memory ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_too_little_memory_is_told_before_the_run_with_what_fits(small):
    view = ImagesView(small)
    view.shelf.count(small, lambda *_: None)
    values = settings(view, drawing={"at_once": 8})
    whole = view.shelf.room(small, values)
    assert whole.fits
    view.shelf.free = lambda: whole.activations * 0.3
    group, field, message = refused(view, drawing={"at_once": 8})
    assert (group, field) == ("drawing", "at_once")
    assert "are needed" in message and "2 at a time" in message and "would fit" in message
    assert refused(view, drawing={"at_once": 2}) is None


@pytest.mark.parametrize(
    ("room", "words"),
    [
        (Room(1e9, 4e9, 0.0, 2e9), ["2 at a time", "360 × 360"]),
        (Room(4e9, 3e9, 3e9, 1e9), ["bfloat16"]),
        (Room(1e3, 4e9, 4e9, 1.0), ["Nothing smaller"]),
    ],
)
def test_what_would_fit(room, words):
    said = what_would_fit(room, 4, (512, 512), 8, "float32")
    assert all(word in said for word in words), said
    assert what_would_fit(Room(1.0, 1.0, 1.0, 9.0), 4, (512, 512), 8, "int8") == ""


@pytest.mark.slow
def test_running_out_is_told_with_what_to_try(small, monkeypatch):
    def full(*given, **more):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 12 bytes")
        yield

    monkeypatch.setattr(images_view, "in_parts", full)
    view = ImagesView(small)
    with pytest.raises(MemoryError, match="memory ran out at 16 × 16.*Try fewer pictures"):
        list(view.run(settings(view, drawing={"at_once": 4}), lambda *_: None))
    assert is_out_of_memory(MemoryError()) and not is_out_of_memory(ValueError("no"))


# -- files ----------------------------------------------------------------------------------


def test_a_picture_carries_its_settings(tmp_path):
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    file = tmp_path / "one.png"
    file.write_bytes(png_with_settings(pixels, {"prompt": "ein Käfer „rot“", "seed": 4}))
    assert settings_in(file) == {"prompt": "ein Käfer „rot“", "seed": 4}
    np.testing.assert_array_equal(np.asarray(Image.open(file)), pixels)
    Image.fromarray(pixels).save(tmp_path / "two.png")
    with pytest.raises(ValueError, match="holds no settings"):
        settings_in(tmp_path / "two.png")


def test_settings_travel_as_a_file():
    panel = diffusion.text_to_image()
    name, content = panel.view.export("settings", panel.values, panel.picture)
    again = diffusion.text_to_image(settings=content.decode())
    assert name == "text-to-image.json" and again.settings == panel.settings
    assert json.loads(content)["drawing"]["count"] == 8
    for one in (panel, again):
        one.close()


def test_a_shelf_holds_one_model_at_a_time(folder):
    shelf, knobs = Shelf(), settings(ImagesView(), checkpoint={"path": str(folder)})["checkpoint"]
    assert shelf.known(knobs) is None
    first = shelf.load(knobs, lambda *_: None)
    assert shelf.load(knobs, lambda *_: None) is first and shelf.known(knobs) is first


@pytest.mark.slow
def test_weights_that_are_held_otherwise_are_counted_anew(small):
    shelf = Shelf(small)
    half = replace(small, precision=precision("bfloat16"), weights=small.weights[:1])
    for pipeline in (small, half):
        shelf.count(pipeline, lambda *_: None)
    assert shelf.bytes(half)["UNet"] < shelf.bytes(small)["UNet"]


@pytest.mark.slow
def test_without_a_prompt_the_models_own_take_turns(small):
    kept = small.with_prompts(["a cat", "a dog"], negative="red")
    mine = inputs_of(kept, "", "", (0, 3))
    theirs = small.inputs((0, 3), prompts=["a cat", "a dog"], negative="red")
    np.testing.assert_array_equal(mine.context, theirs.context)
    np.testing.assert_array_equal(mine.blank, theirs.blank)
    asked = inputs_of(kept, "the end", "", (0,))
    wanted = small.inputs((0,), prompts="the end", negative="red")
    np.testing.assert_array_equal(asked.context, wanted.context)
    nothing = small.inputs((0,), prompts="", negative="")
    np.testing.assert_array_equal(inputs_of(small, "", "", (0,)).context, nothing.context)
