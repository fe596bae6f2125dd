"""The harness itself: a trivial widget lives in each kind of server, and leaving is noticed."""

import pytest

COUNTER = '''
import anywidget, traitlets

class Counter(anywidget.AnyWidget):
    _esm = """
    export default { render({ model, el }) {
      const button = document.createElement("button");
      button.className = "trivial-counter";
      const show = () => { button.textContent = `count ${model.get("doubled")}`; };
      button.onclick = () => { model.set("value", model.get("value") + 1); model.save_changes(); };
      model.on("change:doubled", show);
      show();
      el.append(button);
    } };
    """
    value = traitlets.Int(0).tag(sync=True)
    doubled = traitlets.Int(0).tag(sync=True)

    @traitlets.observe("value")
    def _double(self, change):
        self.doubled = 2 * change["new"]

Counter()
'''


@pytest.mark.parametrize("kind", ["lab_server", "base_url_server", "elsewhere_server"])
def test_widget_reaches_its_kernel_and_back(lab_page, request, kind):
    lab = lab_page([COUNTER], server=request.getfixturevalue(kind))
    lab.run_all()
    button = lab.output("button.trivial-counter")
    button.wait_for()
    assert button.inner_text() == "count 0"
    button.click()
    lab.page.wait_for_function(
        "() => document.querySelector('.trivial-counter').textContent === 'count 2'"
    )
    assert lab.output_errors() == []


def test_themes_and_screenshot(lab_page):
    lab = lab_page([COUNTER])
    lab.run_all()
    seen = {}
    for theme in ("dark", "light"):
        lab.theme(theme)
        seen[theme] = lab.page.evaluate(
            "() => getComputedStyle(document.body).getPropertyValue('--jp-layout-color1').trim()"
        )
        assert lab.screenshot(f"harness-{theme}").stat().st_size > 5_000
    assert seen["dark"] != seen["light"]


def test_news_toast_stays_away(lab_page):
    lab = lab_page(["1 + 1"])
    lab.run_all()
    lab.page.wait_for_timeout(1500)
    assert lab.page.locator(".Toastify__toast").count() == 0
    assert lab.page.locator(".jp-Dialog").count() == 0


def test_an_address_outside_is_refused_and_recorded(lab_page):
    lab = lab_page(["1 + 1"])
    refused = lab.page.evaluate(
        "() => fetch('http://example.org/').then(() => 'fetched', () => 'refused')"
    )
    assert refused == "refused"
    assert lab.blocked == ["http://example.org/"]
    lab.blocked.clear()


def test_an_error_in_a_cell_is_seen(lab_page):
    lab = lab_page(["1 / 0"])
    lab.run_all()
    assert lab.output_errors() == ["ZeroDivisionError: division by zero"]


def test_kernel_environment(lab_page):
    lab = lab_page(["import os\nprint(os.environ['XLA_PYTHON_CLIENT_PREALLOCATE'])"])
    lab.run_all()
    assert lab.output().first.inner_text().strip() == "false"
