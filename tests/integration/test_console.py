"""Output of the command line for any reader: encodings that lack characters, and pipes that are closed early."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sandbox import Sandbox

pytestmark = pytest.mark.slow
LONG = pytest.mark.exhaustive
COMMANDS = [["signals"], ["claims"], ["doctor"], ["signals", "--json"], ["--help"]]


def call(sandbox: Sandbox, *args: str, stdout: int | None = subprocess.PIPE, **more: str) -> tuple[int, bytes, str]:
    """Exit code, standard output and standard error of a command."""
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli.app", *args],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=sandbox.environment() | more,
        cwd="/",
        timeout=120,
    )
    return done.returncode, done.stdout or b"", done.stderr.decode()


@pytest.mark.parametrize(
    "encoding",
    [
        "cp1252",
        pytest.param("ascii", marks=pytest.mark.exhaustive),
        pytest.param("latin-1", marks=pytest.mark.exhaustive),
    ],
)
def test_output_falls_back_in_an_encoding_without_its_characters(demo_of_months: Sandbox, encoding: str) -> None:
    """The demo market has rising and falling states, whose arrows are in no such encoding."""
    code, plain, _ = call(demo_of_months, "signals", PYTHONIOENCODING="utf-8")
    assert code == 0 and "▲" in plain.decode() and "▼" in plain.decode()
    code, output, errors = call(demo_of_months, "signals", PYTHONIOENCODING=encoding)
    assert (code, errors) == (0, "")
    text = output.decode(encoding)
    assert text.count(" up ") == plain.decode().count("▲") and text.count(" down ") == plain.decode().count("▼")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_closed_pipe_ends_a_command_as_without_it(demo_of_months: Sandbox, command: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert call(demo_of_months, *command, stdout=writer) == (0, b"", "")
    finally:
        os.close(writer)


def test_a_folder_that_the_encoding_lacks_is_shown_escaped(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path / "M\u00e4rkte \N{CHART WITH UPWARDS TREND}", "drop", "2026-01-20T20:00:00Z")
    sandbox.reference()
    code, output, errors = call(sandbox, "doctor", PYTHONIOENCODING="ascii")
    assert (code, errors) == (0, "")
    assert b"M\\xe4rkte \\U0001f4c8" in output.replace(b"\n", b"")
    code, output, _ = call(sandbox, "doctor", "--json", PYTHONIOENCODING="ascii")
    assert f"{sandbox.data} does not exist" in [finding["detail"] for finding in json.loads(output)]
