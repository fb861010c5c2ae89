"""Copper by configuration: the reference rows that a user would add, derived from aluminium's."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

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


def _append(reference: Path, table: str, make: object) -> None:
    path = reference / f"{table}.csv"
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    pd.concat([rows, make(rows)]).to_csv(path, index=False)  # type: ignore[operator]
