"""Messages of notifications: their texts, facts and keys."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

from pipelines.orchestration.automation.notify import failure_message, transition_message

ROW = {
    "transition_id": "a" * 32,
    "signal_id": "AL.CURVE.CARRY_TIGHTNESS",
    "as_of_ts": datetime(2026, 1, 13, 18, tzinfo=UTC),
    "as_of_date": date(2026, 1, 13),
    "prev_state": "NEUTRAL",
    "state": "TIGHT",
    "value": 1.25,
    "unit": "ratio",
    "quality": "OK",
}


def test_a_transition_message_has_a_sentence_and_its_facts() -> None:
    made = transition_message(ROW, synthetic=True)
    assert made.key == "a" * 32
    assert made.payload["text"] == (
        "SYNTHETIC DEMO DATA: AL.CURVE.CARRY_TIGHTNESS: NEUTRAL to TIGHT as of 2026-01-13 (1.25 ratio, quality OK)"
    )
    assert (made.payload["synthetic"], made.payload["as_of_ts"]) == (True, "2026-01-13T18:00:00Z")
    json.dumps(made.payload)
    real = transition_message(ROW | {"value": float("nan")}, synthetic=False)
    assert (real.payload["synthetic"], real.payload["value"]) == (False, None)
    assert real.payload["text"].startswith("AL.CURVE")
    assert real.key == made.key


def test_a_failure_message_names_run_job_step_and_reason() -> None:
    steps = [("lake__prices", "no page"), ("x", "y")]
    made = failure_message("r1", "fetch_lme", steps, ROW["as_of_ts"], synthetic=False)
    assert made.payload["text"] == "fetch_lme failed: lake__prices: no page (and 1 more); run r1"
    assert made.payload["steps"][0] == {"step": "lake__prices", "reason": "no page"}
    assert (made.key, made.payload["run_id"], made.payload["job"]) == ("run-failed-r1", "r1", "fetch_lme")
