"""The demo market with further metals: TIGHTNESS_DEMO_METALS."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from sandbox import Sandbox, assert_same_rows

from pipelines.common.calendar import months_between
from pipelines.common.settings import PROJECT, SettingsError
from pipelines.ingestion.extract import plan_requests
from pipelines.reference import load_reference
from pipelines.sources import SOURCES
from pipelines.workspace import Workspace
from schemas.marts import MARTS
from schemas.signals import SIGNALS

NOW = "2024-07-10T20:00:00Z"
SIX = ("AL", "CU", "ZN", "NI", "PB", "SN")
DATASETS = ("prices", "stocks", "spreads", "rates", "exports", "off_warrant", "exchange_stocks")
OF_THE_BUILD = ["run_id", "code_version", "published_ts"]


def opened(root: Path, metals: str, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("TIGHTNESS_DEMO_METALS", metals)
    return Sandbox(root, "demo", NOW).open()


@pytest.mark.slow
def test_a_second_metal_is_served_and_the_first_is_the_same_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, both = (Sandbox(tmp_path / name, "demo", NOW, first_day=date(2022, 1, 1)) for name in ("alone", "both"))
    for sandbox, metals in ((alone, ""), (both, "al, ZN")):
        monkeypatch.setenv("TIGHTNESS_DEMO_METALS", metals)
        sandbox.run_compiled(("2023-04", "2024-07"), DATASETS)
    for table, about in (MARTS | SIGNALS).items():
        where = "where metal = 'AL'" if "metal" in about.model.to_schema().columns else ""
        query = f"select * from {about.schema}.{table} {where} order by all"
        wanted, found = (one.query(query).drop(columns=OF_THE_BUILD, errors="ignore") for one in (alone, both))
        pd.testing.assert_frame_equal(found, wanted, obj=table)
    last = both.query("from marts.tightness_daily order by as_of_date desc, metal limit 2").set_index("metal")
    assert last["tightness_index"].notna().tolist() == [True, True]
    assert last.loc["ZN", ["coverage", "n_components"]].tolist() == [1.0, 4], "no exports: weights of 1/2"
    signals = both.query("select distinct signal_id from signals.signals_latest where metal = 'ZN'")["signal_id"]
    assert {"ZN.TIGHTNESS.INDEX", "ZN.INVENTORY.VISIBLE"} <= set(signals)
    assert not signals.str.contains("POWER|SMELTER|SUPPLY|EXPORT|EQUITY").any()


def test_the_default_is_the_metal_of_the_reference_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = opened(tmp_path, "", monkeypatch)
    assert [metal.metal for metal in workspace.scope.metals] == ["AL"]
    assert workspace.reference.sha256 == load_reference(PROJECT / "data" / "reference").sha256


@pytest.mark.slow
def test_every_source_of_a_metal_serves_all_six(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = opened(tmp_path, ",".join(SIX), monkeypatch)
    assert tuple(metal.metal for metal in workspace.scope.metals) == SIX
    transport, served = workspace.transport(), {}
    for source, month in {"westmetall": "2024-05", "jin10": "2024-05", "worldbank": "2024-05"}.items():
        for request in plan_requests(source, months_between(month, month), workspace.scope):
            frames = SOURCES[source].parse(transport.fetch(request)[-1], workspace.scope).frames
            for dataset, frame in frames.items():
                served.setdefault((source, dataset), set()).update(frame["metal"])
    assert served == {key: set(SIX) for key in served}
    assert len(served) == 5
    stock = next(payload for payload in workspace.dropped("off_warrant")[0])
    assert {line[:2] for line in stock.body.decode().splitlines()[1:]} == set(SIX)


@pytest.mark.slow
def test_a_metal_that_a_run_left_out_is_loaded_by_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of responses with all metals, a run of one metal stores its own rows only."""
    months, datasets = ("2025-12", "2026-01"), ["exchange_stocks"]
    monkeypatch.setenv("TIGHTNESS_DEMO_METALS", "AL,ZN")
    both = Sandbox(tmp_path / "both", "demo", "2026-01-20T20:00:00Z")
    assert both.ingest(months, datasets).failures == []
    first = both.copy(tmp_path / "first")
    for folder in ("lake", "raw/lake"):
        shutil.rmtree(first.data / folder)
    workspace = first.open()
    for metals in (("AL",), ()):
        ingestion = replace(workspace.ingestion(), scope=workspace.reference.scope(metals))
        for name in datasets:
            dropped, _ = workspace.dropped(name)
            assert ingestion.run(name, months_between(*months), dropped).failures == []
        assert set(workspace.lake.read("exchange_stocks")["metal"]) == ({*metals} or {"AL", "ZN"})
    assert_same_rows(first.rows(datasets), both.rows(datasets))


def test_rows_for_further_metals_are_marked_as_synthetic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = opened(tmp_path, ",".join(SIX), monkeypatch).reference
    for table in ("metals", "parameters", "index_components", "signal_definitions"):
        rows = reference[table]
        further = rows[rows["metal"].isin(SIX[1:])]
        assert set(further["metal"]) == set(SIX[1:]), table
        assert further["source"].str.startswith("SYNTHETIC DEMO DATA").all(), table
        assert set(further["status"]) == {"ASSUMPTION"}, table


def test_own_rows_of_a_metal_are_used_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from copper import add_copper

    add_copper(Sandbox(tmp_path, "demo", NOW).reference())
    own = load_reference(tmp_path / "reference")
    assert opened(tmp_path, "CU", monkeypatch).reference.sha256 == own.sha256
    assert [metal.metal for metal in opened(tmp_path, "CU", monkeypatch).scope.metals] == ["CU"]


def test_a_metal_that_the_market_does_not_have_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError) as error:
        opened(tmp_path, "AL,XX", monkeypatch)
    assert str(error.value) == (
        "TIGHTNESS_DEMO_METALS contains 'XX', which the demo market does not have: "
        "give one or more of AL, CU, ZN, NI, PB, SN, separated by commas"
    )
    assert Sandbox(tmp_path, "drop", NOW).open().settings.demo == (), "the other profiles do not read it"
