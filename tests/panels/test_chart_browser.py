"""Charts in a real Chromium: drawn, moved, travelled, themed and laid out again, offline."""

import http.server
import threading

import pytest

from tests.artifacts import artifacts
from tests.panels.chart_page import (
    DRAWN,
    as_json,
    draw_lines,
    draw_pareto,
    page_text,
    trials,
)
from tests.panels.panel_host import chromium
from workbench.panels import vega

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server():
    library = vega.bundle().encode()
    place = "lab/extensions/efficiency-workbench/static/vega.js"
    answers = {
        "/": (page_text().encode(), "text/html"),
        "/user/me/": (page_text("/user/me/").encode(), "text/html"),
        "/elsewhere/": (page_text("").encode(), "text/html"),
        f"/{place}": (library, "text/javascript"),
        f"/user/me/{place}": (library, "text/javascript"),
    }
    asked = []

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body, kind = answers.get(self.path, (b"", ""))
            self.send_response(200 if kind else 404)
            self.send_header("Content-Type", f"{kind or 'text/plain'}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture
def open_page(browser, server):
    opened, outside, errors = [], [], []

    def opening(path="/", width=1250):
        page = browser.new_page(viewport={"width": width, "height": 900})

        def guard(route):
            if route.request.url.startswith((server[0], "blob:", "data:")):
                route.continue_()
            else:
                outside.append(route.request.url)
                route.abort()

        page.route("**/*", guard)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(server[0] + path)
        page.wait_for_function("window.loaded")
        opened.append(page)
        return page

    yield opening
    for page in opened:
        page.close()
    assert outside == []
    assert errors == []


def make(page, name, chart, width=560):
    page.evaluate(
        "([id, chart, width]) => window.make(id, chart, width)", [name, as_json(chart), width]
    )


def boxes(page, name, selector):
    return page.evaluate(
        """([id, selector]) => [...document.querySelectorAll(`#${id} ${selector}`)]
        .filter((e) => e.textContent && getComputedStyle(e).opacity !== "0"
                && e.getAttribute("opacity") !== "0")
        .map((e) => { const b = e.getBoundingClientRect(), h = document.getElementById(id)
        .getBoundingClientRect(); return [e.textContent, b.left - h.left, b.top - h.top,
        b.right - h.left, b.bottom - h.top]; })""",
        [name, selector],
    )


@pytest.mark.parametrize("width", [560, 380, 277])
@pytest.mark.parametrize("form", DRAWN)
def test_texts_are_whole_and_apart(open_page, form, width):
    page = open_page()
    make(page, form, DRAWN[form](), width)
    texts = boxes(page, form, "svg.marks g.mark-text:not([class*='halo_marks']) > text")
    assert len(texts) > 5
    for text, left, _, right, _ in texts:
        assert left >= -0.5 and right <= width + 0.5, f"{text!r} leaves the chart"
    for place, (text, left, top, right, bottom) in enumerate(texts):
        for other, left2, top2, right2, bottom2 in texts[:place]:
            across = min(right, right2) - max(left, left2)
            down = min(bottom, bottom2) - max(top, top2)
            assert across <= 1 or down <= 3, f"{text!r} covers {other!r}"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pictures_to_look_at(open_page, theme):
    page = open_page(width=920)
    for form, draw in DRAWN.items():
        for width in (560, 277):
            make(page, f"{form}{width}", draw(), width)
    page.evaluate(
        "(light) => document.body.dataset.jpThemeLight = light", str(theme == "light").lower()
    )
    file = artifacts() / f"charts-{theme}.png"
    page.screenshot(path=str(file), full_page=True)
    assert file.stat().st_size > 20_000
    assert page.locator("svg.marks").count() == 8


def test_theme_recolours_without_drawing_again(open_page):
    page = open_page()
    make(page, "p", draw_pareto())
    look = """() => { const mark = document.querySelectorAll('#p g.points_marks path')[6];
      return [getComputedStyle(mark).fill, document.querySelector('#p svg').outerHTML]; }"""
    fill, markup = page.evaluate(look)
    page.evaluate("() => document.body.dataset.jpThemeLight = 'false'")
    dark_fill, dark_markup = page.evaluate(look)
    assert fill == "rgb(87, 126, 236)" and dark_fill == "rgb(100, 167, 255)"
    assert markup == dark_markup


def test_hollow_is_predicted(open_page):
    page = open_page()
    make(page, "p", draw_pareto())
    fills = page.evaluate(
        """() => [...document.querySelectorAll('#p g.points_marks path')]
        .map((mark) => getComputedStyle(mark).fill)"""
    )
    assert fills.count("rgb(255, 255, 255)") == 3


def test_rows_are_pushed_in_place(open_page):
    page = open_page()
    make(page, "p", draw_pareto())
    page.evaluate(
        """() => { window.old = [document.querySelector('#p svg'),
        document.querySelectorAll('#p g.points_marks path')[0], made.p.view()];
        window.before = window.old[1].getAttribute('transform'); }"""
    )
    moved = draw_pareto(0.1)
    page.evaluate("(chart) => made.p.setChart(chart)", as_json(moved))
    page.evaluate(
        "async (rows) => { await made.p.setRows('live', rows); }", moved.rows["live"][:-1]
    )
    kept, count, after, before = page.evaluate(
        """() => [document.querySelector('#p svg') === old[0] && made.p.view() === old[2]
        && document.querySelectorAll('#p g.points_marks path')[0] === old[1],
        document.querySelectorAll('#p g.points_marks path').length,
        old[1].getAttribute('transform'), before]"""
    )
    assert kept
    assert count == len(moved.rows["live"]) - 1
    assert after != before


def test_an_axis_moves_without_a_new_drawing(open_page):
    page = open_page()
    make(page, "p", draw_pareto())
    page.evaluate("() => { window.before = made.p.view(); }")
    page.evaluate("(chart) => made.p.setChart(chart)", as_json(draw_pareto(end=20)))
    assert page.evaluate("made.p.view() === window.before")
    words = page.locator("#p svg.marks .role-axis-label text").all_text_contents()
    assert {"0", "5", "10", "15", "20"} <= set(words) and "2.0" not in words


def test_columns_come_as_float32(open_page):
    page = open_page()
    make(page, "l", draw_lines())
    count = page.evaluate(
        """async () => { const n = 5, values = new Float32Array(4 * n);
        for (let i = 0; i < n; i += 1) { values[i] = i; values[n + i] = 2 + i / 10;
          values[2 * n + i] = 1; values[3 * n + i] = NaN; }
        await made.l.setColumns('live', ['x', 'y', 'slot', 'low'], new DataView(values.buffer));
        return [made.l.rows().length, made.l.rows()[3].x, made.l.rows()[3].low]; }"""
    )
    assert count == [5, 3, None]
    with pytest.raises(Exception, match="do not fill 3 columns"):
        page.evaluate("() => made.l.setColumns('live', ['x','y','z'], new Float32Array(4))")


def test_width_is_laid_out_again_not_scaled(open_page):
    page = open_page()
    make(page, "p", draw_pareto())
    page.evaluate("() => document.getElementById('p').style.width = '277px'")
    page.wait_for_function(
        "() => Math.abs(document.querySelector('#p svg').getBoundingClientRect().width - 277) < 2"
    )
    svg = page.evaluate(
        """() => { const svg = document.querySelector('#p svg');
        return [svg.getAttribute('width'), svg.viewBox.baseVal.width,
        getComputedStyle(svg.querySelector('.role-axis-label text')).fontSize]; }"""
    )
    assert svg == ["277", 277, "11px"]


def test_keyboard_travels_speaks_and_picks(open_page):
    page = open_page()
    make(page, "p", draw_pareto())
    chart = page.locator("#p .wb-chart-plot")
    assert chart.get_attribute("data-lm-suppress-shortcuts") == "true"
    assert "How much time" in chart.get_attribute("aria-label")
    chart.focus()
    chart.press("ArrowRight")
    spoken = page.locator("#p .wb-chart-spoken")
    assert spoken.text_content() == (
        "Full sampling, 12, Seconds per image (median of 7) 0.520, "
        "SSIM to the full run 0.765, measured"
    )
    chart.press("Enter")
    assert page.evaluate("() => picked") == ["Full sampling 1"]
    chart.press("ArrowUp")
    assert "Full sampling" not in spoken.text_content()
    chart.press("End")
    chart.press("Home")
    ring = page.locator("#p .wb-chart-cursor").bounding_box()
    assert ring["width"] >= 12
    assert page.evaluate("async () => await made.p.focusPoint('Automatic plan 1')")
    assert spoken.text_content().endswith("predicted")


def test_pointer_reads_a_point_out_and_leaves_nothing_behind(open_page):
    page = open_page()
    make(page, "p", draw_pareto())
    words = page.locator("#p g.readout_marks text")
    assert words.count() == 0
    mark = page.locator("#p g.points_marks path").nth(6).bounding_box()
    page.mouse.move(mark["x"] + mark["width"] / 2, mark["y"] + mark["height"] / 2)
    words.first.wait_for()
    assert words.all_text_contents() == ["Encoder propagation · 1.52 · 0.944"]
    page.mouse.move(1, 1)
    words.first.wait_for(state="detached")


def test_pointer_picks_the_nearest_point(open_page):
    page = open_page()
    make(page, "p", draw_pareto())
    mark = page.locator("#p g.points_marks path").first.bounding_box()
    page.mouse.click(mark["x"] + mark["width"] / 2 + 9, mark["y"] + mark["height"] / 2)
    assert page.evaluate("() => picked") == ["Full sampling 0"]
    page.mouse.click(mark["x"] + 80, mark["y"] - 10)
    assert page.evaluate("() => picked.length") == 1
    assert page.evaluate("() => hovered") == ["Full sampling 0", None]


def test_every_form_can_be_travelled(open_page):
    page = open_page()
    for form, draw in DRAWN.items():
        make(page, form, draw())
        chart = page.locator(f"#{form} .wb-chart-plot")
        chart.focus()
        chart.press("ArrowRight")
        heard = set()
        for key in ("ArrowRight", "ArrowDown", "ArrowUp", "ArrowUp"):
            chart.press(key)
            heard.add(page.locator(f"#{form} .wb-chart-spoken").text_content())
        assert len(heard) >= 2 and "" not in heard, form


def test_table_stands_in_for_the_chart(open_page):
    page = open_page()
    make(page, "p", draw_pareto())
    button = page.locator("#p .wb-chart-toggle")
    button.focus()
    button.press("Enter")
    table = page.locator("#p table")
    assert table.locator("thead th").all_text_contents()[0] == "Method"
    assert table.locator("tbody tr").count() == len(trials())
    assert "≥" not in table.text_content() and "predicted" in table.text_content()
    assert not page.locator("#p svg").is_visible()
    button.press("Enter")
    assert page.locator("#p svg").is_visible()


def test_no_rows_is_a_sentence_until_rows_come(open_page):
    page = open_page()
    make(page, "p", draw_pareto(rows=[]))
    assert page.locator("#p .wb-chart-empty").is_visible()
    assert not page.locator("#p svg").is_visible()
    page.evaluate("(rows) => made.p.setRows('live', rows)", draw_pareto().rows["live"])
    assert page.locator("#p svg").is_visible()
    assert not page.locator("#p .wb-chart-empty").is_visible()
    assert page.locator("#p g.points_marks path").count() == len(trials())


def test_library_is_served_under_a_base_url(open_page, server):
    page = open_page("/user/me/")
    make(page, "p", draw_pareto())
    assert page.locator("#p svg").count() == 1
    assert "/user/me/lab/extensions/efficiency-workbench/static/vega.js" in server[1]


def test_library_comes_from_the_kernel_once_where_nobody_serves_it(open_page):
    page = open_page("/elsewhere/")
    page.evaluate(
        """async ([source, chart]) => {
          const listeners = new Set(); window.requests = 0;
          const model = {
            on: (name, f) => listeners.add(f), off: (name, f) => listeners.delete(f),
            send: (message) => { window.requests += message.type === 'vega' ? 1 : 0;
              const buffer = new DataView(new TextEncoder().encode(source).buffer);
              setTimeout(() => listeners.forEach((f) => f({ type: 'vega' }, [buffer])), 10); },
          };
          await Promise.all([make('a', chart, 400, model), make('b', chart, 400, model)]);
        }""",
        [vega.bundle(), as_json(draw_pareto())],
    )
    assert page.locator("svg.marks").count() == 2
    assert page.evaluate("() => requests") == 1


def test_destroy_leaves_nothing(open_page):
    page = open_page()
    make(page, "p", draw_pareto())
    page.evaluate("() => made.p.destroy()")
    assert page.locator("#p .wb-chart").count() == 0


def test_numbers_are_written_as_in_python(open_page):
    from workbench.figures import numbers

    page = open_page()
    values = [16384, -26.71, 0.97149, 0.003, 1e17, 2.5e-7, 0, 75, 9.999, 123456.7, 3e6, -0.0002]
    written = page.evaluate("(values) => values.map((v) => formatNumber(v))", values)
    assert written == [numbers.number(value) for value in values]
