"""Validation: frames rejected whole, rows that go to quarantine with a reason, and rows that pass unchanged."""

from __future__ import annotations

import json
from datetime import date

import numpy as np
import pandas as pd
import pytest

from pipelines.lake.validate import SchemaMismatch, Validated, validate
from schemas.datasets import DATASETS


def stocks(**columns: object) -> pd.DataFrame:
    """Five good days, with columns replaced (a list) or single cells (a dict of row to value)."""
    frame = pd.DataFrame(
        {
            "metal": ["AL"] * 5,
            "obs_date": pd.date_range("2026-01-05", periods=5),
            "total_t": [500.0, 490.0, 480.0, 470.0, 460.0],
            "cancelled_t": [50.0, None, 0.0, 470.0, 1.0],
        }
    )
    for name, value in columns.items():
        if isinstance(value, dict):
            frame[name] = frame[name].astype("object")
            for row, cell in value.items():
                frame.loc[row, name] = cell
        else:
            frame[name] = value
    return frame


def reasons(checked: Validated) -> dict[int, str]:
    return dict(zip(checked.rejected["row"].tolist(), checked.rejected["reason"], strict=True))


def test_a_good_frame_passes_in_its_order_and_in_the_models_types() -> None:
    given = stocks().sample(frac=1, random_state=1)
    checked = validate("stocks", given[["total_t", "obs_date", "cancelled_t", "metal"]])
    assert checked.rejected.empty
    assert checked.good["total_t"].tolist() == given["total_t"].tolist()
    assert {column: str(kind) for column, kind in checked.good.dtypes.items()} == {
        "metal": "str",
        "obs_date": "datetime64[us]",
        "total_t": "float64",
        "cancelled_t": "float64",
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"total_t": {1: -12_500.0}}, "total_t=-12500.0 breaks >= 0"),
        ({"total_t": {1: 5e7 + 1}}, "total_t=50000001.0 breaks <= 50000000"),
        ({"total_t": {1: None}}, "total_t=null breaks not null"),
        ({"total_t": {1: "2,5x8.00"}}, "total_t=2,5x8.00 breaks a number"),
        ({"total_t": {1: float("inf")}}, "total_t=inf breaks a number"),
        ({"metal": {1: "al"}}, "metal=al breaks pattern ^[A-Z]{2}$"),
        ({"metal": {1: 13}}, "metal=13 breaks text"),
        ({"obs_date": {1: "2026-02-30"}}, "obs_date=2026-02-30 breaks a day (YYYY-MM-DD)"),
        ({"obs_date": {1: pd.Timestamp("2026-01-06 09:00")}}, "obs_date=2026-01-06T09:00:00 breaks a day (YYYY-MM-DD)"),
        ({"obs_date": {1: date(9999, 12, 31)}}, "obs_date=9999-12-31 breaks a day (YYYY-MM-DD)"),
        (
            {"cancelled_t": {1: 491.0}},
            "total_t=490.0, cancelled_t=491.0 breaks cancelled_within_total: cancelled_t is more than total_t",
        ),
        ({"metal": {1: "al"}, "total_t": {1: -1.0}}, "metal=al breaks pattern ^[A-Z]{2}$; total_t=-1.0 breaks >= 0"),
    ],
)
def test_an_invalid_row_is_rejected_with_its_reason_and_the_others_pass(change: dict[str, object], reason: str) -> None:
    checked = validate("stocks", stocks(**change))
    assert reasons(checked) == {1: reason}
    assert checked.good["obs_date"].dt.day.tolist() == [5, 7, 8, 9]
    assert checked.positions.tolist() == [0, 2, 3, 4]


def test_a_rejected_row_keeps_its_values_place_and_label() -> None:
    frame = stocks(total_t={3: -1.0}).set_axis([2, 3, 4, 6, 7])
    [row] = validate("stocks", frame).rejected.to_dict("records")
    assert (row["row"], row["label"]) == (3, 6)
    assert json.loads(row["raw"]) == {"metal": "AL", "obs_date": "2026-01-08", "total_t": -1.0, "cancelled_t": 470.0}


