"""The drop folder: accepted files, rejected files, and messages with the place and the remedy."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipelines.lake.validate import validate
from pipelines.transports.drop import DropFile, DropProblem, read_file, scan
from pipelines.transports.drop_parser import DropError, parse_drop
from schemas.datasets import DATASETS

HEADER = "metal,obs_date,knowledge_ts,total_t,cancelled_t\n"
GOOD = "AL,2026-01-05,,500000,\n"
FILE = "stocks/mine.csv"


def read(body: str | bytes, dataset: str = "stocks", name: str = FILE) -> pd.DataFrame:
    parsed = parse_drop(dataset, name, body.encode() if isinstance(body, str) else body)
    assert parsed.rejected == []
    return parsed.frames[dataset]


def refusal(body: str | bytes, dataset: str = "stocks", name: str = FILE) -> DropError:
    with pytest.raises(DropError) as error:
        read(body, dataset, name)
    assert str(error.value).endswith("; the whole file is rejected")
    return error.value


# --- reading


def test_cells_become_values_and_empty_cells_are_missing() -> None:
    frame = read(HEADER + GOOD + "AL,2026-01-06,2026-01-07T09:00:00Z, 4.5e5 ,-1.25\n,2026-01-07,,,\n")
    assert list(frame) == ["metal", "obs_date", "total_t", "cancelled_t", "knowledge_ts"]
    assert frame.index.tolist() == [2, 3, 4]
    assert frame["obs_date"].tolist()[:2] == [pd.Timestamp("2026-01-05"), pd.Timestamp("2026-01-06")]
    assert frame["total_t"].tolist()[:2] == [500_000.0, 450_000.0]
    assert frame["cancelled_t"].tolist()[1] == -1.25
    assert frame["knowledge_ts"].tolist()[:2] == [pd.NaT, pd.Timestamp("2026-01-07 09:00", tz="UTC")]
    assert frame.loc[4].drop("obs_date").isna().all()
    assert str(frame["knowledge_ts"].dtype) == "datetime64[us, UTC]"
    assert str(frame["obs_date"].dtype) == "datetime64[us]"


@pytest.mark.parametrize(
    "body",
    [
        "\ufeff" + HEADER + GOOD,
        (HEADER + GOOD).replace("\n", "\r\n"),
        (HEADER + GOOD).replace("\n", "\r"),
        HEADER + GOOD.rstrip(),
        HEADER + GOOD + "\n\n",
        (HEADER + GOOD).replace("metal,obs_date", '"metal", obs_date').replace("AL,", '"AL", '),
        "cancelled_t,total_t,obs_date,metal\n,500000,2026-01-05,AL\n",
        "total_t,obs_date,metal,vintage\n500000,2026-01-05,AL,1\n",
    ],
)
def test_spellings_of_one_file_give_the_same_rows(body: str) -> None:
    [row] = read(body).to_dict("records")
    assert (row["metal"], row["obs_date"], row["total_t"]) == ("AL", pd.Timestamp("2026-01-05"), 500_000.0)
    assert "vintage" not in row


@pytest.mark.parametrize("dataset", ["exports", "production"])
def test_the_release_number_is_kept_where_the_dataset_has_one(dataset: str) -> None:
    header = f"metal,country,period_end,period_months,vintage,{dataset}_kt\n"
    body = header + "AL,CN,2026-02-28,2,2,900\nAL,CN,2026-03-31,1,,450\nAL,CN,2026-04-30,1,0,440\n"
    frame = read(body, dataset)
    assert frame["vintage"].tolist()[::2] == [2, 0]
    assert pd.isna(frame["vintage"].tolist()[1])
    checked = validate(dataset, frame)
    assert str(checked.good["vintage"].dtype) == "Int64"
    assert checked.rejected["reason"].tolist() == ["vintage=0 breaks >= 1"]
    assert refusal(header + "AL,CN,2026-02-28,2,first,900\n", dataset).column == "vintage"


def test_rows_that_differ_only_in_the_release_number_are_duplicates() -> None:
    header = "metal,country,period_end,period_months,knowledge_ts,vintage,exports_kt\n"
    cells = ("AL,CN,2026-03-31,1,2026-04-14T03:00:00Z,", ",450\n")
    for order in ((2, 1, 1, 3), (1, 3, 1, 2)):
        checked = validate("exports", read(header + "".join(f"{n}".join(cells) for n in order), "exports"))
        assert checked.rejected.empty
        assert checked.good["vintage"].tolist() == [1]
    other = f"{cells[0]}1,451\n"
    assert len(validate("exports", read(header + "1".join(cells) + other, "exports")).rejected) == 2


def test_line_numbers_count_blank_lines() -> None:
    assert read(HEADER + "\n" + GOOD + "\n\n" + GOOD).index.tolist() == [3, 6]
    assert refusal(HEADER + "\n" + GOOD + "\nAL,2026-01-06,,many,\n").line == 5


@pytest.mark.parametrize("moment", ["2026-01-07T09:00:00Z", "2026-01-07T09:00:00+00:00", "2026-01-07 09:00Z"])
def test_instants_are_read_in_utc(moment: str) -> None:
    assert read(HEADER + f"AL,2026-01-05,{moment},1,\n")["knowledge_ts"].item() == pd.Timestamp("2026-01-07T09:00Z")


def test_a_header_alone_is_a_file_without_rows() -> None:
    assert len(validate("stocks", read(HEADER)).good) == 0
    assert len(read(HEADER.rstrip())) == 0


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "benchmark_prices"])
def test_every_dataset_takes_its_own_header(name: str) -> None:
    columns = list(DATASETS[name].model.to_schema().columns)
    assert list(read(",".join(columns) + "\n", name)) == [*columns, "knowledge_ts"]


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ("obs_date,sofr_pct\n2026-01-05,3.6\n", [["SOFR", 3.6]]),
        ("obs_date,rate_pct\n2026-01-05,3.6\n", [["SOFR", 3.6]]),
        ("rate_id,obs_date,rate_pct\nEFFR,2026-01-05,3.6\nSOFR,2026-01-05,3.7\n", [["EFFR", 3.6], ["SOFR", 3.7]]),
        (" sofr_pct ,rate_id,obs_date\n3.6,EFFR,2026-01-05\n", [["EFFR", 3.6]]),
    ],
)
def test_a_file_of_rates_without_rate_id_is_sofr_and_a_former_name_is_read(body: str, rows: list[object]) -> None:
    checked = validate("rates", read(body, "rates"))
    assert checked.good[["rate_id", "rate_pct"]].values.tolist() == rows
    sink = io.BytesIO()
    pd.read_csv(io.StringIO(body)).to_parquet(sink, index=False)
    checked = validate("rates", read(sink.getvalue(), "rates", "rates/mine.parquet"))
    assert checked.good[["rate_id", "rate_pct"]].values.tolist() == rows


def test_rates_of_an_unknown_series_or_without_one_in_a_row_are_quarantined() -> None:
    checked = validate("rates", read("rate_id,obs_date,rate_pct\nESTR,2026-01-05,1.9\n,2026-01-06,3.6\n", "rates"))
    assert len(checked.good) == 0
    assert checked.rejected["reason"].tolist() == [
        "rate_id=ESTR breaks one of EFFR, SOFR",
        "rate_id=null breaks not null",
    ]


def test_rates_of_a_weekend_and_sofr_before_its_first_day_are_quarantined() -> None:
    # 2018-04-02 was a Monday, the first day with SOFR. A file of EFFR without rate_id is read as SOFR.
    body = "obs_date,rate_pct\n2018-03-29,1.68\n2018-04-02,1.68\n2018-04-07,1.69\n2018-04-08,1.69\n"
    checked = validate("rates", read(body, "rates"))
    assert checked.good["obs_date"].dt.day.tolist() == [2]
    early, saturday, sunday = checked.rejected["reason"]
    assert "SOFR begins on 2018-04-02: write in rate_id which rate it is" in early
    assert "no rate is fixed on a Saturday or Sunday: leave the row out" in saturday == sunday.replace("04-08", "04-07")
    effr = body.replace("obs_date", "rate_id,obs_date").replace("\n2018", "\nEFFR,2018")
    assert validate("rates", read(effr, "rates")).good["obs_date"].dt.day.tolist() == [29, 2]


# --- rejected files


def test_a_name_and_its_former_name_in_one_header_are_rejected() -> None:
    error = refusal("obs_date,sofr_pct,rate_pct\n2026-01-05,3.6,3.6\n", "rates", "rates/mine.csv")
    assert (error.line, error.value) == (1, "sofr_pct")
    assert "'sofr_pct' is a former name of rate_pct, which the header has too; remove one of the two" in str(error)


def test_an_unknown_column_is_reported_with_the_accepted_ones() -> None:
    error = refusal(HEADER.replace("total_t", "Total_t") + GOOD)
    assert (error.file, error.line, error.value) == (FILE, 1, "Total_t")
    assert (
        "stocks/mine.csv, line 1: 'Total_t' is no column of stocks (write total_t); expected metal, obs_date, total_t"
    ) in str(error)
    assert "[cancelled_t], [knowledge_ts], [vintage]" in str(error)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("metal,obs_date,cancelled_t\n", "the header has no total_t; expected metal"),
        ("metal,obs_date,total_t,total_t\n", "'total_t' occurs twice in the header"),
        (HEADER.replace(",", ";"), "separate cells by commas and write decimals with a point"),
        (HEADER.replace(",", "\t"), "separate cells by commas and write decimals with a point"),
        ("sep=;\n" + HEADER.replace(",", ";"), "separate cells by commas and write decimals with a point"),
        (HEADER.replace("obs_date", "Obs Date"), "'Obs Date' is no column of stocks (write obs_date)"),
        (HEADER.replace("metal", "metal,note"), "'note' is no column of stocks; expected"),
    ],
)
def test_invalid_headers_are_rejected(header: str, message: str) -> None:
    assert message in str(refusal(header))


@pytest.mark.parametrize(
    ("cells", "column", "value", "rule"),
    [
        ("AL,05.01.2026,,1,", "obs_date", "05.01.2026", "must be a day as YYYY-MM-DD"),
        ("AL,2026-1-5,,1,", "obs_date", "2026-1-5", "must be a day as YYYY-MM-DD"),
        ("AL,2026-02-30,,1,", "obs_date", "2026-02-30", "must be a day as YYYY-MM-DD"),
        ("AL,2026-01-05 00:00,,1,", "obs_date", "2026-01-05 00:00", "must be a day as YYYY-MM-DD"),
        ("AL,2026-01-05,,many,", "total_t", "many", "must be a number with . for decimals and no thousands separators"),
        (
            'AL,2026-01-05,,"1,234",',
            "total_t",
            "1,234",
            "must be a number with . for decimals and no thousands separators",
        ),
        ("AL,2026-01-05,,nan,", "total_t", "nan", "must be a number with . for decimals and no thousands separators"),
        (
            "AL,2026-01-05,,1e999,",
            "total_t",
            "1e999",
            "must be a number with . for decimals and no thousands separators",
        ),
        (
            "AL,2026-01-05,,1,N/A",
            "cancelled_t",
            "N/A",
            "must be a number with . for decimals and no thousands separators",
        ),
        ("AL,2026-01-05,2026-01-06T09:00:00,1,", "knowledge_ts", "2026-01-06T09:00:00", "must be a time in UTC"),
        ("AL,2026-01-05,2026-01-06T09:00:00+01:00,1,", "knowledge_ts", "2026-01-06T09:00:00+01:00", "must be a time"),
        ("AL,2026-01-05,2026-01-06T25:00:00Z,1,", "knowledge_ts", "2026-01-06T25:00:00Z", "must be a time in UTC"),
    ],
)
def test_the_first_unreadable_cell_is_reported(cells: str, column: str, value: str, rule: str) -> None:
    error = refusal(HEADER + GOOD + cells + "\n" + cells + "\n")
    assert (error.line, error.column, error.value) == (3, column, value)
    assert error.rule.startswith(rule)
    assert str(error).startswith(f"{FILE}, line 3, column {column}: {value!r} {rule}")


@pytest.mark.parametrize("value", ["2.5", "two", "1e1", "99999999999999999999"])
def test_whole_numbers(value: str) -> None:
    header = "metal,country,period_end,period_months,exports_kt\n"
    assert read(header + "AL,CN,2026-02-28,2.0,900\n", "exports")["period_months"].tolist() == [2]
    error = refusal(header + f"AL,CN,2026-02-28,{value},900\n", "exports")
    assert (error.line, error.column, error.rule) == (2, "period_months", "must be a whole number")


@pytest.mark.parametrize(
    ("body", "line", "message"),
    [
        (HEADER + GOOD + "AL,2026-01-06,,1\n", 3, "the line has 4 cells, the header 5"),
        (HEADER + GOOD + "\nAL,2026-01-06,,1,2,3\n" + GOOD, 4, "the line has 6 cells, the header 5"),
        (HEADER + GOOD + 'AL,2026-01-06,,"1,2\n' + GOOD, 3, "a quotation mark is not closed on its line"),
        (HEADER + 'AL,2026-01-06,,"1\n",2\n' + GOOD, 2, "a quotation mark is not closed on its line"),
        (HEADER + 'AL,2026-01-06,,"1', 2, "a quotation mark is not closed on its line"),
        (HEADER + 'A"L,2026-01-06,,"1,\n' + GOOD, None, "a quotation mark inside a cell is not doubled"),
    ],
)
def test_malformed_lines_are_rejected(body: str, line: int | None, message: str) -> None:
    error = refusal(body)
    assert (error.line, message in str(error)) == (line, True)


def test_latin_1_is_rejected_with_its_place_and_the_remedy() -> None:
    error = refusal((HEADER + GOOD + "AL,2026-01-06,,1,£\n").encode("latin-1"))
    assert (error.line, error.value) == (3, "0xA3")
    offset = len(HEADER + GOOD + "AL,2026-01-06,,1,")
    assert f"at byte {offset} is not UTF-8: save the file again as UTF-8" in str(error)


@pytest.mark.parametrize("body", ["", "\n\n", "\ufeff", "\r\n"])
def test_an_empty_file_is_rejected(body: str) -> None:
    assert "the file is empty; expected a header line and rows" in str(refusal(body))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_unicode_text_of_excel_is_rejected_with_the_remedy(encoding: str) -> None:
    text = str(refusal((HEADER + GOOD).encode(encoding)))
    assert "is not UTF-8 but UTF-16" in text
    assert "save the file again as UTF-8 (in Excel as 'CSV UTF-8')" in text


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_zero_byte_is_rejected_with_its_line(end: str) -> None:
    error = refusal((HEADER + GOOD + "AL,2026-01-06,,1\0,\n").replace("\n", end))
    assert (error.line, error.value) == (3, "0x00")


# --- what other programs add: empty rows, empty columns, an index

THREE = {23: 512_000.0, 24: 511_250.0, 25: 509_875.0}
LINES = ["metal,obs_date,total_t", *(f"AL,2026-11-{day},{tonnes:.0f}" for day, tonnes in THREE.items())]


def lines(*given: str) -> str:
    """A file as Excel writes it."""
    return "\ufeff" + "".join(f"{line}\r\n" for line in given)


def indexed(name: str, first: str = "0") -> list[str]:
    numbers = [name, *(str(int(first) + number) for number in range(len(THREE)))]
    return [f"{number},{line}" for number, line in zip(numbers, LINES, strict=True)]


@pytest.mark.parametrize(
    ("given", "left_out"),
    [
        (LINES, ""),
        ([f"{line},," for line in LINES], "2 empty columns"),
        ([*LINES, ",,", ",,"], "2 empty rows"),
        ([*(f"{line},," for line in LINES), ",,,,"], "1 empty row, 2 empty columns"),
        ([f",{line}" for line in LINES], "1 empty column"),
        ([",,", LINES[0], "", *LINES[1:2], ",,,,,,", " , ", *LINES[2:], '"","",""'], "4 empty rows"),
        ([f"{LINES[0]},,", *LINES[1:]], "2 empty columns"),
        ([f"{LINES[0]},,", f"{LINES[1]},,", *LINES[2:]], "2 empty columns"),
        ([f"{LINES[0]},,", f"{LINES[1]},", *LINES[2:]], "2 empty columns"),
        ([LINES[0], *(f"{line},," for line in LINES[1:])], "2 empty columns"),
        ([LINES[0], f"{LINES[1]},", *LINES[2:], ",,,,,"], "1 empty row, 1 empty column"),
        ([f"{LINES[0]},note", *(f"{line}, " for line in LINES[1:])], "1 empty column"),
        (indexed(""), "1 index column"),
        (indexed('""', "1"), "1 index column"),
        (indexed("Unnamed: 0"), "1 index column"),
        ([f",Unnamed: 0,{LINES[0]}", *(f"{n},{n},{line}" for n, line in enumerate(LINES[1:]))], "2 index columns"),
        ([*indexed(""), "3,,,"], "1 empty row, 1 index column"),
        (["sep=,", *LINES], ""),
        (['"sep=,"', *LINES], ""),
    ],
)
def test_empty_cells_and_an_index_are_left_out_and_counted(given: list[str], left_out: str) -> None:
    parsed = parse_drop("stocks", FILE, lines(*given).encode())
    frame = parsed.frames["stocks"]
    assert dict(zip(frame["obs_date"].dt.day, frame["total_t"], strict=True)) == THREE
    assert parsed.left_out == left_out
    assert list(frame) == ["metal", "obs_date", "total_t", "knowledge_ts"]
    written = [number for number, line in enumerate(given, start=1) if "2026-11" in line]
    assert frame.index.tolist() == written, "lines are counted as in the file"


@pytest.mark.parametrize(
    ("given", "line", "message"),
    [
        ([f"{LINES[0]},", f"{LINES[1]},", f"{LINES[2]},7"], 3, "'7' is in a column without a name"),
        ([f"{LINES[0]},", f"{LINES[1]},7", f"{LINES[2]},"], 2, "'7' is in a column without a name"),
        ([f",{LINES[0]}", f"a,{LINES[1]}", f"b,{LINES[2]}"], 2, "'a' is in a column without a name"),
        (["metal,,obs_date,total_t", "AL,1,2026-11-23,5"], 2, "'1' is in a column without a name"),
        ([LINES[0], f"{LINES[1]},", f"{LINES[2]},5"], 3, "the line has 4 cells, the header 3"),
        ([LINES[0], f"{LINES[1]},,5"], 2, "the line has 5 cells, the header 3"),
        ([f"{LINES[0]},cancelled_t,", f"{LINES[1]}"], 2, "the line has 3 cells, the header 5"),
        ([f"{LINES[0]},note", f"{LINES[1]},", f"{LINES[2]},late"], 1, "'note' is no column of stocks"),
        ([f"{LINES[0]},note"], 1, "'note' is no column of stocks"),
        (["", ",,", "metal,obs_date", "AL,2026-11-23"], 3, "the header has no total_t"),
        ([*LINES[:2], ",,", "AL,2026-11-24,many"], 4, "column total_t: 'many' must be a number"),
        (["LME stocks,,", *LINES], 1, "'LME stocks' is no column of stocks"),
        (["# exported", *LINES], 1, "'# exported' is no column of stocks"),
        ([*LINES, "# end"], 5, "the line has 1 cells, the header 3"),
    ],
)
def test_cells_that_may_have_lost_their_column_are_rejected(given: list[str], line: int, message: str) -> None:
    error = refusal(lines(*given))
    assert error.line == line
    assert message in str(error)


def test_a_file_of_separators_alone_is_empty() -> None:
    assert "the file is empty; expected a header line and rows" in str(refusal(lines(",,", ",,")))


# --- values are left to validation


def test_rows_that_break_a_value_rule_are_rejected_by_validation() -> None:
    body = (
        HEADER + GOOD + "AL,2026-01-06,,-5,\nAL,2026-01-07,,1,\nAL,2026-01-07,,2,\nAL,2026-01-08,,1,\n,2026-01-09,,1,\n"
    )
    checked = validate("stocks", read(body))
    assert checked.good["obs_date"].dt.day.tolist() == [5, 8]
    found = dict(zip(checked.rejected["label"], checked.rejected["reason"], strict=True))
    assert found[3] == "total_t=-5.0 breaks >= 0"
    assert found[4] == found[5]
    assert "obs_date=2026-01-07" in found[4]
    assert "unique key" in found[4]
    assert found[7] == "metal=null breaks not null"


@pytest.mark.parametrize(
    ("dataset", "files"),
    [("prices", ["prices_daily", "prices_year_ago"]), ("stocks", ["lme_stocks_daily"]), ("rates", ["sofr_daily"]),
     ("off_warrant", ["offwarrant_monthly"]), ("exports", ["cn_exports_monthly"]), ("power", ["power_da_points"])],
)  # fmt: skip
def test_the_acceptance_inputs_are_drop_files_without_a_bad_row(
    acceptance: Path, dataset: str, files: list[str]
) -> None:
    for name in files:
        path = acceptance / "inputs" / f"{name}.csv"
        with path.open() as lines:
            expected = sum(1 for _ in lines) - 1
        checked = validate(dataset, read(path.read_bytes(), dataset, f"{dataset}/{path.name}"))
        assert (len(checked.good), len(checked.rejected)) == (expected, 0)


# --- Parquet


def parquet(**columns: object) -> bytes:
    sink = io.BytesIO()
    given = {"metal": ["AL", "AL"], "obs_date": [date(2026, 1, 5), date(2026, 1, 6)], "total_t": [1.5, 2.5], **columns}
    pd.DataFrame(given).to_parquet(sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"obs_date": pd.to_datetime(["2026-01-05", "2026-01-06"])},
        {"obs_date": ["2026-01-05", "2026-01-06"], "total_t": ["1.5", "2.5"]},
        {"metal": pd.Categorical(["AL", "AL"])},
        {"cancelled_t": [None, None]},
    ],
)
def test_parquet_gives_the_same_rows(columns: dict[str, object]) -> None:
    frame = read(parquet(**columns), name="stocks/mine.parquet")
    assert frame["obs_date"].tolist() == [pd.Timestamp("2026-01-05"), pd.Timestamp("2026-01-06")]
    assert frame["total_t"].tolist() == [1.5, 2.5]
    assert len(validate("stocks", frame).good) == 2


DAYS = [date(2026, 1, 5), date(2026, 1, 6)]
MIDNIGHTS = pa.array(DAYS).cast(pa.timestamp("us"))


def stored(**columns: pa.Array) -> bytes:
    """A Parquet file of Arrow arrays."""
    sink = io.BytesIO()
    given = {"metal": pa.array(["AL", "AL"]), "obs_date": pa.array(DAYS), "total_t": pa.array([1.0, 2.0]), **columns}
    pq.write_table(pa.table(given), sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    "columns",
    [
        *({"metal": pa.array(["AL", "AL"], kind)} for kind in (pa.string(), pa.large_string(), pa.string_view())),
        *(
            {"metal": pa.array(["AL", "AL"], pa.string()).dictionary_encode().cast(pa.dictionary(pa.int8(), kind))}
            for kind in (pa.string(), pa.large_string())
        ),
        *({"obs_date": pa.array(["2026-01-05", "2026-01-06"], kind)} for kind in (pa.large_string(), pa.string_view())),
        *({"obs_date": pa.array(DAYS, kind)} for kind in (pa.date32(), pa.date64())),
        *({"obs_date": MIDNIGHTS.cast(pa.timestamp(unit))} for unit in ("s", "ms", "us", "ns")),
        *({"obs_date": pc.assume_timezone(MIDNIGHTS, zone)} for zone in ("UTC", "Europe/London", "Asia/Shanghai")),
        {"obs_date": pc.assume_timezone(MIDNIGHTS.cast(pa.timestamp("ns")), "America/New_York")},
        *({"total_t": pa.array([1, 2], kind)} for kind in (pa.int8(), pa.uint64(), pa.float16(), pa.float32())),
        *({"total_t": pa.array([1, 2]).cast(kind)} for kind in (pa.decimal128(21, 2), pa.decimal256(40, 2))),
        {"cancelled_t": pa.nulls(2)},
    ],
    ids=lambda columns: "-".join(str(array.type) for array in columns.values()),
)
def test_every_arrow_type_with_the_same_meaning_is_read(columns: dict[str, pa.Array]) -> None:
    frame = read(stored(**columns), name="stocks/mine.parquet")
    assert frame["metal"].tolist() == ["AL", "AL"]
    assert frame["obs_date"].dt.date.tolist() == DAYS
    assert frame["total_t"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("kind", [pa.float64(), pa.decimal128(21, 2), pa.int16(), pa.string_view()])
def test_whole_numbers_of_any_arrow_type(kind: pa.DataType) -> None:
    sink = io.BytesIO()
    columns = {"metal": ["AL"], "country": ["CN"], "period_end": [date(2026, 2, 28)], "exports_kt": [900.0]}
    months = pa.array(["2"]).cast(pa.string()) if kind == pa.string_view() else pa.array([2])
    pq.write_table(pa.table({**columns, "period_months": months.cast(kind)}), sink)
    assert read(sink.getvalue(), "exports", "exports/mine.parquet")["period_months"].tolist() == [2]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"metal": pa.array([True, False])}, "column metal: has type bool, but must be text"),
        ({"metal": pa.array([1, 2]).dictionary_encode()}, "column metal: has type int64, but must be text"),
        ({"total_t": pa.array([True, False])}, "column total_t: has type bool, but must be a number"),
        ({"obs_date": pa.array([20260105, 20260106])}, "column obs_date: has type int64, but must be a day"),
        ({"obs_date": pc.assume_timezone(MIDNIGHTS, "Europe/Berlin").cast(pa.timestamp("us", "UTC"))}, "row 1, column"),
        ({"obs_date": pa.array([0, 1767571200000000001], pa.timestamp("ns"))}, "row 2, column obs_date"),
        ({"obs_date": pa.array([0, 10**12 + 1], pa.timestamp("s"))}, "row 2, column obs_date"),
        ({"knowledge_ts": pa.array([0, 10**14], pa.timestamp("s", "UTC"))}, "column knowledge_ts: cannot be read as"),
    ],
)
def test_arrow_values_without_that_meaning_are_rejected(columns: dict[str, pa.Array], message: str) -> None:
    assert message in str(refusal(stored(**columns), name="stocks/mine.parquet"))


@pytest.mark.parametrize(
    ("columns", "left_out"),
    [
        ({"__index_level_0__": pa.array([7, 3])}, "1 index column"),
        ({"__index_level_0__": pa.array(["a", "b"])}, "1 index column"),
        ({"Unnamed: 5": pa.array([None, None], pa.float64())}, "1 empty column"),
        ({"": pa.array(["", " "])}, "1 empty column"),
    ],
)
def test_parquet_without_an_index_and_empty_columns(columns: dict[str, pa.Array], left_out: str) -> None:
    parsed = parse_drop("stocks", "stocks/mine.parquet", stored(**columns))
    assert parsed.left_out == left_out
    assert list(parsed.frames["stocks"]) == ["metal", "obs_date", "total_t", "knowledge_ts"]


def test_rows_of_a_data_frame_without_values_are_left_out_and_keep_the_count() -> None:
    frame = pd.DataFrame({"metal": ["AL", None, "AL"], "obs_date": [DAYS[0], None, DAYS[1]], "total_t": [1, None, -2]})
    sink = io.BytesIO()
    frame[frame.index >= 0].to_parquet(sink)
    parsed = parse_drop("stocks", "stocks/mine.parquet", sink.getvalue())
    assert parsed.left_out == "1 empty row"
    assert parsed.frames["stocks"].index.tolist() == [1, 3]


def test_parquet_instants_need_a_zone() -> None:
    berlin = pd.to_datetime(["2026-01-06T10:00", "2026-01-07T10:00"]).tz_localize("Europe/Berlin")
    frame = read(parquet(knowledge_ts=berlin), name="stocks/mine.parquet")
    assert frame["knowledge_ts"].tolist()[0] == pd.Timestamp("2026-01-06T09:00Z")
    error = refusal(parquet(knowledge_ts=berlin.tz_localize(None)), name="stocks/mine.parquet")
    assert error.column == "knowledge_ts"
    assert "must be a time in UTC" in error.rule


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"metal": [1, 2]}, "column metal: has type int64, but must be text"),
        ({"total_t": ["1", "x"]}, "row 2, column total_t: 'x' must be a number"),
        (
            {"obs_date": pd.to_datetime(["2026-01-05T00:00", "2026-01-06T05:00"])},
            "row 2, column obs_date: '2026-01-06 05:00",
        ),
        ({"colour": [1, 2]}, "'colour' is no column of stocks"),
        ({"total_t": [1.0, float("inf")]}, "row 2, column total_t: 'inf' must be a number"),
    ],
)
def test_invalid_parquet_columns_are_rejected(columns: dict[str, object], message: str) -> None:
    assert message in str(refusal(parquet(**columns), name="stocks/mine.parquet"))


@pytest.mark.parametrize("body", [b"PAR1", b"", parquet()[:200], HEADER.encode()])
def test_a_file_that_is_no_parquet_is_rejected(body: bytes) -> None:
    assert "cannot be read as Parquet" in str(refusal(body, name="stocks/mine.parquet"))


@pytest.mark.slow
def test_a_million_rows_are_read() -> None:
    days = pd.date_range("1990-01-01", periods=10_000).strftime("%Y-%m-%d")
    body = "pair,obs_date,rate\n" + "".join(f"{pair:06d},{day},1.25\n" for pair in range(100) for day in days)
    assert len(read(body, "fx", "fx/mine.csv")) == 1_000_000


# --- the folder


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    for name in ("stocks", "prices"):
        (tmp_path / "drop" / name).mkdir(parents=True)
    return tmp_path / "drop"


def problem(drop: Path, max_mb: int = 100) -> DropProblem:
    [found] = scan(drop, ["stocks", "prices"], max_mb)
    assert isinstance(found, DropProblem)
    return found


def test_files_are_sorted_by_name_and_hidden_files_ignored(drop: Path) -> None:
    for name in ("stocks/b.csv", "stocks/a.PARQUET", "prices/c.CSV", "stocks/.gitkeep", ".DS_Store"):
        (drop / name).write_text("x")
    assert scan(drop, ["stocks", "prices"]) == [
        DropFile("prices", drop / "prices/c.CSV", "prices/c.CSV"),
        DropFile("stocks", drop / "stocks/a.PARQUET", "stocks/a.PARQUET"),
        DropFile("stocks", drop / "stocks/b.csv", "stocks/b.csv"),
    ]


@pytest.mark.parametrize(
    "name",
    [
        *("Thumbs.db", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "Thumbs.db:encryptable"),
        *("desktop.ini", "Desktop.ini", "DESKTOP.INI", "$RECYCLE.BIN", "System Volume Information", "lost+found"),
        *(".DS_Store", "._stocks.csv", "Icon\r", "__MACOSX", ".Spotlight-V100", "stocks.csv:Zone.Identifier"),
        *("~$stocks.xlsx", "~$stocks.csv", ".~lock.stocks.csv#", "stocks.csv~", "#stocks.csv#", ".stocks.csv.swp"),
        *("stocks.csv.tmp", "~WRL0001.TMP", "stocks.csv.part", "stocks.csv.crdownload", "stocks.csv.filepart"),
        *(
            ".goutputstream-1A2B3C",
            "stocks.csv.sb-1a2b3c4d-x9Y8z7",
            ".syncthing.stocks.csv.tmp",
            "~syncthing~a.csv.tmp",
        ),
        *("@eaDir", "#recycle", ".sync", ".stfolder", ".dropbox.cache", ".stocks.csv.~1a2b", ".sync_12ab.db"),
        *("stocks.csv@SynoEAStream", "@SynoResource", "sync.ffs_db", "stocks.csv.swo", "_SUCCESS", "DfsrPrivate"),
    ],
)
@pytest.mark.parametrize("where", ["", "stocks/"])
def test_files_of_systems_and_other_programs_are_ignored(drop: Path, where: str, name: str) -> None:
    (drop / where / name).write_text("x")
    assert scan(drop, ["stocks", "prices"]) == []


@pytest.mark.parametrize(
    "name",
    [
        *(
            "stocks.xls",
            "stocks.xlsx",
            "stocks.csv.gz",
            "stocks.zip",
            "stocks.txt",
            "stocks.tsv",
            "stocks",
            "stocks.csv1",
        ),
        *("stocks.csv.lnk", "stocks.gsheet", ".stocks.csv.icloud", "stocks.old", "thumbs.db.xls"),
    ],
)
def test_a_file_that_may_be_the_users_is_not_ignored(drop: Path, name: str) -> None:
    (drop / "stocks" / name).write_text("x")
    found = problem(drop)
    assert found.relative == f"stocks/{name}"
    assert "is of an unknown type; accepted are *.csv and *.parquet: save or unpack it as one of these" in found.message


@pytest.mark.parametrize(
    "name",
    [
        *("stocks.CSV", "Stocks.Parquet", "stocks (1).csv", "stocks - Copy.csv", "~stocks.csv", "@stocks.csv"),
        *(
            "$stocks.csv",
            "stocks (Max's conflicted copy 2026-01-05).csv",
            "stocks.sync-conflict-20260105-AB.csv",
            "tmp.csv",
        ),
    ],
)
def test_unusual_names_are_read(drop: Path, name: str) -> None:
    (drop / "stocks" / name).write_text("x")
    assert scan(drop, ["stocks", "prices"]) == [DropFile("stocks", drop / "stocks" / name, f"stocks/{name}")]


def test_a_missing_folder_is_empty(tmp_path: Path) -> None:
    assert scan(tmp_path / "nowhere", ["stocks"]) == []


@pytest.mark.parametrize("make", [lambda p: p.write_text("x"), lambda p: p.symlink_to("not-mounted")])
def test_a_drop_folder_that_is_no_folder_is_a_problem(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "drop")
    found = problem(tmp_path / "drop")
    assert (found.relative, found.dataset) == (".", None)
    assert found.message == "the drop folder is a file or a broken link: put a folder there, or mount its disk"


@pytest.mark.parametrize("gone", ["stocks", "stocks/a.csv"])
@pytest.mark.parametrize("seen", ["iterdir", "resolve", "stat"])
def test_what_is_removed_during_a_look_is_no_problem(
    drop: Path, monkeypatch: pytest.MonkeyPatch, gone: str, seen: str
) -> None:
    """A synchronised folder changes at any time."""
    (drop / "stocks" / "a.csv").write_text(HEADER + GOOD)
    (drop / "prices" / "b.csv").write_text("x")
    look = getattr(Path, seen)

    def and_remove(self: Path, *arguments: object, **named: object) -> object:
        result = look(self, *arguments, **named)
        at = (drop / gone).parent if seen == "iterdir" else drop / gone
        if self == at:
            result = list(result) if seen == "iterdir" else result
            (drop / "stocks" / "a.csv").unlink(missing_ok=True)
            if gone == "stocks":
                with contextlib.suppress(FileNotFoundError):
                    (drop / "stocks").rmdir()
        return result

    monkeypatch.setattr(Path, seen, and_remove)
    found = scan(drop, ["stocks", "prices"])
    assert found[0] == DropFile("prices", drop / "prices/b.csv", "prices/b.csv")
    assert all(isinstance(one, DropFile) and read_file(one) is None for one in found[1:])


@pytest.mark.parametrize(("where", "name"), [("", "the drop folder"), ("stocks", "stocks")])
def test_a_folder_without_read_permission_is_a_problem(
    drop: Path, monkeypatch: pytest.MonkeyPatch, where: str, name: str
) -> None:
    (drop / "prices" / "a.csv").write_text("x")
    listed = Path.iterdir

    def forbidden(self: Path) -> Iterator[Path]:
        if self == drop / where:
            raise PermissionError(13, "Permission denied")
        return listed(self)

    monkeypatch.setattr(Path, "iterdir", forbidden)
    found = scan(drop, ["stocks", "prices"])
    assert DropProblem(where or ".", where or None, f"{name} cannot be read: Permission denied") in found
    assert len(found) == (2 if where else 1)


def big(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(200 * 1024**2)  # sparse: it takes no room


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("stocks/big.csv", big, "stocks/big.csv has 200 MB, more than 100 MB; split it or raise TIGHTNESS_DROP_MAX_MB"),
        ("stocks/none.csv", Path.touch, "stocks/none.csv is empty; expected a header line and rows"),
        ("stocks/book.xlsx", lambda p: p.write_text("x"), "is of an unknown type; accepted are *.csv and *.parquet"),
        ("stocks/more", Path.mkdir, "stocks/more is not a file; accepted are *.csv and *.parquet directly in the"),
        ("stocks/pipe.csv", os.mkfifo, "stocks/pipe.csv is not a file"),
        (
            "stock",
            Path.mkdir,
            "stock is an unknown dataset folder; accepted are the folders prices, stocks with files *.csv",
        ),
        ("loose.csv", lambda p: p.write_text("x"), "loose.csv is a file outside the dataset folders; accepted are"),
        (
            "stocks/link.csv",
            lambda p: p.symlink_to("/etc/passwd"),
            "is a link that leaves the drop folder and is not followed",
        ),
        ("stocks/up.csv", lambda p: p.symlink_to("../../outside.csv"), "is a link that leaves the drop folder"),
        ("stocks/loop.csv", lambda p: p.symlink_to("loop.csv"), "is a broken link; copy the file instead"),
    ],
)
def test_a_rejected_file_has_a_reason(drop: Path, name: str, make: Callable[[Path], object], message: str) -> None:
    (drop.parent / "outside.csv").write_text(HEADER)
    make(drop / name)
    found = problem(drop)
    assert found.relative == name
    assert found.dataset == ("stocks" if "/" in name else None)
    assert message in found.message
    assert str(drop) not in found.message


@pytest.mark.parametrize("folder", ["", "stocks"])
def test_a_name_that_is_not_utf_8_is_a_problem_of_its_file_alone(drop: Path, folder: str) -> None:
    (drop / "stocks" / "mine.csv").write_text("x")
    Path(os.fsdecode(os.fsencode(drop / folder) + b"/B\xf6rse.csv")).write_text("x")
    bad, good = sorted(scan(drop, ["stocks", "prices"]), key=lambda one: isinstance(one, DropFile))
    assert isinstance(bad, DropProblem) and good.relative == "stocks/mine.csv"
    name = r"B\udcf6rse.csv"
    assert bad.message.endswith(f"{name} has a name that is not UTF-8, as from an old archive; rename it")
    assert bad.dataset == (folder or None)


def test_the_limit_is_a_setting(drop: Path) -> None:
    (drop / "stocks" / "a.csv").write_bytes(b"x" * (1024**2 + 1))
    assert "more than 1 MB" in problem(drop, max_mb=1).message
    assert isinstance(scan(drop, ["stocks", "prices"], 2)[0], DropFile)


def test_links_out_of_the_drop_folder_are_not_followed_and_links_inside_are(drop: Path) -> None:
    (drop.parent / "elsewhere").mkdir()
    (drop.parent / "elsewhere" / "a.csv").write_text("x")
    (drop / "prices").rmdir()
    (drop / "prices").symlink_to(drop.parent / "elsewhere")
    assert "prices is a link that leaves the drop folder" in problem(drop).message
    (drop / "prices").unlink()
    (drop / "stocks" / "a.csv").write_text("x")
    (drop / "stocks" / "b.csv").symlink_to("a.csv")
    assert [type(found) for found in scan(drop, ["stocks", "prices"])] == [DropFile, DropFile]


def test_a_file_without_read_permission_is_a_problem(drop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (drop / "stocks" / "a.csv").write_text("x")

    def forbidden(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", forbidden)
    assert problem(drop).message == "stocks/a.csv cannot be read: Permission denied"
