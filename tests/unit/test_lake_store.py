"""The lake: what becomes a vintage, what does not, and what survives crashed and concurrent writers."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lake_rows import observed

from pipelines.lake.store import Lake
from schemas.datasets import DATASETS
from schemas.generate.arrow import arrow_schema, pandas_types, stored_columns

T1 = datetime(2026, 2, 1, 12, tzinfo=UTC)
T2 = T1 + timedelta(days=1)
T3 = T1 + timedelta(days=2)


def vintages(lake: Lake, day: str = "2026-01-05", **query: object) -> list[tuple[float, str, str, int]]:
    """(total_t, knowledge_ts, basis, vintage_no) of a day, in order of knowledge."""
    rows = lake.read("stocks", **query)
    rows = rows[rows["obs_date"] == day]
    times = rows["knowledge_ts"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return list(zip(rows["total_t"], times, rows["knowledge_basis"], rows["vintage_no"], strict=True))


def parquet_files(lake: Lake) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(lake.root.rglob("[0-9]*.parquet"))}


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
    found = duckdb.execute(f"select * from read_parquet('{lake.root}/{name}/*.parquet')")
    assert [column[0] for column in found.description] == list(stored_columns(name))
    assert found.fetchall() == []


def test_a_row_is_returned_unchanged(lake: Lake) -> None:
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


def test_one_append_is_one_file_with_all_its_months(lake: Lake) -> None:
    rows = observed([("2025-12-31", 1, None), ("2026-01-02", 2, None), ("2024-01-02", 3, None)])
    written = lake.append("stocks", rows, ingest_ts=T1)
    assert [w.month for w in written] == ["2024-01", "2025-12", "2026-01"]
    assert {w.path for w in written} == parquet_files(lake).keys()
    assert len(parquet_files(lake)) == 1
    assert lake.months("stocks") == ["2024-01", "2025-12", "2026-01"]
    assert lake.read("stocks", months=("2024-02", "2025-12"))["total_t"].tolist() == [1.0]
    assert lake.read("stocks", months=("2026-01", "2026-01"))["total_t"].tolist() == [2.0]
    assert lake.read("stocks", months=(pd.Period("2025-12"), pd.Period("2026-01")))["total_t"].tolist() == [1.0, 2.0]


def test_identical_rows_write_nothing_even_later_or_with_missing_values(lake: Lake) -> None:
    rows = observed([FIRST, ("2026-01-06", 499_000, None)])
    lake.append("stocks", rows, ingest_ts=T1)
    before = parquet_files(lake)
    [again] = lake.append("stocks", rows, ingest_ts=T2)
    assert (again.rows, again.new, again.revised, again.path) == (2, 0, 0, None)
    assert parquet_files(lake) == before


@pytest.mark.parametrize("changed", [499_999.999, 500_000.0000001])
def test_a_changed_value_is_the_next_vintage_known_since_its_capture(lake: Lake, changed: float) -> None:
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
def test_a_value_that_appears_or_disappears_is_a_change(lake: Lake, then: float | None, now: float | None) -> None:
    lake.append("stocks", observed([("2026-01-05", 1, then)]), ingest_ts=T1)
    assert [w.revised for w in lake.append("stocks", observed([("2026-01-05", 1, now)]), ingest_ts=T2)] == [1]


@pytest.mark.parametrize(
    ("absent_at", "known", "basis"),
    [
        ("2026-01-06T09:00:00Z", "2026-02-01T12:00:00Z", "OBSERVED"),  # due, requested, missing
        ("2026-01-06T08:59:59Z", KNOWN, "CALENDAR"),  # requested before it was due
        (None, KNOWN, "CALENDAR"),  # never requested before
    ],
)
def test_a_value_that_was_missing_when_due_is_known_since_its_capture(
    lake: Lake, absent_at: str | None, known: str, basis: str
) -> None:
    late = observed([FIRST], absent_at=pd.to_datetime([absent_at], utc=True))
    lake.append("stocks", late, ingest_ts=T1)
    assert vintages(lake) == [(500_000, known, basis, 1)]
    # Once stored, it is no change in a later response, whatever the previous response had.
    lake.append("stocks", observed([FIRST], absent_at=pd.Timestamp(T1)), ingest_ts=T2)
    assert vintages(lake) == [(500_000, known, basis, 1)]


def test_a_change_with_a_date_of_the_publisher_keeps_it(lake: Lake) -> None:
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


def test_a_change_back_is_a_new_vintage(lake: Lake) -> None:
    for captured, value in [(T1, 1), (T2, 2), (T3, 1)]:
        lake.append("stocks", observed([("2026-01-05", value, None)]), ingest_ts=captured)
    assert [(row[0], row[3]) for row in vintages(lake)] == [(1.0, 1), (2.0, 2), (1.0, 3)]
    assert lake.read("stocks", as_of=T3)["total_t"].tolist() == [1.0]


def test_a_change_is_never_known_before_the_value_it_changes(lake: Lake) -> None:
    """A value whose calendar time lies after its capture is changed before that time."""
    lake.append("stocks", observed([("2026-02-05", 1, None)]), ingest_ts=T1)
    lake.append("stocks", observed([("2026-02-05", 2, None)]), ingest_ts=T2)
    assert [row[:2] for row in vintages(lake, "2026-02-05")] == [
        (1.0, "2026-02-06T09:00:00Z"),
        (2.0, "2026-02-06T09:00:00Z"),
    ]
    assert lake.read("stocks", as_of=T1 + timedelta(days=30))["total_t"].tolist() == [2.0]


def test_contradicting_responses_of_one_instant_converge(lake: Lake) -> None:
    for _ in range(2):
        for value in (1, 2):
            lake.append("stocks", observed([("2026-01-05", value, None)]), ingest_ts=T1)
    assert [(row[0], row[3]) for row in vintages(lake)] == [(1.0, 1), (2.0, 2)]


def test_vintages_of_one_frame_are_numbered_by_knowledge_time(lake: Lake) -> None:
    rows = [
        ("2026-01-05", 3, None, "2026-01-09T09:00:00Z"),
        ("2026-01-05", 1, None, "2026-01-06T09:00:00Z"),
        ("2026-01-05", 1, None, "2026-01-07T09:00:00Z"),  # adds nothing
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
    assert len(contents[0]) == 1


def test_as_of_gives_the_last_vintage_known_by_then_to_the_second(lake: Lake) -> None:
    lake.append("stocks", observed([FIRST]), ingest_ts=T1)
    lake.append("stocks", observed([("2026-01-05", 1, None)]), ingest_ts=T2)
    known = datetime(2026, 1, 6, 9, tzinfo=UTC)
    assert vintages(lake, as_of=known - timedelta(seconds=1)) == []
    assert [row[0] for row in vintages(lake, as_of=known)] == [500_000.0]
    assert [row[0] for row in vintages(lake, as_of=T2 - timedelta(seconds=1))] == [500_000.0]
    assert [row[0] for row in vintages(lake, as_of=T2)] == [1.0]


# --- several captures in one append


def test_rows_of_several_captures_are_one_file_with_the_vintages_of_several_appends(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    parts = []
    for captured in (T1, T2, T3):
        days = [("2025-12-30", "2026-01-05", "2026-02-03")[number] for number in rng.permutation(3)[:2]]
        parts.append((captured, observed([(day, int(rng.integers(1, 3)), None) for day in days])))
    one, other = Lake(tmp_path / "one"), Lake(tmp_path / "other")
    for captured, frame in parts:
        one.append("stocks", frame, ingest_ts=captured)
    given = pd.concat([frame.assign(captured_ts=pd.Timestamp(captured)) for captured, frame in parts])
    written = other.append("stocks", given.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(other.read("stocks"), one.read("stocks"))
    assert other.read("stocks")["vintage_no"].max() > 1
    assert len(parquet_files(other)) == 1
    assert sum(w.rows for w in written) == 6
    assert not any(w.path for w in other.append("stocks", given))
    assert other.append("stocks", given.iloc[:0]) == []


# --- drops


def dropped(rows: list[tuple], **more: object) -> pd.DataFrame:
    explicit = [len(row) > 3 for row in rows]
    return observed(rows, **{"source": "drop", "explicit_knowledge": explicit, "payload_sha256": "b" * 64, **more})


def test_a_dropped_series_is_stored_beside_the_sources(lake: Lake) -> None:
    lake.append("stocks", observed([FIRST, ("2026-02-05", 7, None)]), ingest_ts=T1)
    [written] = lake.append("stocks", dropped([FIRST]), ingest_ts=T2)
    assert (written.new, written.revised) == (1, 0)
    lake.append("stocks", dropped([("2026-01-05", 9, None)]), ingest_ts=T3)
    rows = lake.read("stocks", months=("2026-01", "2026-01"))
    assert sorted(zip(rows["source"], rows["vintage_no"], strict=True)) == [("drop", 1), ("drop", 2), ("westmetall", 1)]


def test_as_of_a_drop_overrides_the_sources_for_its_months(lake: Lake) -> None:
    lake.append("stocks", observed([FIRST, ("2026-01-07", 6, None), ("2025-12-30", 7, None)]), ingest_ts=T1)
    lake.append("stocks", dropped([("2026-01-05", 9, None)]), ingest_ts=T1)
    rows = lake.read("stocks", as_of=T1)
    assert list(zip(rows["obs_date"].dt.strftime("%m-%d"), rows["total_t"], strict=True)) == [
        ("12-30", 7.0),
        ("01-05", 9.0),
    ]


def test_a_dropped_vintage_with_its_own_time_is_ordered_by_that_time(lake: Lake) -> None:
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


def test_a_drop_without_a_time_cannot_change_earlier_knowledge(lake: Lake) -> None:
    lake.append("stocks", dropped([FIRST]), ingest_ts=T1)
    lake.append("stocks", dropped([("2026-01-05", 1, None)]), ingest_ts=T2)
    assert vintages(lake)[1] == (1.0, "2026-02-02T12:00:00Z", "OBSERVED", 2)


@pytest.mark.parametrize("moment", [(), ("2026-01-06T09:00:00Z",)])
def test_a_drop_that_is_changed_back_is_a_new_vintage(lake: Lake, moment: tuple[str, ...]) -> None:
    for captured, value in [(T1, 1), (T2, 2), (T3, 1)]:
        lake.append("stocks", dropped([("2026-01-05", value, None, *moment)]), ingest_ts=captured)
    assert lake.read("stocks", as_of=T3)["total_t"].tolist() == [1.0]


def test_a_dropped_value_known_earlier_than_another_is_a_vintage_of_its_own(lake: Lake) -> None:
    first, second = ("2026-01-05", 1, None, "2026-01-10T09:00:00Z"), ("2026-01-05", 2, None, "2026-01-20T09:00:00Z")
    lake.append("stocks", dropped([first, second]), ingest_ts=T1)
    lake.append("stocks", dropped([("2026-01-05", 2, None, "2026-01-06T09:00:00Z")]), ingest_ts=T2)
    assert [(row[0], row[1][:10]) for row in vintages(lake)] == [
        (2.0, "2026-01-06"),
        (1.0, "2026-01-10"),
        (2.0, "2026-01-20"),
    ]


def test_the_newest_drop_is_current_whatever_its_own_time(lake: Lake) -> None:
    lake.append("stocks", dropped([("2026-01-05", 1, None)]), ingest_ts=T2)
    lake.append("stocks", dropped([("2026-01-05", 2, None)]), ingest_ts=T1)
    assert lake.read("stocks", as_of=T3)["total_t"].tolist() == [2.0]


def test_an_explicit_time_is_ignored_outside_a_drop(lake: Lake) -> None:
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
    """The number of vintages that the rows of one capture add; a repetition in any order adds none."""
    frame = printed(list(rows), **more)
    added = sum(w.new + w.revised for w in lake.append("exports", frame, ingest_ts=captured))
    for again in (frame, frame[::-1]):
        assert [w.path for w in lake.append("exports", again, ingest_ts=captured)] == [None]
    return added


K1, K2, K3 = "2026-02-10T03:00:00Z", "2026-02-14T03:00:00Z", "2026-02-18T03:00:00Z"
C1, C2, C3, C4 = (datetime(2026, 3, day, tzinfo=UTC) for day in (1, 2, 3, 4))


@pytest.mark.slow
def test_a_release_number_is_stored_and_its_repetition_adds_nothing(lake: Lake) -> None:
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


@pytest.mark.slow
@pytest.mark.parametrize("own", [K1, "2026-02-09T03:00:00Z", None], ids=["same", "earlier", "none"])
def test_another_figure_under_a_known_number_is_known_since_it_was_captured(lake: Lake, own: str | None) -> None:
    append(lake, C1, (1, K1, 500))
    before = lake.read("exports", as_of=C2 - timedelta(seconds=1))
    assert append(lake, C2, (1, own, 510)) == 1
    assert prints(lake) == [(500.0, 1, "02-10", "OBSERVED", False), (510.0, 1, "03-02", "OBSERVED", True)]
    pd.testing.assert_frame_equal(lake.read("exports", as_of=C2 - timedelta(seconds=1)), before)
    assert lake.read("exports", as_of=C2)["exports_kt"].tolist() == [510.0]
    assert append(lake, C3, (1, own, 510)) == 0


def test_a_later_capture_keeps_its_own_later_knowledge_time(lake: Lake) -> None:
    append(lake, C1, (1, K1, 500))
    assert append(lake, C2, (1, K1, 500), (1, K2, 510)) == 1
    assert prints(lake)[1] == (510.0, 1, "02-14", "OBSERVED", True)


@pytest.mark.slow
def test_a_figure_changed_back_under_its_number_is_a_suspect_vintage(lake: Lake) -> None:
    for captured, value in ((C1, 500), (C2, 510), (C3, 500)):
        assert append(lake, captured, (1, K1, value)) == 1
    assert [(row[0], row[2], row[4]) for row in prints(lake)] == [
        (500.0, "02-10", False),
        (510.0, "03-02", True),
        (500.0, "03-03", True),
    ]


@pytest.mark.slow
def test_a_corrected_first_release_does_not_replace_the_second(lake: Lake) -> None:
    append(lake, C1, (1, K1, 500), (2, K2, 520))
    assert append(lake, C2, (1, K1, 510), (2, K2, 520)) == 2
    assert [(row[0], row[1], row[2], row[4]) for row in prints(lake)] == [
        (500.0, 1, "02-10", False),
        (520.0, 2, "02-14", False),
        (510.0, 1, "03-02", True),
        (520.0, 2, "03-02", False),  # repeated
    ]
    assert lake.read("exports", as_of=C2)["exports_kt"].tolist() == [520.0]
    assert append(lake, C3, (1, K1, 510), (2, K2, 520), (3, "2026-03-02T12:00:00Z", 530)) == 1
    assert prints(lake)[-1] == (530.0, 3, "03-02", "OBSERVED", False)


def test_a_release_with_its_own_number_is_not_suspect(lake: Lake) -> None:
    append(lake, C1, (1, K1, 500))
    append(lake, C2, (2, K1, 510))
    append(lake, C3, (None, K1, 520))
    assert [(row[0], row[2], row[4]) for row in prints(lake)] == [
        (500.0, "02-10", False),
        (510.0, "02-10", False),
        (520.0, "02-10", False),
    ]


def test_the_release_numbers_of_a_source_are_enforced(lake: Lake) -> None:
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
    [path] = lake.root.rglob("[0-9]*.parquet")
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
def test_an_invalid_frame_is_rejected(lake: Lake, frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lake.append("stocks", frame, ingest_ts=T1)
    assert parquet_files(lake) == {}


def test_an_instant_without_zone_is_rejected(lake: Lake) -> None:
    with pytest.raises(ValueError, match="ingest_ts=2026-02-01T12:00:00 has no time zone"):
        lake.append("stocks", observed([FIRST]), ingest_ts=T1.replace(tzinfo=None))


# --- concurrent and crashed writers


def test_a_write_is_compared_with_the_file_of_a_writer_that_had_the_lock_before(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer stores the same rows just before this one has the lock."""
    lock, overtaken = Lake.lock, []

    def overtake(self: Lake, name: str):  # type: ignore[no-untyped-def]
        if not overtaken:
            overtaken.append(name)
            lake.append(name, observed([FIRST]), ingest_ts=T1)
        return lock(self, name)

    monkeypatch.setattr(Lake, "lock", overtake)
    [written] = lake.append("stocks", observed([FIRST]), ingest_ts=T2)
    assert overtaken
    assert (written.new, written.path) == (0, None)
    assert [row[3] for row in vintages(lake)] == [1]


