"""The super-resolution page: its form, what ships, a picture of one's own, what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from workbench.labs import diffusion
from workbench.labs.diffusion.restoring import shown
from workbench.labs.diffusion.restoring.form import DEGRADATION, PICTURE, PRESETS, degradation
from workbench.labs.diffusion.restoring.recorded import recorded, study
from workbench.labs.diffusion.restoring.restored import ARMS, EIGHT, FOUR
from workbench.labs.diffusion.restoring.source import source
from workbench.labs.diffusion.restoring.view import SuperResolutionView
from workbench.panels.settings import accepted, defaults, merged, start
from workbench.panels.view import Problem, Values
from workbench.progress import silent


@pytest.fixture(scope="module")
def view() -> SuperResolutionView:
    return SuperResolutionView()


def values(view: SuperResolutionView, **settings: dict[str, Any]) -> Values:
    return accepted(view, start(view, settings))


def saved(place: Path, name: str, height: int, width: int, mode: str = "RGB") -> str:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    file = place / name
    Image.fromarray(pixels).convert(mode).save(file)
    return str(file)


def problems(view: SuperResolutionView, path: str, kind: str = "mild") -> list[Problem]:
    own = {"task": "restore", "source": "own", "path": path}
    return view.check(values(view, **{PICTURE: own, DEGRADATION: {"kind": kind}}))


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.label)
def test_every_preset_has_its_picture_at_once(view: SuperResolutionView, preset: Any) -> None:
    chosen = accepted(view, merged(defaults(view.groups), preset.values))
    picture = view.predict(chosen)
    assert picture is not None
    assert picture.basis == "recorded"
    rebuilt = chosen[PICTURE].model_dump()["task"] == "rebuild"
    tags = ["original", EIGHT, FOUR] if rebuilt else list(ARMS)
    assert picture.contents["split"].tags == tags
    assert len(picture.contents["spots"].rows) == (3 if rebuilt else 4)
    assert {"measures", "judged", "costs", "latents", "verdicts"} < set(picture.contents)
    assert picture.claim is not None
    assert len(picture.claim.rows) == 5


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("task", ["rebuild", "restore"])
def test_a_recorded_picture_is_what_the_shipped_networks_make(
    view: SuperResolutionView, task: str
) -> None:
    source = "page" if task == "rebuild" else "photograph"
    number = 1 if task == "rebuild" else 0
    chosen = values(view, **{PICTURE: {"task": task, "source": source, "number": number}})
    known = recorded(chosen)
    assert known is not None
    *_, found = view.run(chosen, silent)
    assert found.basis == "measured"
    fresh = view.known.popitem()[1]
    assert known.pictures.keys() == fresh.pictures.keys()
    for arm in fresh.pictures:
        np.testing.assert_allclose(fresh.pictures[arm], known.pictures[arm], atol=1.5 / 255)
    assert fresh.seconds.keys() == {EIGHT, FOUR}


def test_a_spot_goes_to_the_viewer(view: SuperResolutionView) -> None:
    chosen = values(view)
    picture = view.predict(chosen)
    assert picture is not None
    spot = view.choose("4×|2", chosen, picture)
    assert spot is not None
    assert "spot 3" in spot.contents["split"].subtitle
    assert spot.contents["split"].pictures != picture.contents["split"].pictures
    assert spot.contents["spots"].chosen == "4×|2"


def test_numbers_of_ones_own_start_from_the_mild_ones(view: SuperResolutionView) -> None:
    mild, own = (degradation(values(view, **{DEGRADATION: {"kind": k}})) for k in ("mild", "own"))
    assert mild == own
    wrong = {"kind": "own", "first_up": 0.9, "first_down": 0.9}
    [problem] = view.check(values(view, **{DEGRADATION: wrong}))
    assert problem.group == DEGRADATION
    assert "must not pass 1 together" in problem.message
    assert not view.check(values(view, **{DEGRADATION: {**wrong, "kind": "mild"}}))


@pytest.mark.slow
def test_a_seed_decides_all_that_is_drawn(view: SuperResolutionView) -> None:
    def low(seed: int) -> np.ndarray:
        restore = {"task": "restore", "source": "page", "number": 0}
        return source(values(view, **{PICTURE: restore, DEGRADATION: {"seed": seed}})).low

    one, again, other = (low(seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.01


def test_a_picture_of_ones_own_is_one_clear_line_where_it_cannot_be_taken(
    view: SuperResolutionView, tmp_path: Path
) -> None:
    def said(path: str, kind: str = "mild") -> str:
        [problem] = problems(view, path, kind)
        assert (problem.level, problem.group, problem.field) == ("error", PICTURE, "path")
        return problem.message

    assert said("") == "File: name a picture in colour, PNG or JPEG"
    assert said("no.png") == "no.png: there is no such file"
    assert "grey; needed a picture in colour" in said(saved(tmp_path, "grey.png", 64, 64, "L"))
    odd = saved(tmp_path, "odd.png", 50, 64)
    assert said(odd).endswith("50; width and height must be multiples of 16, such as 64×48")
    assert "must be multiples of 4" in said(odd, "none")
    (tmp_path / "text.png").write_text("no picture")
    assert "not a picture that can be read" in said(str(tmp_path / "text.png"))
    large = saved(tmp_path, "large.png", 32, 2048)
    assert said(large).endswith("2048×32; 16 to 1024 pixels a side")
    assert not problems(view, saved(tmp_path, "good.png", 48, 64))


@pytest.mark.slow
@pytest.mark.long
def test_a_picture_taken_as_it_is_has_no_original(
    view: SuperResolutionView, tmp_path: Path
) -> None:
    path = saved(tmp_path, "small.png", 16, 32)
    own = {"task": "restore", "source": "own", "path": path}
    settings = {PICTURE: own, DEGRADATION: {"kind": "none"}}
    found = diffusion.restore(settings)
    assert {arm: one.shape for arm, one in found.pictures.items()} == dict.fromkeys(
        ARMS, (64, 128, 3)
    )
    assert found.quality(FOUR) == {}
    assert shown.split(found).caption == []
    assert "there is no original" in shown.measures(found).subtitle
    with pytest.raises(ValueError, match="no such file"):
        diffusion.restore({PICTURE: {"source": "own", "path": "none.png"}})


@pytest.mark.slow
def test_the_copied_code_runs(view: SuperResolutionView) -> None:
    place: dict[str, Any] = {}
    exec(view.code(values(view)), place)
    assert place["found"].pictures[FOUR].shape == (128, 128, 3)


def test_the_study_is_told_either_way() -> None:
    rows = shown.verdict_table(study()).rows
    assert len(rows) == 2 * (2 * 3 + 2 * 4)  # rivals; tasks by metrics of photographs and of pages
    assert {cell[-1].text for cell in rows} <= {"4×", "8×", "not told apart"}


def test_pictures_leave_with_their_settings(view: SuperResolutionView, tmp_path: Path) -> None:
    import io
    import zipfile

    chosen = values(view)
    picture = view.predict(chosen)
    assert picture is not None
    name, content = view.export("pictures", chosen, picture)
    assert name == "super-resolution.zip"
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert set(archive.namelist()) == {f"{n}.png" for n in ("original", EIGHT, FOUR)}
    archive.extract("4×.png", tmp_path)
    assert diffusion.settings_in(tmp_path / "4×.png")["way"] == "4×"
    assert view.export("zip", chosen, picture)[0].endswith(".zip")
