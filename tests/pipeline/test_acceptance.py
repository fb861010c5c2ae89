"""The acceptance fixture through the drop folder: what is published is what two other implementations computed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from acceptance import INPUTS, TOLERANCE, expected
from sandbox import Sandbox, differences

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def published(acceptance_market: Sandbox) -> Sandbox:
    return acceptance_market


@pytest.mark.parametrize(
    ("name", "table", "key"),
    [
        ("A_price", "price_daily", ["obs_date"]),
        ("B_mart_daily", "tightness_daily", ["as_of_date"]),
        ("C_visible_stock", "inventory_visible_monthly", ["period_end"]),
        ("E_power_daily", "power_daily", ["zone", "delivery_date"]),
    ],
)
def test_every_row_and_column_is_published(
    published: Sandbox, acceptance: Path, name: str, table: str, key: list[str]
) -> None:
    wanted, found = expected(acceptance, name), published.query(f"select * from marts.{table}")
    if "resolution" in wanted:
        found["resolution"] = "PT" + found["resolution_min"].astype(str) + "M"
    assert differences(wanted, found, key, TOLERANCE) == []


def test_exports_as_of_a_second(published: Sandbox, acceptance: Path) -> None:
    """Preliminary and revised figures appear at their second and not one before."""
    wanted = expected(acceptance, "D_exports_asof")
    known = [
        published.query(
            """
            select
                period_end as latest_period, exports_yoy, exports_yoy_3m, exports_ytd_yoy,
                score_exports_yoy_3m as score_3m, n_hist as n_3m
            from marts.exports_monthly
            where knowledge_ts <= ?::timestamptz
            order by period_end desc, knowledge_ts desc limit 1
            """,
            moment,
        ).assign(as_of_ts=moment)
        for moment in wanted["as_of_ts"]
    ]
    assert differences(wanted, pd.concat(known), ["as_of_ts"], TOLERANCE) == []


def test_the_series_of_export_changes(published: Sandbox, acceptance: Path) -> None:
    """Every period as last revised; January and February only as a pool."""
    found = published.query(
        """
        select * from marts.exports_monthly where period_end >= '2025-01-01'
        qualify row_number() over (partition by period_end order by vintage_no desc) = 1
        """
    )
    wanted = expected(acceptance, "D_exports_yoy_series")
    assert differences(wanted, found, ["period_end"], TOLERANCE) == []
    assert len(found) == len(wanted)


def test_every_input_row_is_stored_and_none_is_quarantined(published: Sandbox, acceptance: Path) -> None:
    lake, inputs = published.open().lake, acceptance / "inputs"
    for dataset in ("prices", "stocks", "off_warrant", "exports", "rates", "power"):
        given = [pd.read_csv(inputs / f"{name}.csv") for file, name in INPUTS.items() if file.startswith(f"{dataset}/")]
        stored = lake.read(dataset)
        assert len(stored) == sum(map(len, given)), dataset
        assert set(stored["source"]) == {"drop"}
        stated = pd.concat(given)
        if "knowledge_ts" in stated:
            at = set(pd.to_datetime(stated["knowledge_ts"].dropna(), utc=True))
            assert at <= set(stored["knowledge_ts"]), dataset
    assert published.open().quarantine.counts() == {}


def test_no_row_uses_what_became_known_after_its_decision_time(published: Sandbox) -> None:
    [found] = published.query(
        """
        select count(*) filter (where knowledge_ts_max > as_of_ts) as late, max(as_of_ts) as last_decision
        from marts.tightness_daily
        """
    ).itertuples()
    assert found.late == 0
    assert found.last_decision == pd.Timestamp("2026-02-11T18:00:00Z"), "the last one in London before the clock"


def test_the_comparison_can_fail(acceptance: Path) -> None:
    wanted = expected(acceptance, "C_visible_stock")
    other = wanted.assign(visible_t=wanted["visible_t"] + 1e-5)
    assert len(differences(wanted, other, ["period_end"], TOLERANCE)) == len(wanted)
    assert differences(wanted, wanted.drop(columns="visible_t"), ["period_end"], TOLERANCE)
    assert differences(wanted, wanted.iloc[1:], ["period_end"], TOLERANCE)
    assert differences(wanted, wanted.fillna({"offwarrant_yoy": 0}), ["period_end"], TOLERANCE)
