"""Reference tables: read from CSV and validated. Sources get them as a `Scope`, dbt as Parquet."""

from __future__ import annotations

import hashlib
import io
import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pandera.errors
import pyarrow as pa

import schemas
from pipelines.common.files import write_atomically
from pipelines.sources.base import Exporter, Metal, Scope, Zone
from schemas.base import columns_of
from schemas.datasets import DATASETS
from schemas.evaluation import BINS
from schemas.metrics import METRICS
from schemas.reference import ORDERED, PARAMETERS, REFERENCE, Reference


class ReferenceDataError(Exception):
    """An invalid reference file. The message has the file, line, column, value and rule."""


@dataclass(frozen=True, eq=False)
class ReferenceTables:
    """All reference tables, the hash of their files, and the files by name. One object for the same bytes."""

    tables: dict[str, pd.DataFrame]
    sha256: str
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def save(self, folder: Path) -> None:
        """Copy the files into a folder, unless they are there."""
        for name, body in self.files.items():
            if not (folder / name).is_file():
                write_atomically(folder / name, partial(Path.write_bytes, data=body))

    def keep(self, folder: Path) -> None:
        """Store the validated tables as the only content of a folder, for `load_reference`, unless they are there."""
        if _kept(folder, self.sha256) is not None:
            return
        bodies = {name: _arrow_bytes(pa.Table.from_pandas(table)) for name, table in self.tables.items()}
        body = _arrow_bytes(pa.table({"name": list(bodies), "body": list(bodies.values())}))
        path = folder / f"{_program(self.sha256)}-{hashlib.sha256(body).hexdigest()[:16]}.arrow"
        write_atomically(path, partial(Path.write_bytes, data=body))
        for other in folder.iterdir():
            if other != path:
                other.unlink(missing_ok=True)

    def __getitem__(self, name: str) -> pd.DataFrame:
        return self.tables[name]

    def text(self, name: str) -> pd.DataFrame:
        """A table's cells as they are written in its file."""
        return pd.read_csv(io.BytesIO(self.files[f"{name}.csv"]), dtype=str, keep_default_na=False, encoding="utf-8")

    def with_rows(self, rows: Mapping[str, pd.DataFrame]) -> ReferenceTables:
        """These tables with further rows in some of their files. Raises `ReferenceDataError` for an invalid one."""
        bodies = {name.removesuffix(".csv"): body for name, body in self.files.items()}
        for name, added in rows.items():
            bodies[name] = pd.concat([self.text(name), added]).fillna("").to_csv(index=False).encode()
        return _load(tuple(bodies.items()))

    def rows(self, name: str) -> list[dict[str, Any]]:
        """A table's rows as plain dictionaries."""
        return [{str(key): value for key, value in row.items()} for row in self[name].to_dict("records")]

    def scope(self, metals: tuple[str, ...] = ()) -> Scope:
        """Metals, shares, zones and exporters, as sources need them; all metals where none is given.

        Raises `ReferenceDataError` for an unknown metal.
        """
        return _scope(self, metals)


@lru_cache(maxsize=8)
def _scope(tables: ReferenceTables, metals: tuple[str, ...]) -> Scope:
    known = {row["metal"]: row for row in tables.rows("metals")}
    for metal in metals:
        if metal not in known:
            raise ReferenceDataError(f"metal {metal!r} is not in metals.csv; known: {', '.join(known)}")
    return Scope(
        metals=tuple(
            Metal(**{about.name: row[about.name] for about in fields(Metal)})
            for symbol, row in known.items()
            if not metals or symbol in metals
        ),
        zones=tuple(
            Zone(row["zone"], row["eic"], row["timezone"], row["data_source"], row["valid_from"].date())
            for row in tables.rows("power_zones")
        ),
        exporters=tuple(
            Exporter(row["country"], row["name"], int(row["comtrade_code"]), row["data_source"])
            for row in tables.rows("exporters")
        ),
        # A company may produce several metals; its share is requested once.
        tickers=tuple(
            dict.fromkeys(row["ticker"] for row in tables.rows("equities") if not metals or row["metal"] in metals)
        ),
        contracts=tuple(row["contract"] for row in tables.rows("contracts") if not metals or row["metal"] in metals),
        listed=tuple(
            (str(ticker), first.date())
            for ticker, first in tables["equities"].groupby("ticker")["valid_from"].min().items()
        ),
    )


