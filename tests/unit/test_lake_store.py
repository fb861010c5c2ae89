"""The lake: what becomes a vintage, what does not, and what survives writers that die or meet."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.lake.store import Lake
from schemas.datasets import DATASETS
from schemas.generate.arrow import arrow_schema, pandas_types, stored_columns

T1 = datetime(2026, 2, 1, 12, tzinfo=UTC)
T2 = T1 + timedelta(days=1)
T3 = T1 + timedelta(days=2)


def observed(rows: list[tuple], **more: object) -> pd.DataFrame:
    """Rows (day, total_t, cancelled_t[, knowledge_ts]) of stocks as they come to the lake; known the next morning."""
    days = pd.to_datetime([row[0] for row in rows])
    calendar = [f"{day + timedelta(days=1):%Y-%m-%d}T09:00:00Z" for day in days]
    frame = pd.DataFrame(
        {
            "metal": "AL",
            "obs_date": days,
            "total_t": [float(row[1]) for row in rows],
            "cancelled_t": [row[2] for row in rows],
            "obs_start": days,
            "obs_end": days,
            "knowledge_ts": pd.to_datetime(
                [row[3] if len(row) > 3 else c for row, c in zip(rows, calendar, strict=True)]
            ),
            "knowledge_basis": "CALENDAR",
            "source": "westmetall",
            "payload_sha256": "a" * 64,
            "licence_class": "BYO",
        }
    )
    return frame.assign(**more)


def vintages(lake: Lake, day: str = "2026-01-05", **query: object) -> list[tuple[float, str, str, int]]:
    """(total_t, knowledge_ts, basis, vintage_no) of a day, in order of knowledge."""
    rows = lake.read("stocks", **query)
    rows = rows[rows["obs_date"] == day]
    times = rows["knowledge_ts"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return list(zip(rows["total_t"], times, rows["knowledge_basis"], rows["vintage_no"], strict=True))


def parquet_files(lake: Lake) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(lake.root.rglob("month=*/*.parquet"))}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    lake.ensure()
    return lake


FIRST = ("2026-01-05", 500_000, 60_000.0)
KNOWN = "2026-01-06T09:00:00Z"


def test_arrow_schema_is_the_model_and_the_bitemporal_columns() -> None:
    schema = arrow_schema("prices")
    assert schema.names[:5] == ["metal", "obs_date", "cash_usd_t", "m3_usd_t", "days_cash_to_3m"]
    assert schema.names[5:8] == ["obs_start", "obs_end", "knowledge_ts"]
    assert schema.field("obs_date").type == pa.date32()
    assert schema.field("knowledge_ts").type == pa.timestamp("us", tz="UTC")
    assert schema.field("days_cash_to_3m").type == pa.int64()
    assert schema.field("cash_usd_t").metadata == {b"description": b"Cash settlement price (C)", b"unit": b"USD/t"}
    with pytest.raises(KeyError, match=r"no dataset 'nickel': use one of prices, stocks"):
        arrow_schema("nickel")


@pytest.mark.parametrize("name", DATASETS)
def test_every_dataset_has_an_empty_file_with_all_columns_that_duckdb_finds(lake: Lake, name: str) -> None:
    found = duckdb.execute(f"select * from read_parquet('{lake.root}/{name}/**/*.parquet')")
    assert [column[0] for column in found.description] == list(stored_columns(name))
    assert found.fetchall() == []


def test_a_row_comes_back_as_it_was_given(lake: Lake) -> None:
    given = observed([FIRST, ("2026-01-06", 499_000, None)])
    [written] = lake.append("stocks", given, ingest_ts=T1)
    assert (written.month, written.rows, written.new, written.revised) == ("2026-01", 2, 2, 0)
    assert written.path is not None
    assert written.path.name.startswith("20260201T120000000000Z-")
    stored = lake.read("stocks")
    assert {column: str(kind) for column, kind in stored.dtypes.items()} == pandas_types("stocks")
    pd.testing.assert_frame_equal(stored[given.columns], given.astype(stored[given.columns].dtypes.to_dict()))
    assert (stored["ingest_ts"] == T1).all()
    assert pq.read_schema(written.path).equals(arrow_schema("stocks"))


def test_rows_go_to_the_month_that_they_speak_of(lake: Lake) -> None:
    rows = observed([("2025-12-31", 1, None), ("2026-01-02", 2, None)])
    assert [w.month for w in lake.append("stocks", rows, ingest_ts=T1)] == ["2025-12", "2026-01"]
    assert {path.parent.name for path in parquet_files(lake)} == {"month=2025-12", "month=2026-01"}
    assert lake.read("stocks", months=("2026-01", "2026-01"))["total_t"].tolist() == [2.0]
    assert lake.read("stocks", months=(pd.Period("2025-12"), pd.Period("2026-01")))["total_t"].tolist() == [1.0, 2.0]


def test_identical_rows_write_nothing_even_later_and_with_missing_values(lake: Lake) -> None:
    rows = observed([FIRST, ("2026-01-06", 499_000, None)])
    lake.append("stocks", rows, ingest_ts=T1)
    before = parquet_files(lake)
    [again] = lake.append("stocks", rows, ingest_ts=T2)
    assert (again.rows, again.new, again.revised, again.path) == (2, 0, 0, None)
    assert parquet_files(lake) == before


@pytest.mark.parametrize("changed", [499_999.999, 500_000.0000001])
def test_a_changed_value_is_the_next_vintage_known_since_it_was_captured(lake: Lake, changed: float) -> None:
    lake.append("stocks", observed([FIRST]), ingest_ts=T1)
    before = parquet_files(lake)
    [written] = lake.append("stocks", observed([("2026-01-05", changed, 60_000.0)]), ingest_ts=T2)
    assert (written.new, written.revised) == (0, 1)
    assert vintages(lake) == [
        (500_000.0, KNOWN, "CALENDAR", 1),
        (changed, "2026-02-02T12:00:00Z", "OBSERVED", 2),
    ]
    assert parquet_files(lake).items() >= before.items()


@pytest.mark.parametrize(("then", "now"), [(None, 60_000.0), (60_000.0, None)])
def test_a_value_that_appears_or_goes_is_a_change(lake: Lake, then: float | None, now: float | None) -> None:
    lake.append("stocks", observed([("2026-01-05", 1, then)]), ingest_ts=T1)
    assert [w.revised for w in lake.append("stocks", observed([("2026-01-05", 1, now)]), ingest_ts=T2)] == [1]


@pytest.mark.parametrize(
    ("absent_at", "known", "basis"),
    [
        ("2026-01-06T09:00:00Z", "2026-02-01T12:00:00Z", "OBSERVED"),  # due, asked for, not there
        ("2026-01-06T08:59:59Z", KNOWN, "CALENDAR"),  # asked for before it was due
        (None, KNOWN, "CALENDAR"),  # never asked for before
    ],
)
def test_what_the_publisher_did_not_have_when_it_was_due_is_known_since_it_came(
    lake: Lake, absent_at: str | None, known: str, basis: str
) -> None:
    late = observed([FIRST], absent_at=pd.to_datetime([absent_at], utc=True))
    lake.append("stocks", late, ingest_ts=T1)
    assert vintages(lake) == [(500_000, known, basis, 1)]
    # Stored, it is no news in a later answer, whatever the one before that had.
    lake.append("stocks", observed([FIRST], absent_at=pd.Timestamp(T1)), ingest_ts=T2)
    assert vintages(lake) == [(500_000, known, basis, 1)]


def test_a_change_that_the_publisher_dates_keeps_its_date(lake: Lake) -> None:
    lake.append("stocks", observed([FIRST]), ingest_ts=T1)
    lake.append("stocks", observed([("2026-01-05", 1, 1.0, "2026-01-20T09:00:00Z")]), ingest_ts=T2)
    assert vintages(lake)[1] == (1.0, "2026-01-20T09:00:00Z", "CALENDAR", 2)


def test_an_older_capture_read_again_adds_nothing(lake: Lake) -> None:
    captures = [(T1, 3), (T2, 2), (T3, 1)]
    for captured, value in captures:
        lake.append("stocks", observed([("2026-01-05", value, None)]), ingest_ts=captured)
    before = parquet_files(lake)
    for captured, value in captures:
        assert lake.append("stocks", observed([("2026-01-05", value, None)]), ingest_ts=captured)[0].path is None
    assert parquet_files(lake) == before
    assert [row[0] for row in vintages(lake)] == [3.0, 2.0, 1.0]


def test_a_publisher_that_changes_back_is_heard(lake: Lake) -> None:
    for captured, value in [(T1, 1), (T2, 2), (T3, 1)]:
        lake.append("stocks", observed([("2026-01-05", value, None)]), ingest_ts=captured)
    assert [(row[0], row[3]) for row in vintages(lake)] == [(1.0, 1), (2.0, 2), (1.0, 3)]
    assert lake.read("stocks", as_of=T3)["total_t"].tolist() == [1.0]


def test_a_change_never_stands_before_what_it_changes(lake: Lake) -> None:
    """A value whose calendar time lies after its capture is changed before that time."""
    lake.append("stocks", observed([("2026-02-05", 1, None)]), ingest_ts=T1)
    lake.append("stocks", observed([("2026-02-05", 2, None)]), ingest_ts=T2)
    assert [row[:2] for row in vintages(lake, "2026-02-05")] == [
        (1.0, "2026-02-06T09:00:00Z"),
        (2.0, "2026-02-06T09:00:00Z"),
    ]
    assert lake.read("stocks", as_of=T1 + timedelta(days=30))["total_t"].tolist() == [2.0]


def test_answers_of_one_instant_that_contradict_each_other_come_to_rest(lake: Lake) -> None:
    for _ in range(2):
        for value in (1, 2):
            lake.append("stocks", observed([("2026-01-05", value, None)]), ingest_ts=T1)
    assert [(row[0], row[3]) for row in vintages(lake)] == [(1.0, 1), (2.0, 2)]


def test_vintages_of_one_frame_are_numbered_by_when_they_were_known(lake: Lake) -> None:
    rows = [
        ("2026-01-05", 3, None, "2026-01-09T09:00:00Z"),
        ("2026-01-05", 1, None, "2026-01-06T09:00:00Z"),
        ("2026-01-05", 1, None, "2026-01-07T09:00:00Z"),  # says nothing new
        ("2026-01-05", 2, None, "2026-01-08T09:00:00Z"),
    ]
    [written] = lake.append("stocks", observed(rows), ingest_ts=T1)
    assert (written.new, written.revised) == (1, 2)
    assert [(row[0], row[1][:10], row[3]) for row in vintages(lake)] == [
        (1.0, "2026-01-06", 1),
        (2.0, "2026-01-08", 2),
        (3.0, "2026-01-09", 3),
    ]
    assert lake.append("stocks", observed(rows), ingest_ts=T2)[0].path is None


@pytest.mark.parametrize("seed", range(5))
def test_row_order_and_duplicates_change_nothing(tmp_path: Path, seed: int) -> None:
    rows = observed(
        [FIRST, ("2026-01-06", 2, None), ("2025-12-30", 3, 1.0), ("2026-01-06", 4, None, "2026-01-20T09:00:00Z")]
    )
    shuffled = pd.concat([rows, rows.iloc[[0, 3]]]).sample(frac=1, random_state=seed)
    contents = []
    for sandbox, frame in (("one", rows), ("other", shuffled)):
        lake = Lake(tmp_path / sandbox)
        lake.append("stocks", frame, ingest_ts=T1)
        contents.append({path.relative_to(lake.root): body for path, body in parquet_files(lake).items()})
    assert contents[0] == contents[1]
    assert len(contents[0]) == 2


def test_as_of_gives_the_last_vintage_known_by_then_to_the_second(lake: Lake) -> None:
    lake.append("stocks", observed([FIRST]), ingest_ts=T1)
    lake.append("stocks", observed([("2026-01-05", 1, None)]), ingest_ts=T2)
    known = datetime(2026, 1, 6, 9, tzinfo=UTC)
    assert vintages(lake, as_of=known - timedelta(seconds=1)) == []
    assert [row[0] for row in vintages(lake, as_of=known)] == [500_000.0]
    assert [row[0] for row in vintages(lake, as_of=T2 - timedelta(seconds=1))] == [500_000.0]
    assert [row[0] for row in vintages(lake, as_of=T2)] == [1.0]


# --- drops


def dropped(rows: list[tuple], **more: object) -> pd.DataFrame:
    explicit = [len(row) > 3 for row in rows]
    return observed(rows, **{"source": "drop", "explicit_knowledge": explicit, "payload_sha256": "b" * 64, **more})


def test_a_drop_is_a_series_beside_the_sources(lake: Lake) -> None:
    lake.append("stocks", observed([FIRST, ("2026-02-05", 7, None)]), ingest_ts=T1)
    [written] = lake.append("stocks", dropped([FIRST]), ingest_ts=T2)
    assert (written.new, written.revised) == (1, 0)
    lake.append("stocks", dropped([("2026-01-05", 9, None)]), ingest_ts=T3)
    rows = lake.read("stocks", months=("2026-01", "2026-01"))
    assert sorted(zip(rows["source"], rows["vintage_no"], strict=True)) == [("drop", 1), ("drop", 2), ("westmetall", 1)]


def test_as_of_a_drop_wins_for_the_months_that_it_holds(lake: Lake) -> None:
    lake.append("stocks", observed([FIRST, ("2026-01-07", 6, None), ("2025-12-30", 7, None)]), ingest_ts=T1)
    lake.append("stocks", dropped([("2026-01-05", 9, None)]), ingest_ts=T1)
    rows = lake.read("stocks", as_of=T1)
    assert list(zip(rows["obs_date"].dt.strftime("%m-%d"), rows["total_t"], strict=True)) == [
        ("12-30", 7.0),
        ("01-05", 9.0),
    ]


def test_a_dropped_vintage_with_its_own_time_is_put_where_it_belongs(lake: Lake) -> None:
    late, early = ("2026-01-05", 2, None, "2026-01-20T09:00:00Z"), ("2026-01-05", 1, None, "2026-01-06T09:00:00Z")
    lake.append("stocks", dropped([late]), ingest_ts=T1)
    lake.append("stocks", dropped([early]), ingest_ts=T2)
    assert [(row[0], row[1][:10], row[2]) for row in vintages(lake)] == [
        (1.0, "2026-01-06", "CALENDAR"),
        (2.0, "2026-01-20", "CALENDAR"),
    ]
    assert lake.read("stocks", as_of=datetime(2026, 1, 10, tzinfo=UTC))["total_t"].tolist() == [1.0]
    before = parquet_files(lake)
    lake.append("stocks", dropped([late, early]), ingest_ts=T3)
    assert parquet_files(lake) == before


def test_a_drop_without_its_own_time_cannot_rewrite_what_was_known(lake: Lake) -> None:
    lake.append("stocks", dropped([FIRST]), ingest_ts=T1)
    lake.append("stocks", dropped([("2026-01-05", 1, None)]), ingest_ts=T2)
    assert vintages(lake)[1] == (1.0, "2026-02-02T12:00:00Z", "OBSERVED", 2)


@pytest.mark.parametrize("moment", [(), ("2026-01-06T09:00:00Z",)])
def test_a_drop_that_is_edited_and_put_back_says_again_what_it_said(lake: Lake, moment: tuple[str, ...]) -> None:
    for captured, value in [(T1, 1), (T2, 2), (T3, 1)]:
        lake.append("stocks", dropped([("2026-01-05", value, None, *moment)]), ingest_ts=captured)
    assert lake.read("stocks", as_of=T3)["total_t"].tolist() == [1.0]


def test_a_dropped_value_known_before_another_one_is_news_also_when_it_holds_today(lake: Lake) -> None:
    first, second = ("2026-01-05", 1, None, "2026-01-10T09:00:00Z"), ("2026-01-05", 2, None, "2026-01-20T09:00:00Z")
    lake.append("stocks", dropped([first, second]), ingest_ts=T1)
    lake.append("stocks", dropped([("2026-01-05", 2, None, "2026-01-06T09:00:00Z")]), ingest_ts=T2)
    assert [(row[0], row[1][:10]) for row in vintages(lake)] == [
        (2.0, "2026-01-06"),
        (1.0, "2026-01-10"),
        (2.0, "2026-01-20"),
    ]


def test_a_drop_says_what_holds_whatever_its_own_time(lake: Lake) -> None:
    lake.append("stocks", dropped([("2026-01-05", 1, None)]), ingest_ts=T2)
    lake.append("stocks", dropped([("2026-01-05", 2, None)]), ingest_ts=T1)
    assert lake.read("stocks", as_of=T3)["total_t"].tolist() == [2.0]


def test_explicit_time_means_nothing_outside_a_drop(lake: Lake) -> None:
    lake.append("stocks", observed([("2026-01-05", 2, None, "2026-01-20T09:00:00Z")]), ingest_ts=T1)
    early = observed([("2026-01-05", 1, None, "2026-01-06T09:00:00Z")], explicit_knowledge=True)
    lake.append("stocks", early, ingest_ts=T2)
    assert vintages(lake)[1][:2] == (1.0, "2026-02-02T12:00:00Z")


# --- releases that their publisher numbers


def printed(rows: list[tuple], **more: object) -> pd.DataFrame:
    """Rows (vintage, knowledge_ts or None, exports_kt) of one month of exports as they come from drop files."""
    month = pd.Timestamp("2026-01-31")
    frame = pd.DataFrame(
        {
            "metal": "AL", "country": "CN", "period_end": month, "period_months": 1,
            "exports_kt": [float(row[2]) for row in rows],
            "vintage": pd.array([row[0] for row in rows], dtype="Int64"),
            "obs_start": pd.Timestamp("2026-01-01"), "obs_end": month,
            "knowledge_ts": pd.to_datetime([row[1] or "2026-02-16T03:00:00Z" for row in rows]),
            "knowledge_basis": ["OBSERVED" if row[1] else "ASSUMED" for row in rows],
            "source": "drop", "payload_sha256": "b" * 64, "licence_class": "BYO",
            "explicit_knowledge": [row[1] is not None for row in rows],
        }
    )  # fmt: skip
    return frame.assign(**more)


def prints(lake: Lake) -> list[tuple[float, int | None, str, str, bool]]:
    """(exports_kt, vintage, knowledge_ts, basis, is_suspect) in the order in which they were known."""
    return [
        (
            row.exports_kt,
            None if pd.isna(row.vintage) else int(row.vintage),
            f"{row.knowledge_ts:%m-%d}",
            row.knowledge_basis,
            row.is_suspect,
        )
        for row in lake.read("exports").itertuples()
    ]


def append(lake: Lake, captured: datetime, *rows: tuple, **more: object) -> int:
    """How many vintages the rows of one capture added; the same again adds none, in whatever order."""
    frame = printed(list(rows), **more)
    added = sum(w.new + w.revised for w in lake.append("exports", frame, ingest_ts=captured))
    for again in (frame, frame[::-1]):
        assert [w.path for w in lake.append("exports", again, ingest_ts=captured)] == [None]
    return added


K1, K2, K3 = "2026-02-10T03:00:00Z", "2026-02-14T03:00:00Z", "2026-02-18T03:00:00Z"
C1, C2, C3, C4 = (datetime(2026, 3, day, tzinfo=UTC) for day in (1, 2, 3, 4))


def test_a_number_is_kept_and_is_no_news(lake: Lake) -> None:
    assert append(lake, C1, (1, K1, 500), (2, K2, 510)) == 2
    assert append(lake, C2, (3, K1, 500), (4, K2, 510)) == 0
    assert append(lake, C3, (None, K1, 500), (None, K2, 510)) == 0
    assert append(lake, C4, (1, K1, 500), (2, K2, 510), (3, K3, 510)) == 0
    assert prints(lake) == [(500.0, 1, "02-10", "OBSERVED", False), (510.0, 2, "02-14", "OBSERVED", False)]


def test_of_two_figures_under_one_number_the_one_known_later_is_suspect(lake: Lake) -> None:
    assert append(lake, C1, (1, K1, 500), (1, K2, 510), (2, K3, 520)) == 3
    assert prints(lake) == [
        (500.0, 1, "02-10", "OBSERVED", False),
        (510.0, 1, "02-14", "OBSERVED", True),
        (520.0, 2, "02-18", "OBSERVED", False),
    ]


@pytest.mark.parametrize("own", [K1, "2026-02-09T03:00:00Z", None], ids=["same", "earlier", "none"])
def test_another_figure_under_a_known_number_is_known_since_it_was_captured(lake: Lake, own: str | None) -> None:
    append(lake, C1, (1, K1, 500))
    before = lake.read("exports", as_of=C2 - timedelta(seconds=1))
    assert append(lake, C2, (1, own, 510)) == 1
    assert prints(lake) == [(500.0, 1, "02-10", "OBSERVED", False), (510.0, 1, "03-02", "OBSERVED", True)]
    pd.testing.assert_frame_equal(lake.read("exports", as_of=C2 - timedelta(seconds=1)), before)
    assert lake.read("exports", as_of=C2)["exports_kt"].tolist() == [510.0]
    assert append(lake, C3, (1, own, 510)) == 0


def test_a_later_capture_that_is_known_later_keeps_its_time(lake: Lake) -> None:
    append(lake, C1, (1, K1, 500))
    assert append(lake, C2, (1, K1, 500), (1, K2, 510)) == 1
    assert prints(lake)[1] == (510.0, 1, "02-14", "OBSERVED", True)


def test_a_figure_put_back_under_its_number_is_heard_and_suspect_too(lake: Lake) -> None:
    for captured, value in ((C1, 500), (C2, 510), (C3, 500)):
        assert append(lake, captured, (1, K1, value)) == 1
    assert [(row[0], row[2], row[4]) for row in prints(lake)] == [
        (500.0, "02-10", False),
        (510.0, "03-02", True),
        (500.0, "03-03", True),
    ]


def test_a_corrected_first_release_does_not_stand_over_the_second(lake: Lake) -> None:
    append(lake, C1, (1, K1, 500), (2, K2, 520))
    assert append(lake, C2, (1, K1, 510), (2, K2, 520)) == 2
    assert [(row[0], row[1], row[2], row[4]) for row in prints(lake)] == [
        (500.0, 1, "02-10", False),
        (520.0, 2, "02-14", False),
        (510.0, 1, "03-02", True),
        (520.0, 2, "03-02", False),  # said again
    ]
    assert lake.read("exports", as_of=C2)["exports_kt"].tolist() == [520.0]
    assert append(lake, C3, (1, K1, 510), (2, K2, 520), (3, "2026-03-02T12:00:00Z", 530)) == 1
    assert prints(lake)[-1] == (530.0, 3, "03-02", "OBSERVED", False)


def test_a_release_with_a_number_of_its_own_is_no_suspect(lake: Lake) -> None:
    append(lake, C1, (1, K1, 500))
    append(lake, C2, (2, K1, 510))
    append(lake, C3, (None, K1, 520))
    assert [(row[0], row[2], row[4]) for row in prints(lake)] == [
        (500.0, "02-10", False),
        (510.0, "02-10", False),
        (520.0, "02-10", False),
    ]


def test_a_source_that_numbers_its_releases_is_held_to_them(lake: Lake) -> None:
    source = {"source": "customs", "licence_class": "OPEN"}
    append(lake, C1, (1, None, 500), **source)
    append(lake, C2, (1, None, 510), **source)
    assert append(lake, C1, (1, None, 500), **source) == 0, "an older capture read again"
    assert [(row[0], row[2], row[4]) for row in prints(lake)] == [(500.0, "02-16", False), (510.0, "03-02", True)]


def test_a_drop_of_one_country_leaves_the_others_to_their_source(lake: Lake) -> None:
    sources = {"source": "comtrade", "licence_class": "OPEN"}
    lake.append("exports", printed([(None, None, 240)], country="CA", **sources), ingest_ts=C1)
    lake.append("exports", printed([(None, None, 500)], **sources), ingest_ts=C1)
    lake.append("exports", printed([(None, None, 510)]), ingest_ts=C1)
    rows = lake.read("exports", as_of=C1)
    assert dict(zip(rows["country"], rows["exports_kt"], strict=True)) == {"CA": 240.0, "CN": 510.0}


def test_files_from_before_the_column_are_read_as_not_suspect(lake: Lake) -> None:
    append(lake, C1, (1, K1, 500), (1, K2, 510))
    [path] = lake.root.rglob("month=*/*.parquet")
    pq.write_table(pq.read_table(path).drop_columns(["is_suspect", "vintage"]), path)
    pq.write_table(
        arrow_schema("exports").empty_table().drop_columns(["is_suspect"]), lake.root / "exports/_schema.parquet"
    )
    lake.ensure(["exports"])
    assert pq.read_schema(lake.root / "exports/_schema.parquet").equals(arrow_schema("exports"))
    rows = lake.read("exports")
    assert rows["is_suspect"].dtype == bool
    assert rows["is_suspect"].tolist() == [False, False]
    assert {column: str(kind) for column, kind in rows.dtypes.items()} == pandas_types("exports")
    assert append(lake, C2, (1, K1, 500), (1, K2, 510)) == 0
    assert append(lake, C3, (1, K3, 530)) == 1


# --- what cannot be stored


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (observed([FIRST]).drop(columns=["source"]), "stocks: the frame has no source"),
        (observed([FIRST], total_t=np.nan), "stocks: row 0 has no total_t"),
        (observed([FIRST], metal=None), "stocks: row 0 has no metal"),
        (observed([FIRST], total_t="many"), "stocks: could not convert string to float"),
    ],
)
def test_a_frame_that_cannot_be_stored_is_refused(lake: Lake, frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lake.append("stocks", frame, ingest_ts=T1)
    assert parquet_files(lake) == {}


def test_a_moment_without_zone_is_refused(lake: Lake) -> None:
    with pytest.raises(ValueError, match="ingest_ts=2026-02-01T12:00:00 has no time zone"):
        lake.append("stocks", observed([FIRST]), ingest_ts=T1.replace(tzinfo=None))


# --- writers that meet or die

WRITER = """
    import sys
    from datetime import UTC, datetime, timedelta
    from pathlib import Path
    sys.path[:0] = sys.argv[4].split("|")
    from test_lake_store import observed
    from pipelines.lake.store import Lake
    lake, months, value = Lake(Path(sys.argv[1])), sys.argv[2].split(","), int(sys.argv[3])
    print("ready", flush=True)
    for n in range(200 if value < 0 else 1):
        rows = [(f"{month}-{day:02d}", abs(value) + n, None) for month in months for day in range(1, 29)]
        captured = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=abs(value) + n)
        lake.append("stocks", observed(rows), ingest_ts=captured)
