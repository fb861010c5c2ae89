"""marts.power_daily at scale, without the product's models: each step is a program of its own.

`python -m benchmarks.power generate ZONES`          a lake of ten years of quarter hours, in the folder of the settings
`python -m benchmarks.power sql LAKE REFERENCE AS_OF DATABASE`     power.sql, the same table by one plain query
`python -m benchmarks.power sql_by_year …`                         the same query for one year at a time
`python -m benchmarks.power pandas LAKE REFERENCE AS_OF DATABASE`  the same by a plain pandas script
`python -m benchmarks.power compare DATABASE OTHER`                their rows, and every difference

Each prints JSON: its cost, like `benchmarks.models`, and what it found.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.measure import own_cpu_s
from pipelines.common.calendar import to_utc
from pipelines.lake.parquet import write_parquet
from pipelines.lake.record import Entry, file_sha256
from pipelines.lake.store import Lake
from pipelines.warehouse.sql import fetch_one, identifier, reader, sql_literal
from pipelines.workspace import Workspace
from schemas.generate.arrow import arrow_schema

FIRST, LAST = np.datetime64("2016-10", "M"), np.datetime64("2026-09", "M")
TIMEZONE: Final = "Europe/Berlin"
QUARTER_HOUR_S: Final = 15 * 60
ROWS_A_FILE: Final = 1_500_000  # about: a lake merges files up to 2 million rows
MEMORY: Final = "3GB"  # for the plain query, which needs as much for a year of 450 zones
SCRIPT: Final = Path(__file__).with_name("power.sql")
TABLE: Final = "marts.power_daily"
TOLERANCE: Final = 1e-9  # sums of floats in another order


# --- the generated lake


def generate(workspace: Workspace, zones: int, first: np.datetime64 = FIRST) -> int:
    """Write prices of that many zones from a month on, and the exchange rate, in as many files as a lake has.

    Each local day has 92, 96 or 100 quarter hours. In every month one day of a zone in 45 is missing, and the next one
    was published a second time with other prices. Returns the number of rows of power.
    """
    months = np.arange(first, LAST + 1)
    days = np.arange(months[0].astype("datetime64[D]"), (LAST + 1).astype("datetime64[D]"))
    _store(workspace.lake, "fx", _rates(days))
    rows = 0
    step = max(1, ROWS_A_FILE // (zones * 96 * 31))
    for start in range(0, len(months), step):
        numbers = range(start, min(start + step, len(months)))
        table = pa.concat_tables(_month(months[number], number, zones) for number in numbers)
        _store(workspace.lake, "power", table)
        rows += table.num_rows
    return rows


def _store(lake: Lake, name: str, table: pa.Table) -> None:
    """Place rows as a file of the lake, with its line in the record."""
    path = write_parquet(lake.root / name, table, pc.max(table["ingest_ts"]).as_py())
    lake.record(name).append([Entry(path.name, file_sha256(path))])


def _month(month: np.datetime64, number: int, zones: int) -> pa.Table:
    days = np.arange(month.astype("datetime64[D]"), (month + 1).astype("datetime64[D]") + 1)
    counts = np.diff(to_utc(days, "00:00", TIMEZONE).as_unit("s").asi8) // QUARTER_HOUR_S
    known = to_utc(days[:-1] - 1, "12:45", TIMEZONE).as_unit("us").asi8
    # Parts of equal zone, day and vintage, in the order of the lake: by key, then by knowledge time.
    parts = [(zone, day, 1) for zone in range(zones) for day in range(len(counts))]
    special = range(number % 45, zones, 45)
    parts = sorted({*parts} - {(zone, 9, 1) for zone in special} | {(zone, 10, 2) for zone in special})
    zone, day, vintage = np.array(parts).T
    length = counts[day]
    last = np.cumsum(length)
    part = np.repeat(np.arange(len(parts)), length)
    position = np.arange(last[-1]) - np.repeat(last - length, length) + 1
    noise = np.random.default_rng([number, zones])
    level = 60 + 25 * np.sin(number / 6) + noise.normal(0, 20, len(parts)) + 7 * (vintage - 1)
    shape = 25 * np.sin(position / 96 * 4 * np.pi - 1.5) + noise.normal(0, 6, len(position))
    price = np.round(level[part] + shape, 2)
    names = [f"ZONE-{n:03d}" for n in range(zones)]
    hashes = [hashlib.sha256(f"{month} {name}".encode()).hexdigest() for name in names]
    delivery = days.astype("int64").astype("int32")[day][part]
    knowledge = known[day] + (vintage - 1) * 86_400_000_000
    given = {
        "zone": _text(names, zone[part]),
        "delivery_date": delivery,
        "resolution": _text(["PT15M"], part * 0),
        "n_positions": length[part],
        "position": position,
        "price_eur_mwh": price,
        "obs_start": delivery,
        "obs_end": delivery,
        "payload_sha256": _text(hashes, zone[part]),
        "vintage_no": vintage[part],
    }
    return _stored("power", given, knowledge[part], knowledge[part], "energy_charts")


def _rates(days: np.ndarray[Any, Any]) -> pa.Table:
    weekdays = days[np.is_busday(days)]
    known = to_utc(weekdays, "16:00", TIMEZONE).as_unit("us").asi8
    rate = np.round(1.12 + 0.08 * np.sin(np.arange(len(weekdays)) / 200), 4)
    number = weekdays.astype("int64").astype("int32")
    one = np.zeros(len(weekdays), dtype=int)
    given = {
        "pair": _text(["EURUSD"], one),
        "obs_date": number,
        "rate": rate,
        "obs_start": number,
        "obs_end": number,
        "payload_sha256": _text([hashlib.sha256(b"fx").hexdigest()], one),
        "vintage_no": one + 1,
    }
    return _stored("fx", given, known, known, "ecb")


def _stored(name: str, given: dict[str, Any], known: Any, captured: Any, source: str) -> pa.Table:
    """Columns as the lake stores them, with those that are the same in all rows."""
    same = np.zeros(len(known), dtype=int)
    given |= {
        "knowledge_ts": known,
        "knowledge_basis": _text(["CALENDAR"], same),
        "is_suspect": same.astype(bool),
        "ingest_ts": captured,
        "source": _text([source], same),
        "licence_class": _text(["OPEN"], same),
    }
    schema = arrow_schema(name)
    return pa.Table.from_arrays([pa.array(given[field.name]).cast(field.type) for field in schema], schema=schema)


def _text(values: list[str], index: Any) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.asarray(index, dtype="int32")), pa.array(values))


# --- the same table by hand


def by_sql(lake: Path, reference: Path, as_of: str, database: Path) -> None:
    """Write marts.power_daily into a database file by power.sql. Raises `duckdb.Error`."""
    _by_sql(lake, reference, as_of, database, [(1900, 2999)])


def by_sql_by_year(lake: Path, reference: Path, as_of: str, database: Path) -> None:
    """The same, one year of delivery days after the other: the whole query needs memory for all prices."""
    _by_sql(lake, reference, as_of, database, [(n, n) for n in range(FIRST.item().year, LAST.item().year + 1)])


def _by_sql(lake: Path, reference: Path, as_of: str, database: Path, years: list[tuple[int, int]]) -> None:
    query = SCRIPT.read_text(encoding="utf-8")
    with duckdb.connect(str(database), config={"memory_limit": MEMORY}) as con:
        con.execute(
            f"set TimeZone = 'UTC'; set variable lake = {sql_literal(lake)}; "
            f"set variable reference = {sql_literal(reference)}; "
            f"set variable as_of = {sql_literal(as_of)}::timestamptz; create schema marts"
        )
        for number, (first, last) in enumerate(years):
            con.execute(f"set variable first_day = date '{first}-01-01'; set variable last_day = date '{last}-12-31'")
            con.execute(f"{f'insert into {TABLE}' if number else f'create table {TABLE} as'} {query}")


def by_pandas(lake: Path, reference: Path, as_of: str, database: Path) -> None:
    """Write marts.power_daily into a database file by pandas: every row in memory."""
    import pandas as pd

    moment, key = pd.Timestamp(as_of), ["zone", "delivery_date"]
    columns = [*key, "resolution", "n_positions", "position", "price_eur_mwh"]
    columns += ["knowledge_ts", "source", "knowledge_basis", "licence_class"]
    rows = pd.read_parquet(lake / "power", columns=columns, partitioning=None)
    rows = rows[rows["knowledge_ts"] <= moment].sort_values([*key, "resolution", "position", "knowledge_ts"])
    rows = rows.drop_duplicates([*key, "resolution", "position"], keep="last")
    rows["resolution_min"] = rows["resolution"].str[2:4].astype("int32")
    rows = rows[rows["resolution_min"] == rows.groupby(key)["resolution_min"].transform("min")]
    next_one = rows.groupby(key)["position"].shift(-1)
    rows["units"] = next_one.fillna(rows["n_positions"] + 1) - rows["position"]
    rows["total"] = rows["price_eur_mwh"] * rows["units"]
    days = rows.groupby(key).agg(
        resolution_min=("resolution_min", "first"), n_mtu=("n_positions", "max"), n_points=("position", "size"),
        known=("knowledge_ts", "max"), source=("source", "max"), naive=("price_eur_mwh", "mean"),
        total=("total", "sum"), first=("position", "min"),
    ).reset_index()  # fmt: skip

    fx = pd.read_parquet(lake / "fx", partitioning=None).query("pair == 'EURUSD'")
    days["delivery_date"] = pd.to_datetime(days["delivery_date"])
    fx["obs_date"] = pd.to_datetime(fx["obs_date"])
    candidates = pd.concat(
        days[[*key, "known"]].assign(obs_date=days["delivery_date"] - pd.Timedelta(days=back)) for back in range(11)
    ).merge(fx[["obs_date", "rate", "knowledge_ts"]], on="obs_date")
    candidates = candidates[candidates["known"] >= candidates["knowledge_ts"]].sort_values([*key, "obs_date"])
    days = days.merge(candidates.drop_duplicates(key, keep="last")[[*key, "obs_date", "rate"]], on=key, how="left")

    parameters = pd.read_parquet(reference / "parameters.parquet")
    high, low = (
        float(parameters.loc[parameters["name"] == name, "value"].iloc[0])
        for name in ("power_line_high_usd_mwh", "power_line_low_usd_mwh")
    )
    energy = parameters[parameters["name"] == "mwh_per_t"].sort_values("valid_from")
    since = pd.to_datetime(energy["valid_from"]).to_numpy()
    rows["delivery_date"] = pd.to_datetime(rows["delivery_date"])
    rows = rows.merge(days[[*key, "rate", "first"]], on=key)
    rows = rows[(rows["first"] == 1) & rows["rate"].notna()]  # the other days have no shares
    usd = rows["price_eur_mwh"] * rows["rate"]
    rows["above"], rows["below"] = rows["units"].where(usd > high, 0), rows["units"].where(usd < low, 0)
    days = days.merge(rows.groupby(key)[["above", "below"]].sum().reset_index(), on=key, how="left")
    days.loc[days["first"] > 1, ["total", "naive"]] = None  # no price for the first units of the day
    mwh_per_t = energy["value"].to_numpy()[since.searchsorted(days["delivery_date"].to_numpy(), side="right") - 1]
    result = pd.DataFrame(
        {
            "zone": days["zone"],
            "delivery_date": days["delivery_date"].dt.date,
            "resolution_min": days["resolution_min"],
            "n_mtu": days["n_mtu"].astype("int32"),
            "n_points": days["n_points"].astype("int32"),
            "mean_eur_mwh": days["total"] / days["n_mtu"],
            "naive_mean_of_points_eur_mwh": days["naive"],
            "fx_obs_date": days["obs_date"].dt.date,
            "eurusd": days["rate"],
            "mean_usd_mwh": days["total"] / days["n_mtu"] * days["rate"],
            "power_cost_usd_t": days["total"] / days["n_mtu"] * days["rate"] * mwh_per_t,
            "share_above_115usd": days["above"] / days["n_mtu"],
            "share_below_40usd": days["below"] / days["n_mtu"],
            "knowledge_ts": days["known"],
            "source": days["source"],
            "knowledge_basis": "CALENDAR",
            "licence_class": "OPEN",
        }
    )
    with duckdb.connect(str(database)) as con:
        con.execute("create schema marts")
        con.register("result", result)
        con.execute(f"create table {TABLE} as select * from result")


def differences(ours: Path, other: Path) -> tuple[int, list[str]]:
    """Number of rows of marts.power_daily in `ours`, and every column in which `other` has other values."""
    with reader() as con:
        con.execute(f"attach {sql_literal(ours)} as ours (read_only); attach {sql_literal(other)} as other (read_only)")
        mine, theirs = (
            dict(con.execute(f"select column_name, column_type from (describe {side}.{TABLE})").fetchall())
            for side in ("ours", "other")
        )
        rows, there = (fetch_one(con, f"select count(*) from {side}.{TABLE}")[0] for side in ("ours", "other"))
        joined = f"ours.{TABLE} as o join other.{TABLE} as t using (zone, delivery_date)"
        matched = fetch_one(con, f"select count(*) from {joined}")[0]
        found = [] if rows == there == matched else [f"{rows} rows and {there}, of which {matched} match by key"]
        found += [f"the columns differ: {mine} and {theirs}"] if mine != theirs else []
        for name in mine.keys() & theirs.keys():
            o, t = f"o.{identifier(name)}", f"t.{identifier(name)}"
            near = f"abs({o} - {t}) <= {TOLERANCE}" if mine[name] == "DOUBLE" else "false"
            differs = f"{o} is distinct from {t} and not coalesce({near}, false)"
            if n := fetch_one(con, f"select count(*) from {joined} where {differs}")[0]:
                found.append(f"{name} differs in {n} rows")
        return rows, found


def main(command: str, *args: str) -> int:
    """Run one step and print its cost."""
    begin, cpu = time.perf_counter(), own_cpu_s()
    found: dict[str, Any] = {}
    if command == "generate":
        found["rows"] = generate(Workspace.open(), int(args[0]))
    elif command == "compare":
        found["rows"], found["differences"] = differences(*map(Path, args))
    else:
        lake, reference, as_of, database = args
        programs = {"sql": by_sql, "sql_by_year": by_sql_by_year, "pandas": by_pandas}
        programs[command](Path(lake), Path(reference), as_of, Path(database))
    sys.stdout.write(json.dumps({"wall_s": time.perf_counter() - begin, "cpu_s": own_cpu_s() - cpu} | found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