def load_reference(folder: Path, kept: Path | None = None) -> ReferenceTables:
    """Read and validate all tables of `schemas.reference`. Raises `ReferenceDataError` for the first fault.

    `kept`: where `ReferenceTables.keep` has stored tables: those of the same bytes and program are valid.
    """
    bodies: dict[str, bytes] = {}
    for name in REFERENCE:
        path = folder / f"{name}.csv"
        if not path.is_file():
            raise ReferenceDataError(f"{path.name} is missing from the reference folder: copy it from data/reference")
        bodies[name] = path.read_bytes()
    return _load(tuple(bodies.items()), kept)


@lru_cache(maxsize=4)
def _load(bodies: tuple[tuple[str, bytes], ...], kept: Path | None = None) -> ReferenceTables:
    # Every step of a run loads them; the same bytes are validated once in a process.
    digest = hashlib.sha256(b"".join(name.encode() + b"\0" + body + b"\0" for name, body in bodies)).hexdigest()
    tables = _kept(kept, digest) if kept else None
    return ReferenceTables(tables or _validated(bodies), digest, {f"{name}.csv": body for name, body in bodies})


def _validated(bodies: Sequence[tuple[str, bytes]]) -> dict[str, pd.DataFrame]:
    tables = {name: _checked(f"{name}.csv", body, REFERENCE[name]) for name, body in bodies}
    _check_keys(tables)
    _check_times(tables["release_calendar"], tables["power_zones"])
    _check_metals(tables)
    _check_rate_chain(tables["rate_chain"], tables["metals"])
    _check_parameters(tables["parameters"], tables["metals"])
    _check_plan(tables["evaluation_plan"], tables["signal_definitions"])
    return tables


# --- validated tables, kept between processes: validation takes longer than all else that is done with them


def _kept(folder: Path, sha256: str) -> dict[str, pd.DataFrame] | None:
    """The validated tables of files with this hash; None where there are none, or their file is damaged."""
    for path in folder.glob(f"{_program(sha256)}-*.arrow"):
        body = path.read_bytes()
        if path.stem.endswith(f"-{hashlib.sha256(body).hexdigest()[:16]}"):
            rows = pa.ipc.open_stream(body).read_all().to_pylist()
            return {row["name"]: pa.ipc.open_stream(row["body"]).read_all().to_pandas() for row in rows}
    return None


