"""Checks of a mixer: a sound one passes, and each fault is found by the check of its name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.language import faulty_mixers
from workbench.language import check
from workbench.language.checking import _judge
from workbench.language.checking.report import Check, Report
from workbench.language.checking.subject import Subject
from workbench.language.mixers.gla import GLAConfig
from workbench.language.own_mixer import from_class


@pytest.fixture(scope="module", autouse=True)
def quickly_compiled():
    """What the programs compute does not depend on this."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def test_a_sound_mixer_passes():
    report = check(faulty_mixers.Sound, width=16, timed=False)
    assert report.passed, report
    assert report["state"].figure == "64 B"
    assert report["state"].words == "the same for every length of text"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "fails", "words"),
    [
        ("Peeks", "causality", "it looks at least 1 token ahead"),
        ("StepDiffers", "step = parallel", "from token 1 on"),
        ("NotANumber", "gradients", "the gradient is no number in weights.w, x"),
        ("WrongGradient", "gradients", "a custom gradient"),
        ("HalfState", "bfloat16", "keep states and gates in float32"),
        ("Explodes", "strong gates", "y is no number from token"),
        ("MixesRows", "any length", "rows of a batch mix"),
    ],
)
def test_a_fault_fails_its_own_check_alone(name, fails, words):
    report = check(getattr(faulty_mixers, name), width=32, timed=False)
    assert report.failed == (fails,), report
    assert words in report[fails].words


def test_a_peek_is_found_whatever_else_is_wrong():
    found = _judge("causality", Subject(from_class(faulty_mixers.Peeks, {}), 16), {})
    assert found.status == "fail"


def test_a_state_that_grows_is_measured():
    found = _judge("state", Subject(from_class(faulty_mixers.KeepsAll, {}), 16), {})
    assert found.words == "grows by 64 B a token"


def test_a_prediction_that_is_not_what_is_held_is_found():
    class Wrong(GLAConfig):
        def state_bytes(self, width, length, cache_bytes=4):
            return 7

    found = _judge("state", Subject(Wrong(num_heads=2), 32), {})
    assert "state_bytes says 7 B" in found.words


def test_code_that_does_not_run_is_told():
    class Broken(faulty_mixers.Sound):
        parallel = None

        def step(self, params, state, x):
            return state

    report = check(Broken, width=8, timed=False)
    assert "must return (state, y), a pair" in report["causality"].words
    assert report["any length"].status == "not judged"


@pytest.mark.slow
def test_a_mixer_that_is_here_passes():
    subject = Subject(GLAConfig(num_heads=2, gate="fixed"), 16)
    for name in ("causality", "step = parallel", "gradients", "state"):
        found = _judge(name, subject, {"causality": Check("causality", "pass")})
        assert found.status == "pass", found


def test_what_is_no_mixer_is_named():
    with pytest.raises(TypeError, match="'gla' is no mixer"):
        check("gla")


def test_a_report_is_a_text_a_table_and_a_page():
    checks = (Check("causality", "pass", "0"), Check("speed", "measured", "1 ms", "<fast>"))
    report = Report("mine", 8, checks)
    assert str(report).splitlines()[0] == "mine at width 8: every check passes."
    assert list(report.table()["status"]) == ["pass", "measured"]
    assert "&lt;fast&gt;" in report._repr_html_()
    with pytest.raises(KeyError, match="there are causality, speed"):
        report["drift"]


def test_inputs_of_a_subject_are_the_same_each_time():
    subject = Subject(GLAConfig(), 32)
    np.testing.assert_array_equal(subject.texts(), subject.texts())
    assert not jnp.array_equal(subject.texts(), subject.texts(stream=2))
