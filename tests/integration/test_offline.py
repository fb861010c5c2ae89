"""`tightness doctor --live` without a network."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from sandbox import Sandbox


@pytest.mark.slow
def test_without_a_network_every_publisher_fails_within_a_minute_and_the_output_is_json(tmp_path: Path) -> None:
    """A closed port as the proxy: waits are real, and publishers are requested in parallel."""
    sandbox = Sandbox(tmp_path, "demo", "2026-11-20T20:00:00Z")
    begun = time.monotonic()
    done = sandbox.tightness(
        "doctor", "--live", "--json", HTTPS_PROXY="http://127.0.0.1:9", HTTP_PROXY="http://127.0.0.1:9"
    )
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert len(found) > 8 and {one["status"] for one in found} == {"failed"}
    assert all("refused" in one["detail"] for one in found)
    waited = sum(one["seconds"] for one in found)
    assert waited > 20, "each was requested again after a wait"
    assert time.monotonic() - begun < min(waited, 60), "they waited in parallel"
    assert {path.relative_to(sandbox.data).parts[:2] for path in sandbox.data.rglob("*.*")} == {("warehouse", "pace")}
