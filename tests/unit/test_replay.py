"""The replay transport: recorded payloads by name, and nothing from outside the folder."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from sandbox import Sandbox

from pipelines.sources import SOURCES
from pipelines.sources.base import Metal, NoData, Request, Scope, SourceError, Zone
from pipelines.transports.replay import ReplayTransport

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
DE = Zone("DE-LU", "10Y1001A1001A82H", "Europe/Berlin", "energy_charts")
BE = Zone("BE", "10YBE----------2", "Europe/Brussels", "entsoe")
SCOPE = Scope((Metal("AL", "Aluminium", "Al", "Aluminum", "PALUMUSDM", "Aluminum"),), (DE, BE))


def requested(source: str, month: str) -> Request:
    """The first request of a month."""
    return SOURCES[source].requests(pd.Period(month, "M"), SCOPE)[0]


def write(path: Path, body: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


def document(start: str, end: str, area: str = BE.eic) -> bytes:
    interval = f"<period.timeInterval>\n  <start>{start}</start>\n  <end>{end}</end>\n</period.timeInterval>"
    return f'<doc>{interval}<in_Domain.mRID codingScheme="A01">{area}</in_Domain.mRID></doc>'.encode()


def test_a_file_with_the_name_of_the_request_is_its_response_captured_now(tmp_path: Path) -> None:
    write(tmp_path / "fred" / "SOFR.csv", b"observation_date,SOFR\n")
    [payload] = ReplayTransport(tmp_path, NOW).fetch(requested("fred", "2026-01"))
    assert (payload.body, payload.captured_at) == (b"observation_date,SOFR\n", NOW)


@pytest.mark.parametrize("source", ["fred", "westmetall", "energy_charts", "entsoe", "customs", "ecb"])
def test_a_request_without_a_recording_is_no_data(tmp_path: Path, source: str) -> None:
    write(tmp_path / "other" / requested(source, "2025-12").name, b"x")
    with pytest.raises(NoData, match=f"nothing is recorded for {source}/"):
        ReplayTransport(tmp_path, NOW).fetch(requested(source, "2025-12"))


def test_a_year_of_yahoo_may_be_recorded_by_month_and_comtrade_by_rows(tmp_path: Path) -> None:
    year, rows = Request("yahoo", "v8_chart_GS_1d_2023.json", ""), Request("comtrade", "canada_x_7601_202401.json", "")
    for name in ("GS_1d_2023-11", "GS_1d_2023-10", "GS_1d_2022-10", "AA_1d_2023-10"):
        write(tmp_path / "yahoo" / f"v8_chart_{name}.json", name.encode())
    write(tmp_path / "comtrade" / "canada_x_7601_202401.rows.json", b"rows")
    transport = ReplayTransport(tmp_path, NOW)
    assert [p.body for p in transport.fetch(year)] == [b"GS_1d_2023-10", b"GS_1d_2023-11"]
    assert [p.body for p in transport.fetch(rows)] == [b"rows"]
    for request in (year, rows):
        write(tmp_path / request.source / request.name, b"whole")
        assert [p.body for p in transport.fetch(request)] == [b"whole"]


def test_energy_charts_days_are_used_unless_the_whole_month_is_recorded(tmp_path: Path) -> None:
    folder = tmp_path / "energy_charts"
    for name in ("20241208_note", "20241201", "20241131x", "20250101", "20241"):
        write(folder / f"price_DE-LU_{name}.json", name.encode())
    write(folder / "price_FR_20241208.json", b"another zone")
    transport = ReplayTransport(tmp_path, NOW)
    assert [p.body for p in transport.fetch(requested("energy_charts", "2024-12"))] == [b"20241201", b"20241208_note"]
    write(folder / "price_DE-LU_2024-12.json", b"month")
    assert [p.body for p in transport.fetch(requested("energy_charts", "2024-12"))] == [b"month"]


def test_entsoe_documents_are_found_by_area_and_interval(tmp_path: Path) -> None:
    folder = tmp_path / "entsoe"
    # Brussels leaves summer time on 27 October 2024: its October runs from 30 September 22:00Z to 31 October 23:00Z.
    write(folder / "a_before.xml", document("2024-09-29T22:00Z", "2024-09-30T22:00Z"))
    write(folder / "b_first.xml", document("2024-09-30T22:00Z", "2024-10-01T22:00Z"))
    write(folder / "c_last.xml", document("2024-10-30T23:00Z", "2024-10-31T23:00Z"))
    write(folder / "d_after.xml", document("2024-10-31T23:00Z", "2024-11-01T23:00Z"))
    write(folder / "e_year.xml", document("2023-12-31T23:00Z", "2024-12-31T23:00Z"))
    write(folder / "f_elsewhere.xml", document("2024-09-30T22:00Z", "2024-10-01T22:00Z", area=DE.eic))
    write(folder / "g_refused.xml", b"<Acknowledgement_MarketDocument/>")
    first, last, year = (document(*span) for span in (
        ("2024-09-30T22:00Z", "2024-10-01T22:00Z"),
        ("2024-10-30T23:00Z", "2024-10-31T23:00Z"),
        ("2023-12-31T23:00Z", "2024-12-31T23:00Z"),
    ))  # fmt: skip
    transport = ReplayTransport(tmp_path, NOW)
    assert [p.body for p in transport.fetch(requested("entsoe", "2024-10"))] == [first, last, year]
    assert [p.body for p in transport.fetch(requested("entsoe", "2024-02"))] == [year]


def test_an_unreadable_interval_is_an_error_that_names_it(tmp_path: Path) -> None:
    write(tmp_path / "entsoe" / "odd.xml", document("last week", "2024-10-01T22:00Z"))
    with pytest.raises(SourceError, match=r"odd\.xml: the interval .*last week.* cannot be read"):
        ReplayTransport(tmp_path, NOW).fetch(requested("entsoe", "2024-10"))


@pytest.mark.parametrize(
    ("source", "name"), [("fred", "SOFR.csv"), ("energy_charts", "price_DE-LU_20241208.json"), ("entsoe", "x.xml")]
)
def test_links_out_of_the_folder_are_not_followed(tmp_path: Path, source: str, name: str) -> None:
    secret = write(tmp_path / "outside.csv", b"secret")
    link = tmp_path / "replay" / source / name
    link.parent.mkdir(parents=True)
    link.symlink_to(secret)
    with pytest.raises(SourceError, match="link to a file outside the replay folder and is not followed") as error:
        ReplayTransport(tmp_path / "replay", NOW).fetch(requested(source, "2024-12"))
    assert "secret" not in str(error.value)
    assert str(tmp_path) not in str(error.value)


def test_links_inside_the_folder_and_a_linked_folder_are_followed(tmp_path: Path) -> None:
    write(tmp_path / "replay" / "fred" / "2026.csv", b"x")
    (tmp_path / "replay" / "fred" / "SOFR.csv").symlink_to("2026.csv")
    (tmp_path / "here").symlink_to(tmp_path / "replay")
    assert [p.body for p in ReplayTransport(tmp_path / "here", NOW).fetch(requested("fred", "2026-01"))] == [b"x"]


@pytest.mark.parametrize("target", ["nowhere.csv", "SOFR.csv"])
def test_a_broken_link_is_a_failure(tmp_path: Path, target: str) -> None:
    (tmp_path / "fred").mkdir()
    (tmp_path / "fred" / "SOFR.csv").symlink_to(target)
    with pytest.raises(SourceError, match=r"fred/SOFR\.csv cannot be read"):
        ReplayTransport(tmp_path, NOW).fetch(requested("fred", "2026-01"))


def test_a_name_cannot_leave_the_replay_folder(tmp_path: Path) -> None:
    write(tmp_path / "outside.csv", b"secret")
    (tmp_path / "replay" / "fred").mkdir(parents=True)
    with pytest.raises(SourceError, match="outside the replay folder"):
        ReplayTransport(tmp_path / "replay", NOW).fetch(Request("fred", "../../outside.csv", ""))


@pytest.mark.parametrize(
    ("source", "month", "count"),
    [
        ("westmetall", "2024-05", 1),
        ("westmetall", "2019-05", 0),
        ("worldbank", "2024-05", 1),
        ("energy_charts", "2024-12", 1),
        ("energy_charts", "2024-11", 0),
        ("entsoe", "2024-10", 3),
        ("entsoe", "2024-09", 0),
        ("fred", "2024-05", 0),  # SOFR
        ("fred", "2000-06", 1),  # the monthly means, before the rates
        ("ember", "2024-05", 1),
        ("smard", "2024-05", 0),
    ],
)
def test_the_recorded_real_payloads_are_found(real: Path, source: str, month: str, count: int) -> None:
    transport = ReplayTransport(real / "payloads", NOW)
    if count:
        assert len(transport.fetch(requested(source, month))) == count
    else:
        with pytest.raises(NoData):
            transport.fetch(requested(source, month))


def test_a_real_day_of_power_reads_as_a_day_of_its_month(real: Path) -> None:
    [payload] = ReplayTransport(real / "payloads", NOW).fetch(requested("energy_charts", "2024-12"))
    power = SOURCES["energy_charts"].parse(payload, SCOPE).frames["power"]
    assert len(power) == 24
    assert power["price_eur_mwh"].iloc[0] == 93.91
    assert set(power["delivery_date"]) == {pd.Timestamp("2024-12-08")}


def test_rejected_rows_of_each_part_of_a_response_are_reported(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "replay", "2026-02-20T20:00:00Z")
    for day, first in (("14", None), ("15", 5.0)):  # Energy-Charts by day
        start = int(datetime(2026, 1, int(day) - 1, 23, tzinfo=UTC).timestamp())
        content = {"unix_seconds": [start + 3600 * n for n in range(24)], "price": [first, *[5.0] * 23]}
        sandbox.record(f"energy_charts/price_DE-LU_202601{day}.json", json.dumps(content))
    for _ in range(2):
        done = sandbox.ingest(("2026-01", "2026-01"), ["power"]).read["power"]
        assert done.rejected["where"].tolist() == ["2026-01-14 00:00+0100 of DE-LU"]
    assert sandbox.open().lake.read("power")["delivery_date"].dt.day.unique().tolist() == [15]
