"""What a person does with the diffusion panel in JupyterLab, and what they see, for the tests."""

from __future__ import annotations

from typing import Any

from tests.browser.labpage import LabPage

ASK = """async (expression) => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const asked = kernel.requestExecute({ code: "", store_history: false,
    user_expressions: { answer: expression } });
  const answer = (await asked.done).content.user_expressions.answer;
  return answer.data ? answer.data["text/plain"] : `${answer.ename}: ${answer.evalue}`;
}"""

CHART = "[data-slot=time_quality] svg.marks"
POINTS = f"{CHART} .mark-symbol path[aria-label], {CHART} .mark-symbol path"
MARKS = """(selector) => [...document.querySelectorAll(selector)].map((path) => {
  const style = getComputedStyle(path);
  return [path.getAttribute("transform"), path.getAttribute("d"), path.getAttribute("fill"),
    path.getAttribute("opacity"), style.display].join(" ");
})"""
CELLS = "() => window.jupyterapp.shell.currentWidget.content.widgets.length"


def ask(lab: LabPage, expression: str) -> str:
    """The repr of an expression in the notebook's kernel."""
    return str(lab.page.evaluate(ASK, expression))


def marks(lab: LabPage) -> list[str]:
    """Every mark of the first chart: place, shape and filling."""
    return list(lab.page.evaluate(MARKS, f"{CHART} .mark-symbol path"))


def healthy(lab: LabPage) -> None:
    """No cell ended with an error."""
    errors = lab.output_errors()
    assert not errors, errors


def drawn(lab: LabPage, timeout: float = 60) -> None:
    """Wait until the first chart has marks."""
    healthy(lab)
    lab.output(f"{CHART} .mark-symbol path").first.wait_for(timeout=1000 * timeout)


def state(lab: LabPage) -> str:
    """The status line's state: idle, predicted, running, done, ..."""
    return str(lab.output(".wb-status").first.get_attribute("data-state"))


def words(lab: LabPage) -> str:
    """What the status line says."""
    return " ".join(lab.output(".wb-status .wb-state:visible").all_inner_texts())


def until_state(lab: LabPage, *kinds: str, timeout: float = 240) -> str:
    """Wait for one of these states; gives it."""
    healthy(lab)
    lab.output(".wb-status").first.wait_for()
    script = """(kinds) => {
      const now = document.querySelector('.wb-status').dataset.state;
      return kinds.includes(now) && now;
    }"""
    milliseconds = 1000 * timeout
    try:
        seen = lab.page.wait_for_function(script, arg=list(kinds), timeout=milliseconds, polling=50)
    except Exception as error:
        raise AssertionError(f"{state(lab)}, not {kinds}: {words(lab)}") from error
    return str(seen.json_value())


def until_changed(lab: LabPage, before: list[str], timeout: float = 30) -> list[str]:
    """Wait until the marks differ from `before`; gives them."""
    script = f"([selector, before]) => JSON.stringify(({MARKS})(selector)) !== before"
    import json

    old = json.dumps(before, separators=(",", ":"), ensure_ascii=False)
    given = [f"{CHART} .mark-symbol path", old]
    lab.page.wait_for_function(script, arg=given, timeout=1000 * timeout, polling=20)
    return marks(lab)


def slider(lab: LabPage, label: str) -> Any:
    """A knob's slider."""
    return lab.page.get_by_role("slider", name=label, exact=True)


def box(lab: LabPage, label: str) -> Any:
    """A knob's number box."""
    return lab.page.get_by_label(f"{label}, value")
