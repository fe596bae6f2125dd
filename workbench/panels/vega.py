"""The chart library for the browser: one JavaScript file, built here, never fetched.

JupyterLab serves the file when it was installed; where it cannot (another environment's
kernel, an editor's own page), `chart.js` asks the kernel for it through `answer`.
"""

import contextlib
import functools
from importlib.metadata import version
from typing import Any

from workbench.atomic import replace_file
from workbench.home import home

VEGA_LITE = "6.4"
"""The Vega-Lite version of the bundle and of every export."""

# The plain name `vega` of vl-convert's bundles is an empty default export in Vega 6, so the
# module is named by the address under which vl-convert holds its own copy. Nothing is fetched.
_SOURCE = (
    "import * as library from 'https://cdn.jsdelivr.net/npm/vega@{vega}/+esm';"
    " export {{ vegaEmbed, library as vega }};"
)


@functools.lru_cache(maxsize=1)
def bundle() -> str:
    """Returns an ES module that exports `vegaEmbed` and `vega`, about 0.9 MB of text.

    Built once (about 3 s) and kept in the user's cache folder; one that cannot be
    written only costs the time of building it again.
    """
    import vl_convert

    stored = home() / "vega" / f"vega-{version('vl-convert-python')}-{VEGA_LITE}-module.js"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        text = stored.read_text(encoding="utf-8")
        if len(text) > 100_000 and "vegaEmbed" in text:
            return text
    source = _SOURCE.format(vega=vl_convert.get_vega_version())
    text = str(vl_convert.javascript_bundle(source, vl_version=VEGA_LITE))
    with contextlib.suppress(OSError):
        stored.parent.mkdir(parents=True, exist_ok=True)
        replace_file(stored, [text.encode()])
    return text


def answer(widget: Any, content: Any, buffers: Any = None) -> bool:
    """Answers a widget message that asks for the chart library; False if it asks otherwise.

    Args:
        widget: what received the message and can `send(content, buffers=...)`.
        content: the message; only `{"type": "vega"}` is ours.
        buffers: the message's buffers, not used.
    """
    if not isinstance(content, dict) or content.get("type") != "vega":
        return False
    widget.send({"type": "vega"}, buffers=[bundle().encode()])
    return True