def test_rules_over_several_columns() -> None:
    power = pd.DataFrame(
        {
            "zone": "FR", "delivery_date": pd.Timestamp("2026-01-05"), "n_positions": 24,
            "resolution": ["PT60M", "PT15M", "PT60M", "PT5M"], "position": [1, 1, 25, 1], "price_eur_mwh": -5.0,
        }
    )  # fmt: skip
    found = reasons(validate("power", power))
    assert set(found) == {1, 2, 3}
    assert "day_length: n_positions is not a 23-, 24- or 25-hour day" in found[1]
    assert found[2] == "n_positions=24, position=25 breaks position_within_day: position is beyond n_positions"
    assert found[3].startswith("resolution=PT5M breaks one of PT15M, PT30M, PT60M")


@pytest.mark.parametrize("bad", [2.5, "x", 2.0**60])
def test_whole_numbers(bad: object) -> None:
    frame = pd.DataFrame(
        {
            "metal": "AL", "country": "CN", "period_end": pd.to_datetime(["2026-02-28", "2026-03-31"]),
            "period_months": [2.0, bad], "exports_kt": 900.0,
        }
    )  # fmt: skip
    checked = validate("exports", frame)
    assert reasons(checked) == {1: f"period_months={bad} breaks a whole number"}
    assert checked.good["period_months"].dtype == "int64"


EXPORTED = {"metal": "AL", "country": "CN", "period_end": "2026-02-28", "period_months": 2, "exports_kt": 860.0}
POWER = {
    "zone": "FR", "delivery_date": "2026-01-31", "resolution": "PT60M", "n_positions": 24, "position": 1,
    "price_eur_mwh": 50.0,
}  # fmt: skip
PRODUCED = {"metal": "AL", "country": "CN", "period_end": "2026-02-28", "period_months": 2, "production_kt": 7_300.0}
ARBITRAGE = {
    "metal": "AL", "obs_date": "2026-01-13", "shfe_cny_t": 24_500.0, "cif_premium_usd_t": 190.0, "usdcny": 6.98,
    "dest_premium_usd_t": 350.0, "freight_usd_t": 95.0,
}  # fmt: skip
SHARE = {"ticker": "AA", "obs_date": "2026-01-13", "close_usd": 63.0}


@pytest.mark.parametrize(
    ("dataset", "row", "change", "reason"),
    [
        ("production", PRODUCED, {}, None),
        ("production", PRODUCED, {"production_kt": 0.0}, None),
        ("production", PRODUCED, {"production_kt": -1.0}, "production_kt=-1.0 breaks >= 0"),
        ("production", PRODUCED, {"period_months": 3}, "period_months=3 breaks <= 2"),
        ("arbitrage", ARBITRAGE, {}, None),
        (
            "arbitrage",
            ARBITRAGE,
            {"cif_premium_usd_t": None, "dest_premium_usd_t": None, "freight_usd_t": None},
            None,
        ),
        ("arbitrage", ARBITRAGE, {"cif_premium_usd_t": -20.0}, None),
        ("arbitrage", ARBITRAGE, {"shfe_cny_t": None}, "shfe_cny_t=null breaks not null"),
        ("arbitrage", ARBITRAGE, {"usdcny": None}, "usdcny=null breaks not null"),
        ("arbitrage", ARBITRAGE, {"usdcny": 0.14}, "usdcny=0.14 breaks >= 1"),
        ("arbitrage", ARBITRAGE, {"freight_usd_t": -1.0}, "freight_usd_t=-1.0 breaks >= 0"),
        ("equities", SHARE, {"ticker": "BRK-B"}, None),
        ("equities", SHARE, {"ticker": "aa"}, "ticker=aa breaks pattern ^[A-Z][A-Z0-9.-]{0,11}$"),
        ("equities", SHARE, {"close_usd": 0.0}, "close_usd=0.0 breaks > 0"),
    ],
)
def test_rules_of_the_datasets_from_drop_files_only(
    dataset: str, row: dict[str, object], change: dict[str, object], reason: str | None
) -> None:
    good = pd.DataFrame([row | {DATASETS[dataset].period: "2026-01-31"}])
    checked = validate(dataset, pd.concat([good, pd.DataFrame([row | change])], ignore_index=True))
    assert reasons(checked) == ({} if reason is None else {1: reason})


