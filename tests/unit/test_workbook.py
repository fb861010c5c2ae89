"""The Excel workbook of a release: sheets, units, real dates, no formulas; and that LibreOffice opens it."""

from __future__ import annotations

import csv
import shutil
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest
from sandbox import Sandbox

from pipelines.publish import workbook

MANIFEST: dict[str, Any] = {
    "release_id": "20260113T180000Z-aa",
    "computed_ts": "2026-01-13T18:00:00Z",
    "knowledge_ts_max": "2026-01-13T18:00:00Z",
    "profile": "demo",
    "note": "=1+1",
    "git_commit": None,
    "synthetic": True,
    "tables": {table: {"rows": 2} for table in workbook.TABLES},
}
ODD = "=cmd|'/c calc'!A1", "+1", "-1+2", "@SUM(A1)", "plain", "with \x01 control", "x" * 40_000


@pytest.fixture
def book(tmp_path: Path) -> Any:
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'Asia/Tokyo'")
        con.execute("attach ':memory:' as release; create schema release.signals")
        con.execute(
            "create table release.signals.signals_latest as select signal_id, 0.1 as value, date '2026-01-13' as day, "
            "timestamptz '2026-01-13 18:00:00Z' as at, true as yes from (select unnest(?) as signal_id)",
            [list(ODD)],
        )
        con.execute("comment on column release.signals.signals_latest.value is 'Value of the signal [USD/t]'")
        con.execute("comment on column release.signals.signals_latest.at is 'When [UTC]'")
        con.execute(
            "create table release.signals.signals_wide_daily as select 'AL' as metal, unnest(['nan', 'inf', null, '2'])"
            "::double as x"
        )
        con.execute(
            "create table release.signals.claim_audit as from (values ('C1', timestamptz '2026-01-12 18:00Z', 'OLD'), "
            "('C1', timestamptz '2026-01-13 18:00Z', 'NEW')) as t(claim_id, as_of_ts, status)"
        )
        con.execute("create table release.signals.signal_dictionary as select 'AL.A' as signal_id, ['a', 'b'] as tags")
        assert workbook.write(con, MANIFEST, tmp_path / "book.xlsx") == len(ODD) + 4 + 1 + 1
    return openpyxl.load_workbook(tmp_path / "book.xlsx")


def test_sheets_have_a_frozen_header_and_units_in_the_second_row(book: Any) -> None:
    titles = ["Latest signals", "Daily", "Claims", "Dictionary", "Manifest"]
    assert book.sheetnames == [f"{title} SYNTHETIC" for title in titles]
    assert {sheet.freeze_panes for sheet in book} == {"B3"}
    head, units, *_ = book.worksheets[0].iter_rows(values_only=True)
    assert head == ("signal_id", "value", "day", "at", "yes")
    assert units == (None, "USD/t", None, "UTC", None)


def test_days_and_instants_are_dates_and_instants_are_utc(book: Any) -> None:
    day, at, yes = book.worksheets[0]["C3:E3"][0]
    assert (f"{day.value:%F}", day.number_format, day.is_date) == ("2026-01-13", "yyyy-mm-dd", True)
    assert (f"{at.value:%F %T}", at.number_format, at.is_date) == ("2026-01-13 18:00:00", "yyyy-mm-dd hh:mm:ss", True)
    assert yes.value is True


def test_text_that_begins_like_a_formula_stays_text(book: Any) -> None:
    found = {cell.value: cell for (cell,) in book.worksheets[0].iter_rows(3, max_col=1)}
    assert found.keys() == {*ODD[:5], "with  control", "x" * 32_767}
    assert {cell.data_type for sheet in book for row in sheet.iter_rows() for cell in row} <= {"s", "n", "d", "b"}
    assert [found[text].quotePrefix for text in ODD[:5]] == [True, True, True, True, False]


def test_values_that_excel_lacks_are_empty_and_only_the_newest_audit_is_there(book: Any) -> None:
    assert sorted(value or 0 for _, value in book.worksheets[1].iter_rows(3, values_only=True)) == [0, 0, 0, 2]
    [claim] = book.worksheets[2].iter_rows(3, values_only=True)
    assert (claim[0], claim[2]) == ("C1", "NEW")
    assert list(book.worksheets[3].iter_rows(3, values_only=True)) == [("AL.A", "a, b")]
    assert dict(book.worksheets[4].iter_rows(3, max_col=2, values_only=True))["release_id"] == MANIFEST["release_id"]


@pytest.mark.slow
def test_the_workbook_of_a_release_opens_in_libreoffice(demo_of_months: Sandbox, tmp_path: Path) -> None:
    code, _, _ = demo_of_months.call("export", "--format", "xlsx", "--to", str(tmp_path / "out"))
    assert code == 0
    file = tmp_path / "out" / "tightness.SYNTHETIC.xlsx"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {file.name, "README.txt", "manifest.json"}
    office = shutil.which("soffice")
    if office is None:
        pytest.skip("LibreOffice is not installed")
    # Each sheet as a CSV file of its own: the last token of the filter's options is -1.
    done = subprocess.run(
        [office, f"-env:UserInstallation=file://{tmp_path}/profile", "--headless", "--convert-to",
         "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,-1", "--outdir", tmp_path, file],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    sheets = {path.stem.split("-", 1)[1]: path for path in tmp_path.glob("*.csv")}
    assert len(sheets) == len(workbook.SHEETS) + 1
    with sheets["Latest signals SYNTHETIC"].open(newline="", encoding="utf-8") as file_of_rows:
        header, units, *rows = csv.reader(file_of_rows)
    with duckdb.connect(str(demo_of_months.database), read_only=True) as con:
        expected = con.execute("select signal_id, as_of_date from signals.signals_latest order by signal_id").fetchall()
    at = header.index("as_of_date")
    assert [(row[header.index("signal_id")], date.fromisoformat(row[at])) for row in rows] == expected
    assert "UTC" in units


@pytest.mark.slow
def test_a_workbook_has_fixed_sheets(tmp_path: Path, demo_of_months: Sandbox) -> None:
    code, _, [line] = demo_of_months.call("export", "--format", "xlsx", "--table", "signals_latest")
    assert (code, line) == (2, "a workbook has fixed sheets: leave --table out, or export csv or parquet")
