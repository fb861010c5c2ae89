"""`tightness mcp` answers a client of the official package over standard input and output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sandbox import Sandbox

CLIENT = """
import asyncio, json, os, sys
from mcp import Client, StdioServerParameters, stdio_client

CALLS = [
    ("list_tables", {}),
    ("describe_table", {"table": "marts.price_daily"}),
    ("latest_signals", {}),
    ("signals_as_of", {"moment": "2026-01-14T20:00:00Z"}),
    ("claims", {}),
    ("query", {"sql": "select count(*) as n from vintages.prices_asof('2026-01-14T20:00:00Z')"}),
    ("query", {"sql": "drop table marts.price_daily"}),
    ("query", {"sql": "select * from read_text('/etc/passwd')"}),
]

async def main():
    server = StdioServerParameters(command=sys.argv[1], args=["mcp"], env=dict(os.environ))
    async with Client(stdio_client(server)) as client:
        found = {"tools": [tool.name for tool in (await client.list_tools()).tools], "answers": []}
        for name, arguments in CALLS:
            result = await client.call_tool(name, arguments)
            text = result.content[0].text if result.content else ""
            found["answers"].append([bool(result.is_error), result.structured_content, text])
        print(json.dumps(found))

asyncio.run(main())
"""


def package(tmp_path: Path) -> Path:
    """A folder with the package mcp, installed once; TIGHTNESS_TEST_DRIVERS names a folder to keep it in."""
    folder = Path(os.environ.get("TIGHTNESS_TEST_DRIVERS") or tmp_path) / "mcp"
    if not (folder / "mcp").is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "2"]
        options = ["--timeout", "20", "--only-binary", ":all:", "--target", str(folder), "mcp>=2,<3"]
        done = subprocess.run([*pip, *options], capture_output=True, text=True)
        if "No matching distribution" in done.stderr:
            pytest.skip("pip finds no mcp: no package index in reach")
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.exhaustive
def test_a_client_of_the_official_package_is_answered(demo_of_months: Sandbox, tmp_path: Path) -> None:
    environment = demo_of_months.environment() | {"PYTHONPATH": str(package(tmp_path))}
    command = Path(sys.executable).with_name("tightness")
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, str(command)], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["tools"] == [
        "list_tables", "describe_table", "latest_signals", "signals_as_of", "claims", "query"
    ]  # fmt: skip
    tables, price, latest, then, claims, counted, dropped, read = found["answers"]
    assert [answer[0] for answer in found["answers"]] == [False] * 6 + [True] * 2
    assert "marts.price_daily" in {row["name"] for row in tables[1]["rows"]}
    assert "marts.price_daily_asof(T)" in tables[1]["macros"]
    assert next(row for row in price[1]["rows"] if row["name"] == "cash_usd_t")["description"].endswith("[USD/t]")
    assert latest[1]["rows"] == then[1]["rows"] != []
    assert latest[1]["synthetic"] is True
    assert claims[1]["rows"]
    assert counted[1]["rows"][0]["n"] > 0
    assert "only one SELECT" in dropped[2]
    assert "disabled" in read[2]
