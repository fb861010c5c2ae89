"""Interactive charts and past states of the report: specifications that Vega-Lite accepts, and rows as published."""

from __future__ import annotations

import gzip
import json
from base64 import b64decode
from datetime import UTC, date, datetime
from itertools import accumulate
from typing import Any

import duckdb
import pytest

from pipelines.publish import past, vega
from pipelines.publish.charts import CHARTS, Drawn, compressed, packed, packed_days, read, specification
from pipelines.publish.plots import STAMP
from pipelines.publish.report import FOLDER

EVERY = [
    *(specification(chart, chart.marks, synthetic=True) for chart in CHARTS),
    past.heatmap("kt", 2.0, synthetic=True),
]
DAYS = [date(2026, 1, 12), date(2026, 1, 13), date(2026, 1, 14), date(2026, 1, 16)]


def column(values: Any) -> list[Any]:
    """A packed column as it was, as `report.js` unpacks it."""
    if isinstance(values, dict) and "d" in values:
        return list(accumulate(column(values["d"])))
    if isinstance(values, list):
        return values
    return [value for value, n in zip(values["v"], values["n"], strict=True) for _ in range(n)]


@pytest.fixture
def release() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'")
    for schema in ("marts", "signals", "vintages"):
        con.execute(f"create schema {schema}")
    con.execute("""
        create table marts.tightness_daily as select * from (values
            ('AL', date '2026-01-12', 60.04, 'TIGHT', 40.0, 20.04, null::double, timestamptz '2026-01-12 13:00Z'),
            ('AL', date '2026-01-13', null, 'TIGHT', null, null, null, timestamptz '2026-01-13 13:00Z'),
            ('AL', date '2026-01-14', 61.0, 'LOOSE', 40.0, 21.0, null, timestamptz '2026-01-14 13:00Z'),
            ('AL', date '2026-01-16', 62.0, 'LOOSE', 40.0, 22.0, null, timestamptz '2026-01-14 13:00Z'),
            ('CU', date '2026-01-16', null, null, null, null, null, timestamptz '2026-01-14 13:00Z')
        ) as t (metal, as_of_date, tightness_index, regime, contrib_curve, contrib_inventory, contrib_flow,
            knowledge_ts_max)""")
    con.execute("""
        create table signals.signals as select * from (values
            ('AL.X.A', '1.0.0', 'AL', 'ratio', date '2026-01-12', 0, 0.1::double, 'ON'),
            ('AL.X.A', '1.0.0', 'AL', 'ratio', date '2026-01-12', 1, 0.2, 'ON'),
            ('AL.X.A', '1.0.0', 'AL', 'ratio', date '2026-01-13', 0, 0.20001, 'ON'),
            ('AL.X.A', '1.0.0', 'AL', 'ratio', date '2026-01-14', 0, 0.2, 'OFF'),
            ('AL.X.A', '1.0.0', 'AL', 'ratio', date '2026-01-16', 0, 0.4, 'ON'),
            ('AL.X.A', '1.0.0', 'AL', 'ratio', date '2026-01-16', 1, null, null)
        ) as t (signal_id, signal_version, metal, unit, as_of_date, revision_no, value, state)""")
    con.execute("""
        create table signals.claim_audit as select 'C' as claim_id, 'AL' as metal, 't' as unit, as_of_date,
            'text' as claim_text, 669140.4 as evidence_value,
            case when as_of_date < date '2026-01-14' then 'PARTIAL' else 'SUPPORTED' end as status
        from marts.tightness_daily where metal = 'AL'""")
    return con


@pytest.mark.slow
def test_every_specification_is_valid_vega_lite() -> None:
    import altair
    from jsonschema import ValidationError

    for spec in EVERY:
        altair.Chart.from_dict(spec | {"data": {"values": []}}, validate=True)
        wrong = json.loads(json.dumps(spec).replace('"quantitative"', '"quantitive"'))
        with pytest.raises(ValidationError):
            altair.Chart.from_dict(wrong | {"data": {"values": []}}, validate=True)


def test_every_picture_of_generated_data_is_stamped() -> None:
    assert {spec["title"]["text"] for spec in EVERY} == {STAMP}


def test_only_generated_data_is_stamped() -> None:
    assert "title" not in specification(CHARTS[0], CHARTS[0].marks, synthetic=False)


def test_a_chart_has_the_values_of_its_table_with_their_knowledge_times(release: duckdb.DuckDBPyConnection) -> None:
    drawn = {chart.id: chart for chart in read(release, synthetic=False)}
    assert set(drawn) == {"index-AL", "contributions-AL"}  # no v2, no other table, and no picture of nothing
    index = drawn["index-AL"]
    days = [date.fromordinal(date(1970, 1, 1).toordinal() + day) for day in column(index.columns["t"])]
    assert days == DAYS
    assert column(index.columns["tightness_index"]) == [60.0, None, 61.0, 62.0]
    assert column(index.columns["regime"]) == ["TIGHT", "TIGHT", "LOOSE", "LOOSE"]
    assert datetime.fromtimestamp(60 * column(index.columns["known"])[0], UTC) == datetime(2026, 1, 12, 13, tzinfo=UTC)
    assert index.legend == [("index v1", "ink")]
    assert index.fields == [("regime", "regime", -1), ("tightness_index", "index v1", 1)]


