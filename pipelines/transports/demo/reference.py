"""Reference rows of the demo market's metals that the reference tables do not have.

Derived from the rows of the tables' first metal, and marked as synthetic. What the market does not have for a metal,
such as the costs of its smelters, has no rows.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import pandas as pd

from pipelines.reference import ReferenceTables
from pipelines.transports.demo import levels, market, wire
from schemas.reference import PARAMETERS

TABLES: Final = ("metals", "contracts", "parameters", "index_components", "signal_definitions")


@lru_cache(maxsize=4)  # every step of a run loads them
def add_metals(tables: ReferenceTables, metals: tuple[str, ...]) -> ReferenceTables:
    """The tables with rows for those of the metals that they do not have. KeyError for a metal without levels."""
    missing = [metal for metal in metals if metal not in set(tables["metals"]["metal"])]
    if not missing:
        return tables
    texts = {name: tables.text(name) for name in TABLES}
    first = texts["metals"]["metal"][:1]
    own = {name: rows[rows["metal"].isin(first)] for name, rows in texts.items()}
    own = {name: rows.assign(status="ASSUMPTION", source=f"{wire.NOTE}, rounded") for name, rows in own.items()}
    return tables.with_rows({name: pd.concat([_rows(name, own[name], metal) for metal in missing]) for name in TABLES})


def _rows(name: str, own: pd.DataFrame, metal: str) -> pd.DataFrame:
    """Rows of a table for a metal, from those of another one."""
    about = levels.DESCRIBED[metal]
    rows = own.assign(metal=metal)
    if name == "metals":
        return rows.assign(
            name=about.name,
            lot_t=f"{levels.LOTS.get(metal, market.LOT):g}",
            westmetall_code=metal.title(),
            worldbank_column=levels.WORLD_BANK_COLUMNS[metal],
            fred_series=about.fred_series,
            customs_label=about.customs_label,
            hs_codes="",
            chinese_name=levels.JIN10_NAMES[metal],
        )
    if name == "contracts":
        contract, title = levels.CONTRACTS.get(metal, ("", ""))
        return rows.head(1 if contract else 0).assign(contract=contract, name=title)
    if name == "parameters":
        values = {field: f"{value}" for field, value in about._asdict().items() if field in PARAMETERS}
        rows = rows[[not PARAMETERS[parameter].smelting for parameter in rows["name"]]]
        return rows.assign(value=rows["name"].map(values).fillna(rows["value"]))
    if name == "index_components":
        rows = rows[(rows["region"] == "GLOBAL") | (about.customs_label != "")]
        weight = rows["weight"].astype(float)
        index = ["version", "valid_from"]
        families = rows.assign(weight=weight).drop_duplicates([*index, "family"])
        total = (
            rows[index].merge(families.groupby(index)["weight"].sum().reset_index(), how="left")["weight"].to_numpy()
        )
        return rows.assign(weight=(weight / total).map(repr))
    is_exports = rows["metric_id"].str.startswith("exports_") & (about.customs_label != "")
    rows = rows[(rows["region"] == "GLOBAL") | is_exports]
    return rows.assign(signal_id=metal + "." + rows["signal_id"].str.partition(".")[2])
