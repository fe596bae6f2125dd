"""Times of automatic plans: whose clock counts; and the record on a model of one's own."""

import json
from dataclasses import replace

import jax
import pytest

from kernels_pallas.processor import instructions
from tests.diffusion.test_automatic import Counted, random_survey
from workbench.diffusion.automatic import AutomaticPlan, choosing, record, surveying
from workbench.diffusion.automatic.evidence import Evidence, timed_by
from workbench.diffusion.automatic.reuse import candidates
from workbench.diffusion.loading.writing import save_pipeline
from workbench.diffusion.plan import Plan
from workbench.measure import device


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))


@pytest.fixture
def quickly_compiled():
    """Programs here are many and small; what they compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def test_times_count_on_the_machine_they_were_measured_on(tmp_path):
    survey = replace(random_survey(0), processor="Xeon, AVX-512").record()
    choices = {
        "tolerance=1, cost=seconds, tries=2": {},
        "tolerance=1, cost=operations, tries=2": {},
    }

    def kept(device, processor="Xeon, AVX-512", survey=survey):
        found = Evidence(tmp_path / "e.json", "model", (1, 2), survey, {"plan": 0.1}, dict(choices))
        found.keep_times_of(device, processor)
        return found

    same = survey["device"]
    here = kept(same)
    assert here.survey is survey and here.choices == choices
    unnoted = {name: value for name, value in survey.items() if name != "processor"}
    others = [
        kept("another"),
        kept(same, "Xeon, AVX2"),
        kept(same, "EPYC, AVX-512"),
        kept(same, survey=unnoted),
    ]
    for elsewhere in others:
        assert elsewhere.survey is None and elsewhere.errors == {"plan": 0.1}
        assert list(elsewhere.choices) == ["tolerance=1, cost=operations, tries=2"]
    # Shipped by a disturbed clock: what moved is kept, what was chosen by time is not.
    disturbed = {**survey, "seconds": [1.0, 2.0, 1.0]}
    found = kept(same, survey=disturbed)
    assert found.survey is disturbed and list(found.choices) == list(choices)[1:]
    (tmp_path / "e.json").write_text("{}")  # measured here: it is told beside the choice
    assert kept(same, survey=disturbed).choices == choices


def test_a_processor_is_named_with_its_instructions():
    here = device.describe()
    assert here.kind == "CPU"
    assert timed_by(here).startswith(here.name) and timed_by(here).endswith(instructions())
    assert timed_by(replace(here, kind="GPU", name="NVIDIA H100")) == "NVIDIA H100"


@pytest.mark.parametrize("settled", [True, False])
def test_a_disturbed_clock_is_read_once_more(tiny, kept, monkeypatch, settled):
    disturbed = replace(random_survey(1), seconds=(1.0, 9.0, 9.0), **surveying._clock())
    asked = []

    def again(pipeline, found, *rest):
        asked.append(found)
        return replace(found, seconds=(12.0, 11.0, 11.0) if settled else found.seconds)

    monkeypatch.setattr(choosing, "survey", lambda *given: disturbed)
    monkeypatch.setattr(choosing, "timed_again", again)
    monkeypatch.setattr(choosing, "Trials", lambda *given: Counted())
    method = AutomaticPlan(budget=0.5, tolerance=1.0, tries=2)
    method.prepare(tiny.with_sampling(steps=6))
    choice = method.choice(tiny.with_sampling(steps=6))
    assert len(asked) == 1
    # At nearly the full step's time nothing fits half of it; by operations something does.
    assert ("nearest" in choice) == (not settled)
    assert (choosing.DISTURBED in choice["reason"]) == (not settled)
    method.prepare(tiny.with_sampling(steps=6))
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--model", "nowhere"], "--model needs --out"),
        (["--model", "nowhere", "--out", "x"], "nowhere"),
    ],
)
def test_a_record_of_ones_own_model_says_what_is_missing(
    given, told, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        record.main(given)
    assert told in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.usefixtures("quickly_compiled")
def test_a_model_of_ones_own_is_searched_and_judged(tiny, kept, tmp_path, monkeypatch):
    """A model that was saved as a folder, in few steps, against two lists."""
    larger = tiny.config.model_copy(update={"sample_size": 16})  # SSIM needs 11 pixels a side
    folder = save_pipeline(replace(tiny, config=larger), tmp_path / "own")
    monkeypatch.setattr(record, "BUDGETS", (0.7,))
    monkeypatch.setattr(record, "FEWER", (25,))
    monkeypatch.setattr(record, "JUDGES", (0, 1, 2, 3))
    monkeypatch.setattr(record, "TRIES", 0)
    # Each kind of step compiles: two are surveyed, one has lists.
    monkeypatch.setattr(surveying, "candidates", lambda *given: tuple(candidates(*given)[:2]))
    every = {"every 2": Plan.from_full_steps((0, 2), 4, "decode")}
    monkeypatch.setattr(record, "hand_made", lambda steps: every)
    out = tmp_path / "out"
    record.main(["--model", str(folder), "--steps", "4", "--out", str(out)])
    about = json.loads((out / "judged.json").read_text(encoding="utf-8"))
    assert about["model"] == "own" and f"--model {folder} --steps 4" in about["command"]
    assert about["setting"].startswith("DDIM, 4 steps")
    origins = {row["origin"] for row in about["plans"]}
    assert origins == {record.AUTOMATIC, record.HAND_MADE, record.FEWER_STEPS}
    assert about["verdicts"]["hand-made, operations saved"]["sentence"]
    assert (out / "card.md").read_text().startswith("# Automatic plans on own\n")
    assert not list(out.glob("*.part"))