"""


def writer(lake: Lake, months: list[str], value: int) -> subprocess.Popen[bytes]:
    here = Path(__file__).parent
    arguments = [str(lake.root), ",".join(months), str(value), f"{here}|{here.parents[1]}"]
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(WRITER), *arguments], stdout=subprocess.PIPE)


def test_writers_of_different_months_and_of_the_same_lose_nothing(lake: Lake) -> None:
    year = [f"2025-{month:02d}" for month in range(1, 13)]
    writers = [writer(lake, [*year[:6], "2025-12"], 1), writer(lake, year[6:], 2)]
    assert [process.wait(timeout=60) for process in writers] == [0, 0]
    rows = lake.read("stocks")
    only = rows[rows["obs_date"] < "2025-12-01"]
    assert len(only) == 11 * 28
    assert set(only["vintage_no"]) == {1}
    shared = rows[rows["obs_date"] >= "2025-12-01"].groupby("obs_date")["vintage_no"].agg(sorted)
    # Whoever came second either saw the first's values as older captures (nothing to add) or as a change.
    assert len(shared) == 28
    assert set(map(tuple, shared)) <= {(1,), (1, 2)}


def test_a_write_that_was_overtaken_is_compared_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look without a lock and the lock another writer stores the same rows."""
    lock, overtaken = Lake._lock, []

    def overtake(self: Lake, name: str, month: str):  # type: ignore[no-untyped-def]
        if not overtaken:
            overtaken.append(month)
            lake.append(name, observed([FIRST]), ingest_ts=T1)
        return lock(self, name, month)

    monkeypatch.setattr(Lake, "_lock", overtake)
    [written] = lake.append("stocks", observed([FIRST]), ingest_ts=T2)
    assert overtaken
    assert (written.new, written.path) == (0, None)
    assert [row[3] for row in vintages(lake)] == [1]


