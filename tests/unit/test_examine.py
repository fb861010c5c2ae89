"""Answers on their way into the archive: what is refused is kept for study and disturbs nothing, what is known is let
through unread."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support import Place

from pipelines import asking
from pipelines.asking import FetchReport
from pipelines.sources.base import Request
from pipelines.transports.demo import DemoTransport

MONTHS = ("2026-10", "2026-11")
FIRST, LATER, LAST = (f"2026-11-{day}T20:00:00Z" for day in (18, 19, 20))


PAGE = Request("westmetall", "westmetall_lme_al_2026.html", "https://example.org", "AL", "2026")


def page(place: Place) -> bytes:
    """The demo market's page of the year, as a recording."""
    workspace = Place(place.root, "demo", place.now).open()
    return DemoTransport(workspace.now, workspace.scope).fetch(PAGE)[-1].body


def in_thousands(body: bytes) -> bytes:
    """A page with its cash price in thousands of USD."""

    def smaller(match: re.Match[bytes]) -> bytes:
        return b"<td >%.4f</td>\n<td >" % (float(match[1].replace(b",", b"")) / 1000)

    return re.sub(rb"<td >([\d,.]+)</td>\n<td >", smaller, body)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A good page, asked for and stored."""
    place = Place(tmp_path, "replay", FIRST)
    place.record(f"westmetall/{PAGE.name}", page(place))
    assert fetched(place).failures == []
    return place


def fetched(place: Place) -> FetchReport:
    return place.ingest(MONTHS, ["prices", "spreads"]).fetched["westmetall"]


def test_a_refused_answer_is_kept_for_study_and_the_lake_rests_on_the_last_good_one(place: Place) -> None:
    stored = place.open().lake.read("prices")
    later = place.at(LATER)
    spoilt = in_thousands(page(later))
    later.record(f"westmetall/{PAGE.name}", spoilt)
    done = later.ingest(MONTHS, ["prices", "fx"])
    [failure] = done.fetched["westmetall"].failures
    assert failure.message.startswith(f"westmetall {PAGE.name}: cash_usd_t between ")
    assert "500 to 200,000 USD/t is plausible: has the unit changed?" in failure.message
    assert [f.message for f in done.read["prices"].failures] == [failure.message], (
        "the receipt tells it to every dataset"
    )
    assert done.read["fx"].failures == []
    assert later.open().lake.read("prices").equals(stored)

    [kept] = (later.data / "quarantine" / "payloads" / "westmetall").glob("*.html")
    assert kept.read_bytes() == spoilt
    about = json.loads(kept.with_suffix(".about.json").read_text())
    assert (about["request"], about["captured_at"]) == (PAGE.name, "2026-11-19T20:00:00+00:00")
    assert any(text in failure.message for text in about["findings"])
    assert later.open().quarantine.payloads() == {"westmetall": 1}
    assert later.open().quarantine.counts() == {}, "an answer is no row"

    before = later.stored()
    assert fetched(later).failures == [failure], "the same answer is refused again"
    assert later.stored() == before, "and kept once"

    last = later.at(LAST)
    last.record(f"westmetall/{PAGE.name}", page(last))
    assert fetched(last).failures == []
    assert last.open().archive.receipt("westmetall", PAGE.name).error is None
    assert len(last.open().lake.read("prices")) == len(stored) + 2


def test_doctor_tells_of_refused_answers(place: Place) -> None:
    later = place.at(LATER)
    later.record(f"westmetall/{PAGE.name}", page(later).replace(b"Cash-Settlement", b"Kasse"))
    report = later.ingest(MONTHS, ["prices"]).read["prices"]
    later.open().note_failures("prices", [*MONTHS], report.failures)
    code, lines, _ = later.call("doctor", "--json")
    told = {finding["what"]: finding for finding in json.loads("\n".join(lines))}
    assert code == 1
    assert "is gone (there are: date, LME Aluminium Kasse" in told[f"westmetall {PAGE.name}"]["detail"]
    assert told["refused answers of westmetall"]["state"] == "warn"


def test_what_is_only_unusual_is_stored_and_told(place: Place) -> None:
    later = place.at(LATER)
    wider = page(later).replace(b"stock</th>", b"stock</th><th>remark</th>")
    later.record(f"westmetall/{PAGE.name}", wider)
    report = fetched(later)
    assert report.failures == []
    [warning] = report.warnings
    assert warning.message == "column 'remark' is new"
    assert (warning.source, warning.request) == ("westmetall", PAGE.name)
    assert len(later.open().archive.load(PAGE)) == 2
    assert fetched(later.at(LAST)).warnings == [], "it is told when it is new"


def test_unchanged_bytes_are_not_examined_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def examined(*_: object) -> None:
        raise AssertionError("examined")

    monkeypatch.setattr(asking, "findings", examined)
    assert fetched(place.at(LATER)).payloads == 1
    place.record(f"westmetall/{PAGE.name}", page(place) + b"\n")
    with pytest.raises(AssertionError, match="examined"):
        fetched(place.at(LAST))


def test_a_part_of_a_recording_that_comes_later_is_no_loss(real: Path, tmp_path: Path) -> None:
    """Two recorded days of one month are two parts of its answer, whichever comes first."""
    place = Place(tmp_path, "replay", "2025-01-10T00:00:00Z")
    months = ("2024-12", "2024-12")
    [recorded] = (real / "payloads" / "energy_charts").glob("price_DE-LU_20241208*.json")
    day = json.loads(recorded.read_text())
    place.record("energy_charts/price_DE-LU_20241208.json", recorded)
    assert place.ingest(months, ["power"]).failures == []
    day["unix_seconds"] = [second + 86_400 for second in day["unix_seconds"]]
    place.record("energy_charts/price_DE-LU_20241209.json", json.dumps(day))
    later = place.at("2025-01-11T00:00:00Z")
    assert later.ingest(months, ["power"]).failures == []
    assert later.open().lake.read("power")["delivery_date"].dt.day.unique().tolist() == [8, 9]


@pytest.mark.slow
def test_the_whole_demo_market_has_no_findings(tmp_path: Path) -> None:
    """Every request of every source, 2008 to 2026, and the next day's after it."""
    today = Place(tmp_path, "demo", FIRST)
    for place, months in ((today, ("2008-01", "2026-11")), (today.at(LATER), MONTHS)):
        done = place.ingest(months)
        assert {name: [*r.failures, *r.warnings] for name, r in done.fetched.items() if r.failures or r.warnings} == {}
        assert done.failures == []
