"""Version of the running code."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from importlib.metadata import version

from pipelines.common.settings import PROJECT


@lru_cache(maxsize=1)
def code_version() -> str:
    """Package version and, in a git checkout, the commit."""
    commit = git_commit()
    return version("metal-tightness") + (f"+{commit[:12]}" if commit else "")


@lru_cache(maxsize=1)
def git_commit() -> str | None:
    """The checked-out commit; None outside a git checkout."""
    try:
        # git refuses the checkout of another user, whose runs would then have another version.
        command = ["git", "-c", f"safe.directory={PROJECT}", "-C", str(PROJECT), "rev-parse", "HEAD"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
