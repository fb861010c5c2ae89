"""Queries of a published database, for the command line: the latest signals and claims, or those of a past moment."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pipelines.warehouse.sql import Row, read_rows

_SIGNALS = (
    "signal_id, as_of_date, value, unit, score, state, direction, quality, quality_flags, state_since, knowledge_ts_max"
)


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
