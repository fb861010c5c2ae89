"""Rows of the dataset stocks, as input of the lake."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd


def observed(rows: list[tuple], **more: object) -> pd.DataFrame:
    """Rows (day, total_t, cancelled_t[, knowledge_ts]); the knowledge time is the next morning by default."""
    days = pd.to_datetime([row[0] for row in rows])
    calendar = [f"{day + timedelta(days=1):%Y-%m-%d}T09:00:00Z" for day in days]
    frame = pd.DataFrame(
        {
            "metal": "AL",
            "obs_date": days,
            "total_t": [float(row[1]) for row in rows],
            "cancelled_t": [row[2] for row in rows],
            "obs_start": days,
            "obs_end": days,
            "knowledge_ts": pd.to_datetime(
                [row[3] if len(row) > 3 else c for row, c in zip(rows, calendar, strict=True)]
            ),
            "knowledge_basis": "CALENDAR",
            "source": "westmetall",
            "payload_sha256": "a" * 64,
            "licence_class": "BYO",
        }
    )
    return frame.assign(**more)
