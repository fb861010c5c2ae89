"""Copper by configuration: the reference rows that a user would add, derived from aluminium's."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
from sandbox import Sandbox

from pipelines.common.settings import PROJECT

# Rent and use of copper over the years. All other parameters apply to every metal, or only to those with smelters that
# need much power.
PARAMETERS, CONTRACTS = (
    PROJECT / "data" / "examples" / "copper" / f"{name}.csv" for name in ("parameters", "contracts")
)
LEVELS = {"level_up": 10_000, "level_down": 9_000}
SMELTING = ("POWER", "SMELTER", "SUPPLY")  # families of signals that copper does not have


def add_copper(reference: Path) -> None:
    """Adds copper's rows to a folder of reference tables."""
    _append(reference, "metals", lambda rows: rows.assign(
        metal="CU", name="Copper", westmetall_code="Cu", worldbank_column="Copper", fred_series="PCOPPUSDM",
        customs_label="(?i)unwrought copper", hs_codes="7403 7407 7408 7409 7410 7411",
        chinese_name="铜",
    ))  # fmt: skip
    _append(reference, "contracts", lambda _: pd.read_csv(CONTRACTS, dtype=str, keep_default_na=False))
    _append(reference, "parameters", lambda _: pd.read_csv(PARAMETERS, dtype=str, keep_default_na=False))
    _append(
        reference,
        "parameters",
        lambda rows: rows[rows["name"].isin(list(LEVELS))].assign(
            metal="CU", value=lambda own: own["name"].map(LEVELS).astype(str)
        ),
    )
    _append(reference, "index_components", lambda rows: rows.assign(metal="CU"))
    _append(
        reference,
        "signal_definitions",
        lambda rows: rows[~rows["signal_id"].str.split(".").str[1].isin(SMELTING)].assign(
            metal="CU",
            signal_id=lambda own: own["signal_id"].str.replace("AL.", "CU.", regex=False),
            entity=lambda own: own["entity"].replace("191691", "085692"),  # positions
        ),
    )


def drop_market(sandbox: Sandbox, metal: str, price: float) -> None:
    """A year and a half of a metal's prices and stocks, and four years of exports."""
    days = pd.Series(pd.bdate_range("2024-07-01", "2026-01-21"))
    wave = pd.Series(range(len(days))).map(lambda n: math.sin(n / 9) + n / 400)
    day = days.dt.strftime("%Y-%m-%d")
    cash, m3 = (price * (1 + wave / 50)).round(1), (price * (1 + wave / 60)).round(1)
    sandbox.drop(
        f"prices/{metal}.csv", pd.DataFrame({"metal": metal, "obs_date": day, "cash_usd_t": cash, "m3_usd_t": m3})
    )
    total = (150_000 * (1 - wave / 10)).round()
    sandbox.drop(
        f"stocks/{metal}.csv",
        pd.DataFrame({"metal": metal, "obs_date": day, "total_t": total, "cancelled_t": (total * 0.2).round()}),
    )
    contract = {"AL": "191691", "CU": "085692"}[metal]
    weeks = day[days.dt.day_of_week == 1].reset_index(drop=True)
    long = pd.Series(range(len(weeks))) * 100 + 20_000
    sandbox.drop(
        f"positions/{metal}.csv",
        pd.DataFrame(
            {
                "contract": contract,
                "obs_date": weeks,
                "managed_long": long,
                "managed_short": 15_000,
                "open_interest": 100_000,
            }
        ),
    )
    sandbox.drop(
        f"exchange_stocks/{metal}.csv",
        pd.DataFrame({"metal": metal, "exchange": "SHFE", "obs_date": weeks, "total_t": 90_000.0 + long}),
    )
    sandbox.drop(
        f"stocks_by_location/{metal}.csv",
        pd.concat(
            pd.DataFrame(
                {
                    "metal": metal,
                    "location": place,
                    "obs_date": day,
                    "live_t": live,
                    "cancelled_t": cancelled,
                    "out_t": out,
                }
            )
            for place, live, cancelled, out in (("ROTTERDAM", 30_000, 0, 0), ("KAOHSIUNG", 60_000, 10_000, 500))
        ),
    )
    sandbox.drop(
        f"spreads/{metal}.csv", pd.DataFrame({"metal": metal, "obs_date": day, "spread": "TOM_NEXT", "usd_t": 1.5})
    )
    ends = pd.Series(pd.date_range("2022-01-31", "2025-12-31", freq="ME"))
    sandbox.drop(
        f"exports/{metal}.csv",
        pd.DataFrame(
            {
                "metal": metal, "country": "CN", "period_end": ends.dt.strftime("%Y-%m-%d"), "period_months": 1,
                "exports_kt": [100 + 10 * math.sin(n / 3) for n in range(len(ends))],
            }
        ),
    )  # fmt: skip


def _append(reference: Path, table: str, make: object) -> None:
    path = reference / f"{table}.csv"
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    pd.concat([rows, make(rows)]).to_csv(path, index=False)  # type: ignore[operator]