def test_optional_columns_may_be_absent() -> None:
    prices = pd.DataFrame({"metal": ["AL"], "obs_date": pd.to_datetime(["2026-01-05"]), "cash_usd_t": [3000.0]})
    good = validate("prices", prices).good
    assert list(good) == ["metal", "obs_date", "cash_usd_t", "m3_usd_t", "days_cash_to_3m"]
    assert good["m3_usd_t"].isna().all()
    assert str(good["days_cash_to_3m"].dtype) == "Int64"


def test_knowledge_ts_is_carried_through_missing_or_not() -> None:
    times = ["2026-01-06T09:00:00Z", None, "2026-01-08T09:00:00+00:00", "yesterday", None]
    checked = validate("stocks", stocks(knowledge_ts=times))
    assert reasons(checked) == {3: "knowledge_ts=yesterday breaks a moment in UTC"}
    assert str(checked.good["knowledge_ts"].dtype) == "datetime64[us, UTC]"
    assert checked.good["knowledge_ts"].isna().tolist() == [False, True, False, True]
    assert checked.good["knowledge_ts"][0] == pd.Timestamp("2026-01-06 09:00", tz="UTC")


@pytest.mark.parametrize(
    ("dataset", "row", "earliest"),
    [
        ("stocks", {"metal": "AL", "obs_date": "2026-01-31", "total_t": 1.0}, "2026-01-31T00:00:00Z"),
        ("rates", {"obs_date": "2026-01-29", "rate_id": "SOFR", "rate_pct": 3.65}, "2026-01-29T00:00:00Z"),
        ("power", POWER, "2026-01-30T00:00:00Z"),
        ("exports", EXPORTED, "2026-02-28T08:00:00Z"),
        ("production", PRODUCED, "2026-02-28T08:00:00Z"),
    ],
)
def test_a_value_is_not_known_before_its_period(dataset: str, row: dict[str, object], earliest: str) -> None:
    moment = pd.Timestamp(earliest)
    for known, good in ((moment - pd.Timedelta(seconds=1), False), (moment, True), (None, True)):
        # The row of another series without a time does not matter.
        name = next(iter(row))
        other = row | {name: "ZZ"} if isinstance(row[name], str) and name != "obs_date" else row | {name: "2026-01-30"}
        frame = pd.DataFrame([other | {"knowledge_ts": None}, row | {"knowledge_ts": known}])
        frame["knowledge_ts"] = pd.to_datetime(frame["knowledge_ts"], utc=True)
        checked = validate(dataset, frame)
        assert (len(checked.good), len(checked.rejected)) == ((2, 0) if good else (1, 1))


@pytest.mark.parametrize(
    ("dataset", "row", "reason"),
    [
        (
            "stocks",
            {"metal": "AL", "obs_date": "2026-01-31", "total_t": 1.0},
            "knowledge_ts=2025-01-31T09:00:00+00:00, obs_date=2026-01-31 breaks known_too_early: the value cannot "
            "be known before 00:00 UTC of obs_date",
        ),
        (
            "exports",
            EXPORTED,
            "knowledge_ts=2025-01-31T09:00:00+00:00, period_end=2026-02-28 breaks known_too_early: the value cannot "
            "be known before 08:00 UTC of period_end",
        ),
        (
            "power",
            POWER,
            "knowledge_ts=2025-01-31T09:00:00+00:00, delivery_date=2026-01-31 breaks known_too_early: the value cannot "
            "be known before 00:00 UTC of the day before delivery_date",
        ),
    ],
)
def test_too_early_knowledge_is_reported_with_columns_values_and_rule(
    dataset: str, row: dict[str, object], reason: str
) -> None:
    assert reasons(validate(dataset, pd.DataFrame([row | {"knowledge_ts": "2025-01-31T09:00:00Z"}]))) == {0: reason}


def test_a_row_without_a_day_is_not_also_too_early() -> None:
    checked = validate("stocks", stocks(obs_date={1: None}, knowledge_ts="2026-02-01T09:00:00Z"))
    assert reasons(checked) == {1: "obs_date=null breaks not null"}


