"""Reference tables: the committed ones are valid, and errors in a user's name file, line and rule."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from copper import add_copper

from pipelines import reference
from pipelines.common.calendar import business_days
from pipelines.common.settings import PROJECT
from pipelines.datasets import FEEDS
from pipelines.reference import ReferenceDataError, load_reference
from schemas.reference import PARAMETERS, REFERENCE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PROJECT / "data" / "reference", tmp_path / "reference"))


def edit(folder: Path, table: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    path = folder / f"{table}.csv"
    change(pd.read_csv(path, dtype=str, keep_default_na=False)).to_csv(path, index=False)


def with_cell(column: str, value: str, row: int = 0) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[row, column] = value
        return rows

    return change


def test_the_committed_tables_are_valid() -> None:
    reference = load_reference(PROJECT / "data" / "reference")
    assert set(reference.tables) == set(REFERENCE)
    for name, table in reference.tables.items():
        assert len(table), name
        assert set(table["status"]) <= {"FACT", "ASSUMPTION"}, name


def test_what_changes_over_the_years_has_a_row_for_each_known_figure() -> None:
    """A constant of one year makes days of use, carry and break-even power meaningless in others."""
    parameters = load_reference(PROJECT / "data" / "reference")["parameters"].query("metal == 'AL'")
    for name in [name for name, about in PARAMETERS.items() if about.dated]:
        days = parameters.loc[parameters["name"] == name, "valid_from"].sort_values()
        assert len(days) > 1, name
        assert days.diff().max() < pd.Timedelta(days=366 * 7), name
    [cap] = parameters.loc[parameters["name"] == "china_cap_t", "valid_from"]
    assert cap == pd.Timestamp("2017-10-20"), "no cap before it existed"
    levels = parameters.loc[parameters["name"].isin(["level_up", "level_down"]), "valid_from"]
    assert set(levels) == {pd.Timestamp("2026-01-13")}, "no level before it was published"


def test_the_newest_price_and_stock_of_a_free_page_are_never_too_old_for_the_index() -> None:
    """A page shows a day's price, and the close before it, on the next business day: no day of a holiday is a hole."""
    components = load_reference(PROJECT / "data" / "reference")["index_components"].set_index("indicator")
    days = np.arange("2008-01-01", "2027-01-01", dtype="datetime64[D]")
    open_days = days[np.is_busday(days, busdaycal=business_days("LONDON"))].astype(int)
    closes_back = {"carry_tightness": 1, "cancelled_ratio": 2, "stock_days": 2, "stock_log_chg": 2}
    for indicator, n in closes_back.items():
        assert components["max_age_days"][indicator] == (open_days[n:] - open_days[:-n]).max(), indicator


def test_the_events_of_the_market_are_listed_with_their_sources() -> None:
    events = load_reference(PROJECT / "data" / "reference")["events"].set_index("event_id")
    days = {
        "LME_LENDING_2025": "2025-06-23", "LME_LENDING_2026": "2026-02-20", "RUSSIAN_METAL_BAN": "2024-04-13",
        "CHINA_REBATE_END": "2024-12-01", "CBAM_DEFINITIVE": "2026-01-01", "USMCA_REVIEW": "2026-07-01",
        "S232_2018": "2018-03-23", "S232_2025_MARCH": "2025-03-12", "S232_2025_JUNE": "2025-06-04",
        "S232_2026": "2026-04-06", "LME_OFF_WARRANT_DEFINITION": "2024-02-29",
    }  # fmt: skip
    assert events.loc[list(days), "event_date"].dt.strftime("%Y-%m-%d").to_dict() == days
    outcome = events.loc["USMCA_REVIEW_OUTCOME"]
    assert outcome["valid_from"] == outcome["event_date"], "no outcome is known before the review"


