"""Queries of a published database, for the command line: signals and claims, also of a past moment, and evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pipelines.warehouse.sql import Row
from pipelines.warehouse.sql import read_rows as read_database

_SIGNALS = (
    "signal_id, as_of_date, value, unit, score, state, direction, quality, quality_flags, state_since, knowledge_ts_max"
)


class FormerReleaseError(Exception):
    """A release that lacks what this version reads: the missing name, and what to do."""


def read_rows(database: Path, query: str, *parameters: object) -> list[Row]:
    """Rows of a query on a published database. Raises `FormerReleaseError` for a table or column that it lacks."""
    from duckdb import BinderException, CatalogException

    try:
        return read_database(database, query, *parameters)
    except (BinderException, CatalogException) as error:
        reason = str(error).splitlines()[0]
        raise FormerReleaseError(
            f"{database.name} is of an earlier version ({reason}): `tightness run` publishes it anew"
        ) from error


def latest_signals(database: Path, moment: datetime | None = None) -> list[Row]:
    """The newest row of each signal; with a moment, as it was published then."""
    if moment is None:
        return read_rows(database, f"select {_SIGNALS} from signals.signals_latest order by signal_id")
    return read_rows(
        database, f"select {_SIGNALS} from signals.signals_asof(?::timestamptz) order by signal_id", moment
    )


def latest_claims(database: Path, moment: datetime | None = None) -> list[Row]:
    """The newest audit of each claim, as of the moment or earlier."""
    return read_rows(
        database,
        """
        select
            claim_id, claim_text, claim_date, definition, status, explanation, evidence_value, unit, evidence_obs_date,
            evidence_knowledge_ts, as_of_ts, operator, threshold, threshold_high, tolerance, status_at_claim,
            evidence_value_at_claim
        from signals.claim_audit
        where as_of_ts <= coalesce(?::timestamptz, 'infinity'::timestamptz)
        qualify row_number() over (partition by claim_id order by as_of_ts desc) = 1
        order by claim_id
        """,
        moment,
    )


def evaluation(database: Path, signals: Sequence[str] = ()) -> tuple[list[Row], list[Row]]:
    """The summary of each signal, and the tests of these signals; without any, all summaries and no test."""
    chosen = list(signals)
    summary = """
        select * from signals.eval_summary where $1 = [] or list_contains($1, signal_id)
        order by starts_with(signal_id, 'BENCH.'), metal, signal_id, signal_version"""
    tests = "select * from signals.eval_signal where list_contains($1, signal_id) order by all"
    return read_rows(database, summary, chosen), read_rows(database, tests, chosen)