def _arrow_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def _program(sha256: str) -> str:
    """Short hash of the hash of some files, of the rules for them, and of the packages that apply the rules."""
    digest = hashlib.sha256("".join((sha256, pd.__version__, pa.__version__, pandera.__version__)).encode())
    for path in (Path(__file__), *sorted(Path(schemas.__file__).parent.glob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


_KEYS: Final = {
    "metals": ["metal"],
    "power_zones": ["zone"],
    "exporters": ["country"],
    "equities": ["ticker", "metal"],
    "release_calendar": ["dataset", "data_source", "entity", "valid_from"],
}


def _check_keys(tables: dict[str, pd.DataFrame]) -> None:
    for name, key in _KEYS.items():
        repeated = tables[name][tables[name].duplicated(key)]
        if len(repeated):
            row = ", ".join(f"{column} {repeated[column].iloc[0]}" for column in key)
            raise ReferenceDataError(f"{name}.csv line {_lines(repeated)[0]}: duplicate row for {row}: remove one")


def _check_times(calendar: pd.DataFrame, zones: pd.DataFrame) -> None:
    for name, table in (("release_calendar", calendar), ("power_zones", zones)):
        for line, zone in zip(_lines(table), table["timezone"], strict=True):
            try:
                zoneinfo.ZoneInfo(str(zone))
            except (KeyError, ValueError):
                raise ReferenceDataError(
                    f"{name}.csv line {line}: unknown timezone {zone!r}: write for example Europe/London"
                ) from None
    for line, dataset in zip(_lines(calendar), calendar["dataset"], strict=True):
        if dataset not in DATASETS:
            known = ", ".join(DATASETS)
            raise ReferenceDataError(
                f"release_calendar.csv line {line}: unknown dataset {dataset!r}: use one of {known}"
            )


def _check_rate_chain(chain: pd.DataFrame, metals: pd.DataFrame) -> None:
    """Some rate counts on every day on which there may be prices."""
    chain, start = chain.sort_values("valid_from"), metals["valid_from"].min()
    if chain.empty:
        raise ReferenceDataError("rate_chain.csv has no row: copy it from data/reference")
    first = chain.iloc[0]
    if first["valid_from"] > start:
        raise ReferenceDataError(
            f"rate_chain.csv line {_lines(chain)[0]}: the first rate, {first['rate_id']}, counts from "
            f"{first['valid_from']:%Y-%m-%d}, the first metal from {start:%Y-%m-%d}: add a rate for the days before"
        )


def _lines(table: pd.DataFrame | pd.Series) -> list[int]:
    """Line numbers of a table's rows in its file."""
    return [int(label) + 2 for label in table.index.tolist()]


def _check_metals(tables: dict[str, pd.DataFrame]) -> None:
    known = set(tables["metals"]["metal"])
    for name, table in tables.items():
        if "metal" in table and name != "metals":
            unknown = table[~table["metal"].isin([*known, "*"])]
            if len(unknown):
                line, metal = _lines(unknown)[0], unknown["metal"].iloc[0]
                raise ReferenceDataError(f"{name}.csv line {line}: metal {metal!r} is not in metals.csv: add it there")


def _check_plan(plan: pd.DataFrame, signals: pd.DataFrame) -> None:
    """Every test of the evaluation is of a defined signal, on one of its states or on a bin of its score."""
    buckets = {
        (row["signal_id"], row["signal_version"]): METRICS[row["metric_id"]].states
        or (BINS if row["kind"] == "SCORE" or row["unit"] == "index points" else ())
        for row in signals.to_dict("records")
    }
    for line, signal, version, bucket in zip(
        _lines(plan), plan["signal_id"], plan["signal_version"], plan["bucket"], strict=True
    ):
        where = f"evaluation_plan.csv line {line}"
        if signal.startswith("BENCH."):
            continue
        if (signal, version) not in buckets:
            raise ReferenceDataError(f"{where}: {signal} {version} is not in signal_definitions.csv: add it there")
        if bucket not in buckets[signal, version]:
            known = ", ".join(buckets[signal, version]) or "none, as it has neither states nor a score"
            raise ReferenceDataError(f"{where}: {signal} has no bucket {bucket!r}: use one of {known}")


def _check_parameters(parameters: pd.DataFrame, metals: pd.DataFrame) -> None:
    """Each parameter of a formula exists, in its unit and range, for each metal from the metal's first day on.

    One that `begins` may start later.
    """
    every: list[Any] = list(parameters.itertuples())
    since = dict(zip(metals["metal"], metals["valid_from"], strict=True))
    for name, about in PARAMETERS.items():
        rows = [row for row in every if row.name == name]
        for row in rows:
            if row.unit != about.unit:
                raise _at(row, f"unit of {name} is {row.unit!r}: convert the value to {about.unit!r}")
        for row in rows:
            if not about.low <= row.value <= about.high:
                allowed = f"{about.low:g} to {about.high:g} {about.unit}"
                raise _at(row, f"{name} = {row.value:g} is out of range: use {allowed}")
        for row in rows:
            if about.whole and row.value % 1 != 0:
                raise _at(row, f"{name} = {row.value:g} must be a whole number of {about.unit}")
        for row in rows:
            if about.shared and row.metal != "*":
                raise _at(row, f"{name} is for all metals: write metal *")
        for metal, start in since.items():
            first = min((row.valid_from for row in rows if row.metal in (metal, "*")), default=None)
            if first is None and about.smelting:
                continue
            if first is None:
                raise ReferenceDataError(
                    f"parameters.csv: {name} ({about.unit}) has no row for {metal} and none for *: add one"
                )
            if not about.begins and first > start:
                raise ReferenceDataError(
                    f"parameters.csv: {name} for {metal} starts on {first:%Y-%m-%d}, the metal on "
                    f"{start:%Y-%m-%d}: add a row with that valid_from"
                )
    for row in every:
        if row.name not in PARAMETERS:
            raise _at(row, f"{row.name!r} is not a parameter of any formula: check its spelling")
    for metal in since:
        _check_order([row for row in every if row.metal in (metal, "*")], metal)


def _check_order(rows: list[Any], metal: str) -> None:
    """The first of two ordered parameters is not above the second on any day on which one of them changes."""
    for low, high in ORDERED:
        # A row of the metal overrides those of all metals, a later row the earlier ones.
        pair = [row for row in rows if row.name in (low, high)]
        pair.sort(key=lambda row: (row.metal != "*", row.valid_from))
        for day in sorted({row.valid_from for row in pair}):
            in_force = {row.name: row for row in pair if row.valid_from <= day}
            if len(in_force) == 2 and in_force[low].value > in_force[high].value:
                raise _at(
                    in_force[low],
                    f"{low} = {in_force[low].value:g} is more than {high} = {in_force[high].value:g} for {metal} on "
                    f"{day:%Y-%m-%d}: lower the first or raise the second",
                )


def _at(row: Any, problem: str) -> ReferenceDataError:
    return ReferenceDataError(f"parameters.csv line {row.Index + 2}: {problem}")


@lru_cache(maxsize=64)
def _checked(file: str, body: bytes, model: type[Reference]) -> pd.DataFrame:
    try:
        frame = pd.read_csv(
            io.BytesIO(body), dtype=str, keep_default_na=False, encoding="utf-8", skip_blank_lines=False
        )
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        problem = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        raise ReferenceDataError(f"{file}: cannot be read as UTF-8 CSV with a header: {problem}") from None
    frame = frame[(frame != "").any(axis=1)]  # blank lines are skipped; the others keep their line numbers
    about = columns_of(model)
    expected = list(about)
    frame = frame.assign(**{name: "" for name in expected if not about[name]["required"] and name not in frame})
    missing, unknown = set(expected) - set(frame.columns), set(frame.columns) - set(expected)
    if missing or unknown:
        problem = f"column {min(missing)} is missing" if missing else f"column {min(unknown)} is unknown"
        raise ReferenceDataError(f"{file} line 1: {problem}: expected {', '.join(expected)}")
    optional = [name for name, column in about.items() if column["nullable"]]
    frame = frame.assign(**{name: frame[name].where(frame[name] != "") for name in optional})  # empty is missing
    _check_cells(file, frame, model)
    try:
        return model.validate(frame[expected], lazy=True)
    except pandera.errors.SchemaErrors as error:
        raise ReferenceDataError(_first_failure(file, frame, error.failure_cases)) from None


_SPELLINGS: Final[dict[str, tuple[str, str]]] = {
    "datetime64": (r"\d{4}-\d{2}-\d{2}", "must be a day as YYYY-MM-DD"),
    "int64": (r"-?\d{1,15}", "must be a whole number"),
    "float64": (r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?", "must be a number with . for decimals"),
}


def _check_cells(file: str, frame: pd.DataFrame, model: type[Reference]) -> None:
    """Raise `ReferenceDataError` for the first cell whose text is not of its column's type."""
    for name, about in columns_of(model).items():
        kind = next((kind for kind in _SPELLINGS if str(about["dtype"]).lower().startswith(kind)), None)
        given = frame[name].dropna()
        if kind is None or given.empty:
            continue
        pattern, accepted = _SPELLINGS[kind]
        wrong = given[~given.str.fullmatch(pattern)]
        if wrong.empty and kind == "datetime64":
            wrong = given[pd.to_datetime(given, format="%Y-%m-%d", errors="coerce").isna()]
        if len(wrong):
            raise ReferenceDataError(f"{file} line {_lines(wrong)[0]}: {name} {wrong.iloc[0]!r} {accepted}")


def _first_failure(file: str, frame: pd.DataFrame, cases: pd.DataFrame) -> str:
    # The message has the line; for a rule about a single cell, also its column and value.
    case = cases.iloc[0]
    where = "" if pd.isna(case["index"]) else f" line {int(case['index']) + 2}"
    column = case["column"] if case["schema_context"] == "Column" else ""
    value = f" {frame[column].loc[int(case['index'])]!r}" if column and where else ""
    return f"{file}{where}: {column}{value} breaks the rule: {_rule(str(case['check']))}".replace(":  ", ": ")


def _rule(check: str) -> str:
    """A rule in words, where pandera has only a name for it."""
    words = {
        "isin(": "must be one of ",
        "str_matches(": "must match ",
        "greater_than_or_equal_to(": "must be at least ",
        "greater_than(": "must be more than ",
        "less_than_or_equal_to(": "must be at most ",
        "str_length(": "has the wrong length: ",
        "field_uniqueness": "must be unique",
    }
    for name, text in words.items():
        if check.startswith(name):
            return text + check.removeprefix(name).removesuffix(")").strip("[]").replace("'", "")
    return check