def test_the_committed_defaults_are_those_of_the_methodology() -> None:
    """The values of docs/methodology.md#parameters and #index-and-regime."""
    parameters = load_reference(PROJECT / "data" / "reference")["parameters"].set_index("name")["value"]
    wanted = {
        "stock_chg_obs": 20, "rank_window": 1260, "rank_min_periods": 252, "rank_min_periods_monthly": 24,
        "min_coverage": 0.60, "enter_tight": 70, "exit_tight": 60, "enter_squeeze": 85, "exit_squeeze": 75,
        "enter_loose": 30, "exit_loose": 40, "regime_confirm": 2, "regime_max_gap": 5, "level_up": 3200,
        "level_down": 3000, "level_k": 5, "level_m": 5, "level_alt_k": 3, "level_alt_m": 5, "bw_k": 3, "bw_m": 5,
        "yoy_max_staleness_days": 7, "day_count": 360, "rank_min_periods_v2": 1000, "min_coverage_v2": 0.5,
        "median_obs": 5, "season_years": 5, "season_min_years": 3, "regime_confirm_v2": 5, "regime_half_life_v2": 5,
    }  # fmt: skip
    assert {name: parameters[name] for name in wanted} == wanted
    components = load_reference(PROJECT / "data" / "reference")["index_components"].query("metal == 'AL'")
    families = components.groupby(["version", "family"]).agg(weight=("weight", "first"), n=("indicator", "count"))
    assert families.to_dict("index") == {
        (1, "CURVE"): {"weight": 0.4, "n": 1},
        (1, "INVENTORY"): {"weight": 0.4, "n": 3},
        (1, "FLOW"): {"weight": 0.2, "n": 1},
        (2, "CURVE"): {"weight": 0.25, "n": 3},
        (2, "STOCK"): {"weight": 0.25, "n": 2},
        (2, "FLOW"): {"weight": 0.25, "n": 3},
        (2, "PHYSICAL"): {"weight": 0.25, "n": 4},
    }


def test_every_dataset_has_a_release_rule() -> None:
    rules = load_reference(PROJECT / "data" / "reference")["release_calendar"]
    general = set(rules.loc[(rules["data_source"] == "*") & (rules["entity"] == ""), "dataset"])
    assert general == set(FEEDS)


