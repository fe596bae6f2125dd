"""The chart library as a static file that JupyterLab serves, so that no chart carries its own copy.

JupyterLab serves every file under ``share/jupyter/labextensions/<name>/`` at
``lab/extensions/<name>/``. A folder without a ``package.json`` is served and otherwise ignored: it
shows in no extension list and loads no code.
"""

import hashlib
import os
from importlib.metadata import version
from pathlib import Path

from workbench.atomic import replace_file

NAME = "efficiency-workbench"

NOTICE = """\
/*!
The Vega stack (vega, vega-lite, vega-embed) as bundled by vl-convert {version}.
Copyright (c) 2015-2023, University of Washington Interactive Data Lab and contributors.
All rights reserved.

Redistribution and use in source and binary forms, with or without modification, are permitted
provided that the following conditions are met:

1. Redistributions of source code must retain the above copyright notice, this list of conditions
   and the following disclaimer.
2. Redistributions in binary form must reproduce the above copyright notice, this list of conditions
   and the following disclaimer in the documentation and/or other materials provided with the
   distribution.
3. Neither the name of the copyright holder nor the names of its contributors may be used to endorse
   or promote products derived from this software without specific prior written permission.

THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS" AND ANY EXPRESS OR
IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE IMPLIED WARRANTIES OF MERCHANTABILITY AND
FITNESS FOR A PARTICULAR PURPOSE ARE DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT HOLDER OR
CONTRIBUTORS BE LIABLE FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL
DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES; LOSS OF USE,
DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER
IN CONTRACT, STRICT LIABILITY, OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF
THE USE OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.
*/
"""


def bundle_file(prefix: Path) -> Path:
    """Where the bundle lies under the environment `prefix`."""
    return prefix / "share" / "jupyter" / "labextensions" / NAME / "static" / "vega.js"


def _maker() -> str:
    """What the bundle is made from; another maker makes the installed one stale."""
    from workbench.panels import vega

    source = Path(vega.__file__).read_bytes()
    return f"{version('vl-convert-python')} {hashlib.sha256(source).hexdigest()[:16]}"


def fresh(prefix: Path) -> bool:
    """Whether the installed bundle was made by the present versions."""
    stamp = bundle_file(prefix).with_name("made-by.txt")
    try:
        return stamp.read_text(encoding="utf-8") == _maker() and bundle_file(prefix).exists()
    except OSError:
        return False


def install_vega_bundle(prefix: Path) -> bool:
    """Write the bundle under `prefix` unless a fresh one is there; making it takes a few seconds.

    Args:
        prefix: an environment, as in `sys.prefix`.

    Returns:
        Whether a fresh bundle now lies there; not when `prefix` cannot be written, and then every
        panel carries the bundle itself.
    """
    if fresh(prefix):
        return True
    file = bundle_file(prefix)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    if not os.access(file.parent, os.W_OK):
        return False
    from workbench.panels import vega

    try:
        text = NOTICE.format(version=version("vl-convert-python")) + vega.bundle()
        replace_file(file, [text.encode()])
        replace_file(file.with_name("made-by.txt"), [_maker().encode()])
    except OSError:
        return False
    return True