def test_a_month_that_stays_locked_is_named(lake: Lake) -> None:
    impatient = Lake(lake.root, lock_timeout=0.05)
    with lake._lock("stocks", "2026-01"), pytest.raises(TimeoutError, match=r"lake stocks 2026-01: another process"):
        impatient.append("stocks", observed([FIRST]), ingest_ts=T1)
    assert lake.append("stocks", observed([FIRST]), ingest_ts=T1)[0].new == 1


def test_a_crash_between_writing_and_moving_leaves_readers_whole(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.append("stocks", observed([FIRST]), ingest_ts=T1)
    before = parquet_files(lake)

    def die(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", die)
        patch.setattr(Path, "unlink", lambda self, missing_ok=False: None)  # a killed process tidies nothing
        with pytest.raises(KeyboardInterrupt):
            lake.append("stocks", observed([("2026-01-05", 1, None)]), ingest_ts=T2)
    left = list(lake.root.rglob(".tmp-*"))
    assert len(left) == 1
    assert parquet_files(lake) == before
    glob = f"{lake.root}/stocks/**/*.parquet"
    assert duckdb.execute(f"select count(*) from read_parquet('{glob}')").fetchone() == (1,)

    lake.ensure()
    assert left[0].exists(), "younger than an hour: its writer may live"
    os.utime(left[0], (time.time() - 3700,) * 2)
    lake.ensure()
    assert not left[0].exists()
    assert lake.append("stocks", observed([("2026-01-05", 1, None)]), ingest_ts=T2)[0].revised == 1


def test_writers_killed_at_any_moment_leave_whole_files_only(lake: Lake) -> None:
    chance = random.Random(7)
    months = [f"2025-{month:02d}" for month in range(1, 13)]
    for round_ in range(3):
        process = writer(lake, months, -(1 + 1000 * round_))
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        before, end = len(parquet_files(lake)), time.monotonic() + 60
        while len(parquet_files(lake)) == before and time.monotonic() < end:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
    for path in parquet_files(lake):
        assert pq.read_table(path).num_rows == 28
    rows = lake.read("stocks")
    assert len(rows) > 0
    assert not rows.duplicated(["obs_date", "vintage_no"]).any()
    later = datetime(2026, 4, 1, tzinfo=UTC)
    everything = observed([(f"{month}-{day:02d}", 5, None) for month in months for day in range(1, 29)])
    lake.append("stocks", everything, ingest_ts=later)
    assert lake.read("stocks", as_of=later)["total_t"].tolist() == [5.0] * 12 * 28


def test_ensure_renews_an_empty_file_of_an_older_schema(lake: Lake) -> None:
    path = lake.root / "stocks" / "_schema.parquet"
    pq.write_table(arrow_schema("stocks").remove(0).empty_table(), path)
    lake.ensure(["stocks"])
    assert pq.read_schema(path).equals(arrow_schema("stocks"))


def test_200k_known_rows_are_all_recognised(lake: Lake) -> None:
    n = 200_000
    days = pd.date_range("2010-01-01", periods=n // 24 + 1).repeat(24)[:n]
    frame = pd.DataFrame(
        {
            "zone": "FR", "delivery_date": days, "resolution": "PT60M", "n_positions": 24,
            "position": np.arange(n) % 24 + 1, "price_eur_mwh": np.random.default_rng(1).normal(80, 30, n),
            "obs_start": days, "obs_end": days, "knowledge_ts": days.tz_localize("UTC"), "knowledge_basis": "CALENDAR",
            "source": "entsoe", "payload_sha256": "c" * 64, "licence_class": "OPEN",
        }
    )  # fmt: skip
    assert sum(w.new for w in lake.append("power", frame, ingest_ts=T1)) == n
    written = lake.append("power", frame, ingest_ts=T2)
    assert not any(w.path for w in written)