@pytest.mark.parametrize(
    ("table", "change", "message"),
    [
        (
            "parameters",
            lambda rows: rows[rows["name"] != "rank_window"],
            "parameters.csv: rank_window (observations) has no row for AL and none for *: add one",
        ),
        (
            "parameters",
            lambda rows: rows.assign(unit=rows["unit"].where(rows["name"] != "rent_usd_t_day", "EUR/t/day")),
            r"parameters.csv line 3: unit of rent_usd_t_day is 'EUR/t/day': convert the value to 'USD/t/day'",
        ),
        (
            "parameters",
            lambda rows: rows.assign(name=rows["name"].replace("level_up", "levle_up")),
            "parameters.csv: level_up (USD/t) has no row for AL and none for *: add one",
        ),
        (
            "parameters",
            lambda rows: pd.concat([rows, rows.tail(1).assign(name="colour")]),
            "'colour' is not a parameter of any formula: check its spelling",
        ),
        (
            "parameters",
            with_cell("value", "-0.1", 1),
            "parameters.csv line 3: rent_usd_t_day = -0.1 is out of range: use 0 to 10 USD/t/day",
        ),
        (
            "parameters",
            with_cell("value", "20.5", 27),
            "parameters.csv line 29: stock_chg_obs = 20.5 must be a whole number of observations",
        ),
        (
            "parameters",
            with_cell("valid_from", "2015-01-01", 0),
            "parameters.csv: day_count for AL starts on 2015-01-01, the metal on 2008-01-01: add a row",
        ),
        (
            "parameters",
            lambda rows: pd.concat(
                [rows, rows[rows["name"] == "enter_tight"].assign(value="90", valid_from="2025-01-01")]
            ),
            "enter_tight = 90 is more than enter_squeeze = 85 for AL on 2025-01-01",
        ),
        ("parameters", with_cell("metal", "XX", 1), "parameters.csv line 3: metal 'XX' is not in metals.csv"),
        (
            "claims",
            with_cell("metric_id", "px_yyo"),
            "claims.csv line 2: metric_id 'px_yyo' breaks the rule",
        ),
        (
            "claims",
            with_cell("threshold", ""),
            "claims.csv line 2: breaks the rule: a claim with metric_id needs operator, threshold and tolerance",
        ),
        (
            "evaluation_plan",
            with_cell("bucket", "TIGHTISH"),
            "evaluation_plan.csv line 2: AL.TIGHTNESS.REGIME has no bucket 'TIGHTISH': use one of LOOSE, NEUTRAL",
        ),
        (
            "evaluation_plan",
            with_cell("signal_version", "9.0.0"),
            "evaluation_plan.csv line 3: breaks the rule: the signal has no primary test, or several",
        ),
        (
            "evaluation_plan",
            lambda rows: rows.assign(
                signal_version=rows["signal_version"].where(rows["signal_id"] != "AL.TIGHTNESS.INDEX", "9.0.0")
            ),
            "AL.TIGHTNESS.INDEX 9.0.0 is not in signal_definitions.csv: add it there",
        ),
        (
            "evaluation_plan",
            lambda rows: rows.assign(bucket=rows["bucket"].where(rows["signal_id"] != "BENCH.MOM_252", "SIDEWAYS")),
            "breaks the rule: the benchmark, or its state, is unknown",
        ),
        (
            "evaluation_plan",
            with_cell("registered_on", "2026-12-01"),
            "evaluation_plan.csv line 2: breaks the rule: valid_from must be registered_on",
        ),
        ("claims", with_cell("period_to", "2025-01-01"), "claims.csv line 2: breaks the rule: period_from is after"),
        ("index_components", with_cell("sign", "", 1), "index_components.csv line 3: sign '' must be a whole number"),
        (
            "index_components",
            lambda rows: pd.concat([rows, rows.head(1).assign(valid_from="2025-01-01")]),
            "index_components.csv line 19: breaks the rule: the weights of a metal's families do not sum to 1",
        ),
        (
            "signal_definitions",
            with_cell("unit", "t"),
            "signal_definitions.csv line 2: breaks the rule: unit is not the unit of metric_id",
        ),
        (
            "signal_definitions",
            with_cell("tight_states", "HIGH", 1),
            "line 3: breaks the rule: tight_states or loose_states has a state that metric_id has not",
        ),
        (
            "smelters",
            with_cell("idled_kt", "9999"),
            "smelters.csv line 2: breaks the rule: idled_kt is more than capacity_kt",
        ),
        (
            "smelters",
            with_cell("idled_kt", "1"),
            "smelters.csv line 2: breaks the rule: idled_kt above 0 needs cause and review_by, 0 has no cause",
        ),
        (
            "smelters",
            with_cell("cause", "ACCIDENT"),
            "smelters.csv line 2: breaks the rule: idled_kt above 0 needs cause and review_by, 0 has no cause",
        ),
        (
            "smelters",
            with_cell("cause", "WEATHER", 25),
            "smelters.csv line 27: cause 'WEATHER' breaks the rule",
        ),
        (
            "smelters",
            with_cell("review_by", "2007-12-31"),
            "smelters.csv line 2: breaks the rule: review_by is before valid_from",
        ),
        ("claims", with_cell("max_age_days", "a week", 4), "claims.csv line 6: max_age_days 'a week' must be a whole"),
        (
            "parameters",
            lambda rows: pd.concat([rows, rows[rows["name"] == "near_high_obs"].assign(metal="AL")]),
            "near_high_obs is for all metals: write metal *",
        ),
        (
            "metals",
            lambda rows: pd.concat([rows, rows]),
            "metals.csv line 3: duplicate row for metal AL: remove one",
        ),
        ("parameters", with_cell("valid_from", "2008-13-01", 3), "line 5: valid_from '2008-13-01' must be a day as"),
        (
            "release_calendar",
            with_cell("timezone", "America/NewYork", 2),
            "release_calendar.csv line 4: unknown timezone 'America/NewYork': write for example Europe/London",
        ),
        (
            "release_calendar",
            with_cell("dataset", "price", 2),
            "release_calendar.csv line 4: unknown dataset 'price': use one of prices, ",
        ),
        (
            "index_components",
            lambda rows: rows.assign(weight=["0.3", "0.4", "0.1", "0.1", "0.2", *rows["weight"][5:]]),
            "index_components.csv line 3: breaks the rule: the family has two weights on the same valid_from",
        ),
        (
            "rate_chain",
            with_cell("valid_from", "2018-04-03"),
            "rate_chain.csv line 2: valid_from '2018-04-03' breaks the rule: must be unique",
        ),
        (
            "rate_chain",
            with_cell("valid_from", "2009-01-02"),
            "rate_chain.csv line 2: the first rate, EFFR, counts from 2009-01-02, the first metal from 2008-01-01",
        ),
        (
            "rate_chain",
            lambda rows: rows.iloc[1:],
            "rate_chain.csv line 2: the first rate, SOFR, counts from 2018-04-03, the first metal from 2008-01-01",
        ),
        ("rate_chain", lambda rows: rows.head(0), "rate_chain.csv has no row: copy it from data/reference"),
        (
            "rate_chain",
            with_cell("rate_id", "ESTR", 1),
            "rate_chain.csv line 3: rate_id 'ESTR' breaks the rule: must be one of EFFR, SOFR",
        ),
        (
            "release_calendar",
            lambda rows: pd.concat([rows, rows[rows["entity"] == "EFFR"]]),
            "duplicate row for dataset rates, data_source *, entity EFFR, valid_from 1990-01-01",
        ),
        (
            "parameters",
            lambda rows: rows.assign(value=rows["value"].where(rows["name"] != "stale_days_rate", "31")),
            "stale_days_rate = 31 is more than max_age_days_rate = 30 for AL on 2008-01-01",
        ),
        (
            "index_components",
            with_cell("indicator", "carry"),
            "index_components.csv line 2: indicator 'carry' breaks the rule: must be one of carry_tightness,",
        ),
        (
            "signal_definitions",
            lambda rows: pd.concat([rows, rows.head(1).assign(valid_from="2025-01-01")]),
            "breaks the rule: duplicate signal_id and signal_version",
        ),
        ("claims", with_cell("horizon_end", "2025-01-01"), "horizon_end is before valid_from or claim_date"),
        ("tax_schedule", with_cell("rate", "13"), "tax_schedule.csv line 2: rate '13' breaks the rule"),
        ("parameters", with_cell("value", "many", 2), "parameters.csv line 4: value 'many' must be a number"),
        (
            "parameters",
            lambda rows: pd.concat([rows, rows.head(1)]),
            "parameters.csv line 2: breaks the rule: duplicate name, metal and valid_from",
        ),
        (
            "index_components",
            with_cell("weight", "0.5"),
            "index_components.csv line 2: breaks the rule: the weights of a metal's families do not sum to 1",
        ),
        ("index_components", with_cell("sign", "0", 1), "index_components.csv line 3: sign '0' breaks the rule"),
        ("metals", with_cell("status", "RUMOUR"), "metals.csv line 2: status 'RUMOUR' breaks the rule"),
        ("metals", with_cell("valid_from", "soon"), "metals.csv line 2: valid_from 'soon' must be a day as YYYY-MM-DD"),
        ("metals", with_cell("lot_t", "-25"), "metals.csv line 2: lot_t '-25' breaks the rule"),
        ("metals", lambda rows: rows.drop(columns="lot_t"), "metals.csv line 1: column lot_t is missing: expected "),
        (
            "metals",
            lambda rows: rows.drop(columns="hs_codes"),
            "metals.csv line 1: column hs_codes is missing: expected ",
        ),
        ("metals", lambda rows: rows.assign(colour="red"), "metals.csv line 1: column colour is unknown: expected "),
        (
            "release_calendar",
            with_cell("local_time", "1 pm"),
            "release_calendar.csv line 2: local_time '1 pm' breaks the rule",
        ),
        ("exporters", with_cell("country", "CN", 1), "exporters.csv line 2: country 'CN' breaks the rule"),
        (
            "exporters",
            with_cell("comtrade_code", "Canada", 1),
            "exporters.csv line 3: comtrade_code 'Canada' must be a whole number",
        ),
        ("exporters", with_cell("data_source", "eurostat", 1), "exporters.csv line 3: data_source 'eurostat' breaks"),
        (
            "exporters",
            with_cell("data_source", "customs", 1),
            "exporters.csv line 3: breaks the rule: data_source customs is for country CN alone",
        ),
        ("equities", with_cell("ticker", "aa"), "equities.csv line 2: ticker 'aa' breaks the rule"),
        ("power_zones", with_cell("eic", "short"), "power_zones.csv line 2: eic 'short' breaks the rule"),
    ],
)
def test_an_invalid_table_is_an_error_with_file_line_and_rule(
    folder: Path, table: str, change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    edit(folder, table, change)
    with pytest.raises(ReferenceDataError, match=re.escape(message)) as error:
        load_reference(folder)
    assert "\n" not in str(error.value)
    assert str(folder) not in str(error.value)


@pytest.mark.parametrize("body", [b"", b"metal;n\xe4me\n", b'metal,name\n"AL,x\n'])
def test_a_file_that_is_no_csv_is_an_error_that_names_it(folder: Path, body: bytes) -> None:
    (folder / "metals.csv").write_bytes(body)
    with pytest.raises(ReferenceDataError, match=r"^metals\.csv"):
        load_reference(folder)


def test_a_missing_file_is_an_error_that_names_it(folder: Path) -> None:
    (folder / "metals.csv").unlink()
    with pytest.raises(ReferenceDataError, match=r"metals\.csv is missing from the reference folder"):
        load_reference(folder)


def test_an_optional_column_may_be_missing(folder: Path) -> None:
    path = folder / "metals.csv"
    assert [metal.chinese_name for metal in load_reference(folder).scope().metals] == ["铝"]
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    rows.drop(columns="chinese_name").to_csv(path, index=False)
    older = load_reference(folder)
    assert [metal.chinese_name for metal in older.scope().metals] == [""]
    assert "chinese_name" in older["metals"], "the models get the same columns"


def test_another_metal_needs_only_rows(folder: Path) -> None:
    """The metal may use the parameters for all metals; a missing parameter is an error that names it."""
    edit(folder, "metals", lambda rows: pd.concat([rows, rows.assign(metal="CU", name="Copper", westmetall_code="Cu")]))
    with pytest.raises(ReferenceDataError, match=r"parameters\.csv: rent_usd_t_day \(USD/t/day\) has no row for CU"):
        load_reference(folder)
    edit(
        folder,
        "parameters",
        lambda rows: pd.concat(
            [rows, rows[(rows["metal"] == "AL") & ~rows["name"].str.contains("mwh")].assign(metal="CU")]
        ),
    )
    reference = load_reference(folder)
    assert [metal.metal for metal in reference.scope().metals] == ["AL", "CU"]
    assert [metal.westmetall_code for metal in reference.scope(("CU",)).metals] == ["Cu"]
    with pytest.raises(ReferenceDataError, match=r"metal 'XX' is not in metals\.csv; known: AL, CU"):
        reference.scope(("XX",))


@pytest.mark.slow
def test_sources_get_exporters_codes_and_shares(folder: Path) -> None:
    scope = load_reference(folder).scope()
    assert [(e.country, e.name, e.comtrade_code, e.source) for e in scope.exporters] == [
        ("CN", "China", 156, "customs"),
        ("CA", "Canada", 124, "comtrade"),
    ]
    assert scope.tickers == ("AA", "RIO")
    assert [metal.hs_codes for metal in scope.metals] == ["7601 7604 7605 7606 7607"]
    add_copper(folder)
    other = {"name": "Freeport-McMoRan", "metal": "CU"}
    edit(
        folder,
        "equities",
        lambda rows: pd.concat([rows, rows[1:].assign(metal="CU"), rows[:1].assign(ticker="FCX", **other)]),
    )
    tables = load_reference(folder)
    assert tables.scope().tickers == ("AA", "RIO", "FCX")
    assert tables.scope(("AL",)).tickers == ("AA", "RIO")


def test_the_hash_depends_on_the_content_only(folder: Path) -> None:
    before = load_reference(folder).sha256
    assert load_reference(folder).sha256 == before
    edit(folder, "parameters", with_cell("value", "365"))
    assert load_reference(folder).sha256 != before


# --- validated tables that are kept


def test_kept_tables_are_those_of_the_files_and_are_not_validated_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, kept = PROJECT / "data" / "reference", tmp_path / "kept"
    wanted = load_reference(folder)
    wanted.keep(kept)
    wanted.keep(kept)
    [path] = kept.iterdir()
    validated: list[str] = []
    real = reference._validated
    monkeypatch.setattr(reference, "_validated", lambda bodies: validated.append("again") or real(bodies))

    def load(source: Path = folder) -> reference.ReferenceTables:
        reference._load.cache_clear()
        return load_reference(source, kept)

    found = load()
    assert (found.sha256, found.files, validated) == (wanted.sha256, wanted.files, [])
    for name, table in wanted.tables.items():
        pd.testing.assert_frame_equal(found[name], table, obj=name)
    body = path.read_bytes()
    path.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
    pd.testing.assert_frame_equal(load()["parameters"], wanted["parameters"])
    assert validated == ["again"], "damaged"
    path.write_bytes(body)
    monkeypatch.setattr(pd, "__version__", "another")
    load()
    assert validated == ["again"] * 2, "of another version"
    monkeypatch.undo()
    changed = Path(shutil.copytree(folder, tmp_path / "changed"))
    (changed / "parameters.csv").write_text((changed / "parameters.csv").read_text().replace("rank_window", "rank"))
    with pytest.raises(ReferenceDataError, match="rank"):
        load(changed)
    load_reference(folder).keep(kept)
    assert [one.name for one in kept.iterdir()] == [path.name]
