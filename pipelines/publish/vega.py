"""The script of the charts: Vega, Vega-Lite and Vega-Embed as `vl-convert-python` bundles them.

Made once for each version of that package, and kept beside the project: making it takes seconds and 150 MB, in a
process of its own.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Final

from pipelines.common.files import write_atomically
from pipelines.common.settings import PROJECT

PACKAGE: Final = "vl-convert-python"
_BUNDLE: Final = (
    "import sys, vl_convert; sys.stdout.reconfigure(encoding='utf-8'); sys.stdout.write(vl_convert.javascript_bundle())"
)


def script_version() -> str:
    """Version of the package that the script is made by."""
    return version(PACKAGE)


def script(folder: Path = PROJECT / "build") -> str:
    """The text of one script that defines `vegaEmbed`, `vegaLite` and `vega`. A folder that is read-only keeps none."""
    kept = folder / f"vega-{script_version()}.js"
    with suppress(OSError):
        return kept.read_text(encoding="utf-8")
    # With names of its own and in strict mode, as in the module that the bundle is written as.
    text = f'(()=>{{"use strict";{_bundle()}\n}})();'
    with suppress(OSError):
        write_atomically(kept, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return text


def _bundle() -> str:
    return subprocess.run([sys.executable, "-c", _BUNDLE], capture_output=True, check=True).stdout.decode()


if __name__ == "__main__":
    script()
