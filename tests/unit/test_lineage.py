"""Column lineage from compiled SQL."""

from __future__ import annotations

from pipelines.warehouse.lineage import column_lineage

TABLES = {
    "lake.rates": ["obs_date", "sofr_pct", "source"],
    "marts.a": ["day", "x", "y"],
    "marts.b": ["day", "sum", "plain", "fixed", "rate"],
}
SQL = """
with added as (
    select day, x + y as sum, x as plain from "warehouse"."marts"."a"
    qualify row_number() over (order by y) > 0
)
select added.*, 1 as fixed, rates.sofr_pct as rate
from added
left join read_parquet('/some/folder/lake/rates/*.parquet', hive_partitioning = false) as rates
    on added.day = rates.obs_date
"""


def test_the_lineage_of_a_column_passes_through_ctes_and_files() -> None:
    assert column_lineage("marts.b", SQL, TABLES) == {
        "day": [["marts.a", "day"]],
        "sum": [["marts.a", "x"], ["marts.a", "y"]],
        "plain": [["marts.a", "x"]],
        "fixed": [],
        "rate": [["lake.rates", "sofr_pct"]],
    }


def test_a_model_that_reads_itself_does_not_come_from_itself() -> None:
    sql = 'select a.x from "warehouse"."marts"."a" as a left join "warehouse"."marts"."b" as b on a.day = b.day'
    tables = {"marts.a": ["day", "x"], "marts.b": ["day", "x"]}
    assert column_lineage("marts.b", sql, tables) == {"x": [["marts.a", "x"]]}


def test_unparsable_sql_has_no_lineage() -> None:
    assert column_lineage("marts.b", "select from where (", TABLES) == {}
