"""Publication times and release numbers that a drop file states, from the file to the lake."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from sandbox import Sandbox

from pipelines.sources.base import Parsed
from pipelines.sources.nyfed import NyFed

MONTHS = ("2025-11", "2025-12")
HEADER = "metal,country,period_end,period_months,knowledge_ts,vintage,exports_kt\n"
NOVEMBER = "AL,CN,2025-11-30,1,2025-12-09T03:00:00Z,1,{}\n"
FIRST, SECOND = "2026-01-20T20:00:00Z", "2026-01-27T20:00:00Z"


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path, "drop", FIRST)


def stored(sandbox: Sandbox, as_of: str | None = None) -> list[tuple[float, str, str, bool]]:
    """(exports_kt, knowledge_ts, basis, is_suspect) in the order in which they were known."""
    rows = sandbox.open().lake.read("exports", as_of=pd.Timestamp(as_of).to_pydatetime() if as_of else None)
    times = rows["knowledge_ts"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return list(zip(rows["exports_kt"], times, rows["knowledge_basis"], rows["is_suspect"], strict=True))


def ingest(sandbox: Sandbox) -> tuple[int, int, list[str]]:
    """New and revised observations, and the reasons in quarantine; the same run again adds nothing."""
    report = sandbox.ingest(MONTHS, ["exports"]).read["exports"]
    again = sandbox.ingest(MONTHS, ["exports"]).read["exports"]
    assert (again.new, again.revised) == (0, 0)
    return report.new, report.revised, report.rejected["reason"].tolist()


def test_of_two_figures_under_one_release_number_in_one_file_the_later_is_suspect(sandbox: Sandbox) -> None:
    later = NOVEMBER.format(586).replace("12-09", "12-18")
    sandbox.drop("exports/mine.csv", HEADER + later + NOVEMBER.format(571))
    assert ingest(sandbox) == (1, 1, [])
    assert stored(sandbox) == [
        (571.0, "2025-12-09T03:00:00Z", "OBSERVED", False),
        (586.0, "2025-12-18T03:00:00Z", "OBSERVED", True),
    ]
    assert stored(sandbox, "2025-12-18T02:59:59Z") == stored(sandbox)[:1]


@pytest.mark.parametrize("known", ["2025-12-09T03:00:00Z", "2025-12-08T03:00:00Z", ""], ids=["same", "earlier", "none"])
def test_another_figure_under_a_stored_number_in_a_later_file_is_suspect(sandbox: Sandbox, known: str) -> None:
    sandbox.drop("exports/mine.csv", HEADER + NOVEMBER.format(571))
    assert ingest(sandbox) == (1, 0, [])
    before = stored(sandbox)
    sandbox.drop("exports/mine.csv", HEADER + NOVEMBER.format(586).replace("2025-12-09T03:00:00Z", known))
    later = sandbox.at(SECOND)
    assert ingest(later) == (0, 1, [])
    assert stored(later) == [*before, (586.0, SECOND, "OBSERVED", True)]
    assert stored(later, "2026-01-27T19:59:59Z") == before
    # A later run on unchanged files adds nothing.
    assert ingest(sandbox.at("2026-02-03T20:00:00Z")) == (0, 0, [])


def test_two_figures_known_at_one_moment_are_both_quarantined(sandbox: Sandbox) -> None:
    sandbox.drop("exports/mine.csv", HEADER + NOVEMBER.format(571) + NOVEMBER.format(586))
    new, revised, reasons = ingest(sandbox)
    assert (new, revised) == (0, 0)
    assert len(reasons) == 2
    assert all("rows with the same key have different values" in reason for reason in reasons)


def test_a_figure_with_a_new_release_number_is_a_revision_and_not_suspect(sandbox: Sandbox) -> None:
    later = NOVEMBER.format(586).replace("12-09", "12-18").replace(",1,586", ",2,586")
    sandbox.drop("exports/mine.csv", HEADER + NOVEMBER.format(571) + later)
    assert ingest(sandbox) == (1, 1, [])
    assert [row[3] for row in stored(sandbox)] == [False, False]


@pytest.mark.parametrize(
    ("known", "lands"),
    [
        ("2025-11-30T07:59:59Z", False),
        ("2025-11-30T08:00:00Z", True),
        ("2024-12-09T03:00:00Z", False),  # a typing error in the year
    ],
)
def test_a_month_cannot_be_known_before_it_is_over(sandbox: Sandbox, known: str, lands: bool) -> None:
    sandbox.drop("exports/mine.csv", HEADER + NOVEMBER.format(571).replace("2025-12-09T03:00:00Z", known))
    new, _, reasons = ingest(sandbox)
    message = known.replace("Z", "+00:00")
    rule = "known_too_early: the value cannot be known before 08:00 UTC of period_end"
    assert new == lands
    assert reasons == ([] if lands else [f"knowledge_ts={message}, period_end=2025-11-30 breaks {rule}"])
    [where] = sandbox.open().quarantine.read("exports")["where"].tolist() or ["line 2"]
    assert where == "line 2"


@pytest.mark.parametrize(
    ("known", "lands"), [("2026-01-12T23:59:59Z", False), ("2026-01-13T00:00:00Z", True)], ids=["before", "from"]
)
def test_a_knowledge_time_stated_by_a_source_is_not_before_its_period(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, known: str, lands: bool
) -> None:
    sandbox = Sandbox(sandbox.root, "replay", FIRST)
    sandbox.record("nyfed/sofr_2026.json", known)  # the content does not matter: the parser is replaced below
    rates = pd.DataFrame({"rate_id": "SOFR", "obs_date": pd.to_datetime(["2026-01-13"]), "rate_pct": 3.65})
    parsed = Parsed({"rates": rates.assign(knowledge_ts=pd.Timestamp(known))})
    monkeypatch.setattr(NyFed, "parse", lambda self, payload, scope: parsed)
    report = sandbox.ingest(("2026-01", "2026-01"), ["rates"]).read["rates"]
    assert (report.new, len(report.rejected)) == ((1, 0) if lands else (0, 1))