def test_the_second_version_of_the_index_and_the_difference_are_drawn_once_it_is_there(
    release: duckdb.DuckDBPyConnection,
) -> None:
    release.execute("alter table marts.tightness_daily add column tightness_index_v2 double")
    release.execute("update marts.tightness_daily set tightness_index_v2 = 50 where as_of_date = date '2026-01-16'")
    drawn = {chart.id: chart for chart in read(release, synthetic=False)}
    assert column(drawn["index-AL"].columns["tightness_index_v2"]) == [None, None, None, 50.0]
    assert column(drawn["difference-AL"].columns["difference"]) == [None, None, None, -12.0]


def test_areas_stand_on_each_other() -> None:
    chart = next(chart for chart in CHARTS if chart.id == "contributions")
    spec = specification(chart, chart.marks, synthetic=False)
    assert [step["as"] for step in spec["transform"]] == ["top_contrib_inventory", "top_contrib_flow"]
    assert spec["transform"][1]["calculate"] == "datum['top_contrib_inventory'] + datum['contrib_flow']"
    assert spec["layer"][2]["encoding"]["y2"] == {"field": "top_contrib_inventory"}


def test_colours_are_variables_of_the_style() -> None:
    style = (FOLDER / "report.css").read_text()
    for chart in CHARTS:
        for mark in chart.marks:
            assert not mark.colour or f"--{mark.colour}:" in style


@pytest.mark.parametrize("values", [[], [1], [1, 1, 1, None, None, None, 2], [1.5, 2, 1.5], ["a"] * 9])
def test_a_packed_column_is_unpacked_as_it_was(values: list[Any]) -> None:
    assert column(packed(values)) == values


def test_days_are_packed_as_distances() -> None:
    assert column(packed_days([20000, 20001, 20004])) == [20000, 20001, 20004]
    assert column(packed_days([])) == []


def test_equal_content_is_compressed_to_equal_text() -> None:
    assert compressed({"a": [1]}) == compressed({"a": [1]})
    assert json.loads(gzip.decompress(b64decode(compressed({"a": "</script>"})))) == {"a": "</script>"}


def test_states_hold_from_one_change_to_the_next(release: duckdb.DuckDBPyConnection) -> None:
    states = past.states(release)
    first = column(states["days"])[0]
    assert [day - first for day in column(states["days"])] == [0, 1, 2, 4]
    [signal] = states["signals"]
    assert [day - first for day in column(signal["days"])] == [0, 2, 4]  # 0.20001 is 0.2 in four decimals
    assert (column(signal["v"]), column(signal["s"])) == ([0.2, 0.2, None], ["ON", "OFF", None])
    [claim] = states["claims"]
    assert [day - first for day in column(claim["days"])] == [0, 2]
    assert (column(claim["v"]), column(claim["s"])) == ([669140, 669140], ["PARTIAL", "SUPPORTED"])


JAN, FEB = date(2026, 1, 31), date(2026, 2, 28)
FIRST, SECOND, THIRD = (datetime(2026, month, 18, 9, tzinfo=UTC) for month in (2, 3, 4))


def test_each_release_has_the_figure_of_every_period_that_was_known() -> None:
    cells = past.figures_by_release(
        [(JAN, FIRST, 100.0), (FEB, SECOND, 80.0), (JAN, SECOND, 110.0), (JAN, THIRD, 90.0)]
    )
    assert [(cell.release.month, cell.period.month, cell.value, cell.first, cell.is_new) for cell in cells] == [
        (2, 1, 100.0, 100.0, True),
        (3, 1, 110.0, 100.0, True),
        (3, 2, 80.0, 80.0, True),
        (4, 1, 90.0, 100.0, True),
        (4, 2, 80.0, 80.0, False),
    ]
    assert cells[-1].known == SECOND


def test_a_picture_of_revisions_has_the_last_months() -> None:
    months = [date(2020 + n // 12, n % 12 + 1, 1) for n in range(60)]
    cells = past.figures_by_release(
        [(month, datetime(month.year, month.month, 28, tzinfo=UTC), 1.0) for month in months]
    )
    assert {cell.period for cell in cells} == set(months[-past.MONTHS :])


def test_revisions_are_read_from_the_vintages(release: duckdb.DuckDBPyConnection) -> None:
    assert past.revisions(release, synthetic=False) == ([], [])
    release.execute("""
        create table vintages.exports as select * from (values
            ('AL', 'CN', date '2026-01-31', timestamptz '2026-02-18 09:00Z', 100.0::double),
            ('AL', 'CN', date '2026-01-31', timestamptz '2026-03-18 09:00Z', 110.0),
            ('AL', 'CN', date '2026-02-28', timestamptz '2026-03-18 09:00Z', 80.0)
        ) as t (metal, country, period_end, known_from, exports_kt)""")
    [drawn], [largest] = past.revisions(release, synthetic=False)
    assert isinstance(drawn, Drawn)
    assert drawn.title == "AL: exports, CN"
    assert column(drawn.columns["change"]) == [0.0, 10.0, 0.0]
    assert column(drawn.columns["known"])[1] == "2026-03-18 09:00 UTC"
    assert (largest["period"], largest["first"], largest["value"]) == ("2026-01", 100.0, 110.0)
    assert largest["change"] == pytest.approx(0.1)


def test_the_script_of_the_charts_is_made_once_for_a_version(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    monkeypatch.setattr(vega, "script_version", lambda: "1.2.3")
    monkeypatch.setattr(vega, "_bundle", lambda: f"const n={made.append(1) or len(made)};")
    assert vega.script(tmp_path) == vega.script(tmp_path) == '(()=>{"use strict";const n=1;\n})();'
    monkeypatch.setattr(vega, "script_version", lambda: "1.2.4")
    assert "const n=2" in vega.script(tmp_path)
    (tmp_path / "file").touch()
    assert "const n=3" in vega.script(tmp_path / "file")  # no folder: made, and not kept