def test_a_dataset_that_stays_locked_is_an_error_that_names_it(lake: Lake) -> None:
    impatient = Lake(lake.root, lock_timeout=0.05)
    with lake.lock("stocks"), pytest.raises(TimeoutError, match=r"lake stocks: another process"):
        impatient.append("stocks", observed([FIRST]), ingest_ts=T1)
    assert lake.append("stocks", observed([FIRST]), ingest_ts=T1)[0].new == 1


def test_a_crash_between_writing_and_moving_leaves_readers_whole(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.append("stocks", observed([FIRST]), ingest_ts=T1)
    before = parquet_files(lake)

    def die(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", die)
        patch.setattr(Path, "unlink", lambda self, missing_ok=False: None)  # a killed process deletes nothing
        with pytest.raises(KeyboardInterrupt):
            lake.append("stocks", observed([("2026-01-05", 1, None)]), ingest_ts=T2)
    left = list(lake.root.rglob(".tmp-*"))
    assert len(left) == 1
    assert parquet_files(lake) == before
    glob = f"{lake.root}/stocks/*.parquet"
    assert duckdb.execute(f"select count(*) from read_parquet('{glob}')").fetchone() == (1,)

    lake.ensure()
    assert left[0].exists(), "younger than an hour: its writer may still run"
    os.utime(left[0], (time.time() - 3700,) * 2)
    lake.ensure()
    assert not left[0].exists()
    assert lake.append("stocks", observed([("2026-01-05", 1, None)]), ingest_ts=T2)[0].revised == 1


def test_ensure_renews_an_empty_file_of_an_older_schema(lake: Lake) -> None:
    path = lake.root / "stocks" / "_schema.parquet"
    pq.write_table(arrow_schema("stocks").remove(0).empty_table(), path)
    lake.ensure(["stocks"])
    assert pq.read_schema(path).equals(arrow_schema("stocks"))


@pytest.mark.slow
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
