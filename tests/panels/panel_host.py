"""A page that plays the front end: one panel in Chromium, its messages carried by hand."""

import base64
import contextlib
import queue
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jupyterlab
import pytest

from workbench.panels import assets
from workbench.panels.panel import Panel

ORIGIN = "http://localhost:9"
FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage",
]  # fmt: skip

PAGE = """<!doctype html><html><head><meta charset="utf-8"><style>{lab}</style><style>{css}</style>
<style>body{{margin:0;padding:12px;background:var(--jp-layout-color0)}}#host{{width:{width}px}}</style></head>
<body data-jp-theme-light="{light}" data-jp-theme-name="{name}"><div id="host"></div>
<script type="module">
import widget from "/panel.js";
const state = await window.pyState();
const view = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
for (const [name, text] of Object.entries(state.opening.images || {{}})) {{
  state.opening.images[name] = view(text);
}}
const handlers = {{}};
let changes = {{}};
function fire(name, ...more) {{ for (const f of [...(handlers[name] || [])]) f(...more); }}
const model = {{
  get: (name) => state[name],
  set(name, value) {{ state[name] = value; changes[name] = value; fire("change:" + name); }},
  save_changes() {{ const sent = changes; changes = {{}}; window.pySave(sent); }},
  send(message) {{ window.pySend(message); }},
  on(name, f) {{ (handlers[name] ||= []).push(f); }},
  off(name, f) {{ handlers[name] = (handlers[name] || []).filter((g) => g !== f); }},
}};
window.fromPython = (kind, payload, buffers) => {{
  if (kind === "trait") {{
    state[payload.name] = payload.value;
    fire("change:" + payload.name);
    return;
  }}
  fire("msg:custom", payload, buffers.map(view));
}};
window.cleanup = widget.render({{ model, el: document.getElementById("host") }});
window.again = (el) => widget.render({{ model, el }});
</script></body></html>"""


def lab_css(light: bool) -> tuple[str, str]:
    name = "light" if light else "dark"
    root = Path(jupyterlab.__file__).parent / "themes" / "@jupyterlab"
    if not root.exists():
        import sys

        root = Path(sys.prefix) / "share/jupyter/lab/themes/@jupyterlab"
    css = (root / f"theme-{name}-extension" / "index.css").read_text()
    return css, f"JupyterLab {name.capitalize()}"


class Host:
    """A panel and its page; `pump` carries what the panel said to the browser."""

    def __init__(
        self,
        browser: Any,
        panel: Panel,
        width: int = 1096,
        light: bool = True,
        busy: bool = False,
    ):
        self.panel = panel
        self.errors: list[str] = []
        self._own: dict[str, Any] = {}
        self._mail: queue.Queue[tuple[str, Any, list[str]]] = queue.Queue()
        panel.observe(self._trait, names=self._names())
        panel.send = self._custom
        self.context = browser.new_context(viewport={"width": width + 24, "height": 1500})
        self.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=ORIGIN)
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        css, name = lab_css(light)
        page = PAGE.format(
            lab=css, css=assets.style(), width=width, light=str(light).lower(), name=name
        )
        self.page.route("**/*", lambda route: route.abort())
        self._serve("/", page, "text/html")
        self._serve("/panel.js", assets.module(), "text/javascript")
        self.page.expose_function("pyState", self._state)
        self.page.expose_function("pySave", self._save)
        # A kernel that computes reads no messages.
        heard = (lambda m: None) if busy else (lambda m: panel._message(panel, m, []))
        self.page.expose_function("pySend", heard)
        self.page.goto(ORIGIN + "/")
        self.page.wait_for_selector(".wb-panel")

    def _serve(self, path: str, body: str, kind: str) -> None:
        self.page.route(ORIGIN + path, lambda r: r.fulfill(body=body, content_type=kind))

    def _state(self) -> dict[str, Any]:
        state = {name: getattr(self.panel, name) for name in self._names()}
        images = state["opening"].get("images", {})
        texts = {name: base64.b64encode(data).decode() for name, data in images.items()}
        return {**state, "opening": {**state["opening"], "images": texts}}

    def _names(self) -> list[str]:
        others = ("layout", "comm", "keys", "tabbable", "tooltip")
        return [n for n in self.panel.traits(sync=True) if n[0] != "_" and n not in others]

    def _save(self, changes: dict[str, Any]) -> None:
        self._own = changes
        for name, value in changes.items():
            setattr(self.panel, name, value)
        self._own = {}

    def _trait(self, change: Any) -> None:
        if change["name"] in self._own and self._own[change["name"]] == change["new"]:
            return  # the front end does not hear its own change again
        self._mail.put(("trait", {"name": change["name"], "value": change["new"]}, []))

    def _custom(self, message: Any, buffers: Any = None) -> None:
        packed = [base64.b64encode(bytes(b)).decode() for b in buffers or []]
        self._mail.put(("custom", message, packed))

    def pump(self, seconds: float = 0.3) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                kind, payload, buffers = self._mail.get(timeout=0.01)
            except queue.Empty:
                self.page.wait_for_timeout(5)
                continue
            self.page.evaluate(
                "([k, p, b]) => window.fromPython(k, p, b)", [kind, payload, buffers]
            )

    def until(self, done: Callable[[], bool], seconds: float = 10.0) -> None:
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, f"not reached; errors: {self.errors}"
            self.pump(0.05)

    def text(self, selector: str) -> str:
        return str(self.page.locator(selector).first.inner_text())

    def close(self) -> None:
        self.context.close()
        self.panel.close()


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Chromium as the system has it; without it, or what drives it, the test is skipped."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("Chromium is not here (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()