# --- keys


def test_equal_rows_of_one_key_are_kept_once_whatever_is_missing_in_them() -> None:
    twice = pd.concat([stocks(), stocks().iloc[[1, 3]]])
    checked = validate("stocks", twice)
    assert checked.rejected.empty
    assert checked.good["obs_date"].dt.day.tolist() == [5, 6, 7, 8, 9]
    assert checked.positions.tolist() == [0, 1, 2, 3, 4]


def test_different_rows_of_one_key_are_all_rejected() -> None:
    other = stocks(total_t={1: 491.0}).iloc[[1]]
    checked = validate("stocks", pd.concat([stocks(), other, other]))
    reason = "metal=AL, obs_date=2026-01-06 breaks unique key: rows with the same key have different values"
    assert reasons(checked) == {1: reason, 5: reason, 6: reason}
    assert len(checked.good) == 4


def test_rows_without_a_key_are_not_compared_with_each_other() -> None:
    checked = validate("stocks", stocks(metal={1: None, 2: None}, obs_date=pd.Timestamp("2026-01-05")).iloc[1:3])
    assert reasons(checked) == {0: "metal=null breaks not null", 1: "metal=null breaks not null"}


def test_the_time_of_knowledge_belongs_to_the_key_where_it_is_given() -> None:
    first = stocks(knowledge_ts="2026-01-20T09:00:00Z")
    revised = stocks(knowledge_ts="2026-01-21T09:00:00Z", total_t=499.0)
    assert len(validate("stocks", pd.concat([first, revised])).good) == 10
    clash = pd.concat([first, stocks(knowledge_ts="2026-01-20T09:00:00Z", total_t=499.0)])
    assert len(validate("stocks", clash).rejected) == 10
    untimed = stocks(knowledge_ts=None)
    assert len(validate("stocks", pd.concat([untimed, stocks(knowledge_ts=None, total_t=499.0)])).rejected) == 10


# --- frames that are something else


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            stocks().drop(columns=["total_t", "metal"]),
            "stocks: missing column metal, total_t; expected metal, obs_date, t",
        ),
        (stocks(Total=1), r"stocks: unknown column Total; expected .*\[cancelled_t\], \[knowledge_ts\]"),
        (pd.concat([stocks(), stocks()[["metal"]]], axis=1), "stocks: repeated column metal"),
        (
            stocks(total_t="abc"),
            "stocks: column total_t holds str, for example abc in row 0; expected float64, a number",
        ),
        (stocks(total_t=True), "column total_t holds bool"),
        (stocks(obs_date=20260105), "column obs_date holds int64, for example 20260105 in row 0"),
        (stocks(obs_date=pd.Timestamp("2026-01-05", tz="UTC")), r"column obs_date holds datetime64\[us, UTC\]"),
        (stocks(knowledge_ts=pd.Timestamp("2026-01-05")), r"column knowledge_ts holds datetime64\[us\]"),
        (stocks(metal=1.5), "column metal holds float64"),
    ],
)
def test_a_frame_with_other_columns_is_rejected_whole(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(SchemaMismatch, match=message):
        validate("stocks", frame)


@pytest.mark.parametrize("name", DATASETS)
def test_a_frame_without_rows_is_valid(name: str) -> None:
    checked = validate(name, pd.DataFrame(columns=list(DATASETS[name].model.to_schema().columns)))
    assert (len(checked.good), len(checked.rejected)) == (0, 0)


def test_a_frame_without_a_good_row() -> None:
    checked = validate("stocks", stocks(total_t=-1.0))
    assert (len(checked.good), len(checked.rejected)) == (0, 5)


def test_200k_good_rows_all_pass() -> None:
    n = 200_000
    power = pd.DataFrame(
        {
            "zone": "FR", "delivery_date": pd.date_range("2000-01-01", periods=n // 24 + 1).repeat(24)[:n],
            "resolution": "PT60M", "n_positions": 24, "position": np.arange(n) % 24 + 1, "price_eur_mwh": 50.0,
        }
    )  # fmt: skip
    assert len(validate("power", power).good) == n
