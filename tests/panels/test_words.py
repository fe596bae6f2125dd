"""Small pure parts: durations, states, win rates, undo line, names of pins."""

import pytest

from workbench.panels import blind, settings, statusline
from workbench.panels.history import History
from workbench.panels.worker import Failed, Progress, Stopped


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.085, "85 ms"), (1.58, "1.58 s"), (50.6, "50.6 s"), (300, "5 min"), (7800, "2 h 10 min")],
)
def test_durations_have_three_digits_at_most(seconds: float, words: str) -> None:
    assert statusline.duration(seconds) == words


def test_progress_has_share_and_time_left() -> None:
    shown = statusline.running(Progress(2, 8, "", None, 10.0))
    assert shown["share"] == 0.25 and shown["details"] == ["25 %, about 30 s left"]
    assert shown["text"] == "Running 2 of 8"
    compiling = statusline.running(Progress(0, 8, "Compiling for 512 bytes", None, 0.1))
    assert compiling["kind"] == "compiling" and "share" not in compiling


def test_stopped_and_failed_say_where() -> None:
    assert statusline.stopped(Stopped(12, 32, 1.0), True, "Run")["text"] == (
        "Stopped at 12 of 32. What was done is shown"
    )
    assert statusline.failed(Failed(KeyError("loss"), "", 0), "Run")["text"] == "KeyError: 'loss'"
    assert statusline.failed(Failed(ZeroDivisionError(), "", 0), "Run")["text"] == (
        "ZeroDivisionError"
    )


def test_win_rate_is_wilson_and_ties_count_half() -> None:
    rate = blind.win_rate(["second"] * 15 + ["first"] * 5)
    assert rate.value == 0.75
    assert (rate.low, rate.high) == pytest.approx((0.5313, 0.8881), abs=1e-4)  # Wilson 1927, n = 20
    assert blind.win_rate(["same"] * 4).value == 0.5
    assert "do not decide" in blind.sentence(["first", "second"] * 5, ("a", "b"))
    assert "looks worse" in blind.sentence(["first"] * 20, ("a", "b"))


def test_pauses_split_a_drag_into_steps() -> None:
    now = [0.0]
    line = History({"g": {"x": 0}}, merge=1.0, clock=lambda: now[0])
    for time, value in ((0.0, 1), (0.5, 2), (5.0, 3)):
        now[0] = time
        line.record({"g": {"x": value}})
    assert [line.undo()["g"]["x"] for _ in range(3)] == [2, 0, 0]
    assert line.redo()["g"]["x"] == 2 and line.can_redo


def test_merging_settings_names_what_is_unknown() -> None:
    base = {"g": {"x": 1}}
    assert settings.merged(base, {"g": {"x": (1, 2)}}) == {"g": {"x": [1, 2]}}
    assert base == {"g": {"x": 1}}
    with pytest.raises(KeyError, match="no group 'h'"):
        settings.merged(base, {"h": {}})
