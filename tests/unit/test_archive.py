"""The archive: unchanged payloads, each stored once, and a receipt for each request."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.sources.base import Payload, Request, SourceError
from pipelines.transports.archive import Archive

T1 = datetime(2026, 2, 1, 12, tzinfo=UTC)
T2, T3 = T1 + timedelta(days=1), T1 + timedelta(days=2)
REQUEST = Request(
    "entsoe",
    "A44_FR_2026-01.xml",
    "https://publisher.example/api?a=1",
    "FR",
    "2026-01",
    ("securityToken", "ENTSOE_API_TOKEN"),
)


def payload(body: bytes, at: datetime) -> Payload:
    return Payload(REQUEST, body, at)


def files(archive: Archive) -> dict[Path, bytes]:
    return {
        path: path.read_bytes() for path in sorted(archive.root.rglob("*")) if path.is_file() and path.suffix != ".lock"
    }


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


def test_a_payload_is_stored_unchanged_under_its_hash(archive: Archive) -> None:
    sha256 = archive.put(payload(b"<x>\r\n\xff", T1))
    assert sha256 == hashlib.sha256(b"<x>\r\n\xff").hexdigest()
    path = archive.root / "entsoe" / sha256[:2] / f"{sha256}.xml"
    assert files(archive) == {path: b"<x>\r\n\xff"}


def test_captures_are_returned_oldest_first_with_their_times(archive: Archive) -> None:
    archive.record(REQUEST, [payload(b"one", T1), payload(b"two", T2)])
    archive.record(REQUEST, [payload(b"three", T3)])
    assert archive.load(REQUEST) == [payload(b"one", T1), payload(b"two", T2), payload(b"three", T3)]


def test_unchanged_bytes_keep_their_first_capture_and_touch_nothing(archive: Archive) -> None:
    archive.record(REQUEST, [payload(b"one", T1), payload(b"two", T2)])
    before = files(archive)
    archive.record(REQUEST, [payload(b"one", T1), payload(b"two", T3)])
    archive.record(REQUEST, [payload(b"two", T3)])
    assert files(archive) == before
    assert [p.captured_at for p in archive.load(REQUEST)] == [T1, T2]


def test_bytes_that_come_back_after_others_are_a_new_capture(archive: Archive) -> None:
    for body, at in [(b"one", T1), (b"two", T2), (b"one", T3)]:
        archive.record(REQUEST, [payload(body, at)])
    assert [(p.body, p.captured_at) for p in archive.load(REQUEST)] == [(b"one", T1), (b"two", T2), (b"one", T3)]


def test_a_receipt_records_the_request_and_its_outcome(archive: Archive) -> None:
    assert archive.receipt("entsoe", REQUEST.name) is None
    archive.record_error(REQUEST, "status 503", T1)
    failed = archive.receipt("entsoe", REQUEST.name)
    assert failed is not None
    assert (failed.captures, failed.error) == ((), {"at": "2026-02-01T12:00:00.000000+00:00", "message": "status 503"})

    archive.record(REQUEST, [payload(b"one", T2)])
    held = json.loads((archive.root / "entsoe" / "receipts" / "A44_FR_2026-01.xml.json").read_text())
    assert held["request"] == {
        "name": "A44_FR_2026-01.xml", "url": "https://publisher.example/api?a=1", "entity": "FR", "period": "2026-01",
    }  # fmt: skip
    sha256 = hashlib.sha256(b"one").hexdigest()
    assert held["captures"] == [{"sha256": sha256, "captured_at": "2026-02-02T12:00:00.000000+00:00", "bytes": 3}]
    assert held["error"] is None

    archive.record_no_data(REQUEST, T3)
    empty = archive.receipt("entsoe", REQUEST.name)
    assert empty is not None
    assert (empty.error, empty.no_data_at) == (None, "2026-02-03T12:00:00.000000+00:00")
    archive.record_error(REQUEST, "status 500", T3)
    assert [p.body for p in archive.load(REQUEST)] == [b"one"], "captures stay when a later attempt fails"


def test_a_request_without_a_response_has_no_payloads(archive: Archive) -> None:
    assert archive.load(REQUEST) == []


@pytest.mark.parametrize(
    ("corrupt", "state"), [(lambda p: p.write_bytes(b"oNe"), "damaged"), (lambda p: p.unlink(), "missing")]
)
def test_a_damaged_or_missing_payload_is_reported_and_restored_by_the_next_fetch(
    archive: Archive, corrupt, state: str
) -> None:  # type: ignore[no-untyped-def]
    archive.record(REQUEST, [payload(b"one", T1)])
    [path] = archive.root.glob("entsoe/??/*.xml")
    corrupt(path)
    with pytest.raises(SourceError, match=f"the archived payload entsoe/.*xml is {state}") as error:
        archive.load(REQUEST)
    assert str(archive.root) not in str(error.value)
    archive.record(REQUEST, [payload(b"one", T2)])
    assert archive.load(REQUEST) == [payload(b"one", T1)]


@pytest.mark.parametrize("name", ["../../escape.csv", "a/b.csv", ".hidden", "", "x" * 3 + "\\y:z?.html"])
def test_names_cannot_leave_the_archive_or_collide(archive: Archive, name: str) -> None:
    request = Request("fred", name, "https://publisher.example/")
    other = Request("fred", name.replace("/", "_").replace("\\", "_"), "https://publisher.example/")
    archive.record(request, [Payload(request, b"one", T1)])
    if other.name != name:
        archive.record(other, [Payload(other, b"two", T1)])
    assert [p.body for p in archive.load(request)] == [b"one"]
    root = archive.root.resolve()
    assert all(path.resolve().is_relative_to(root / "fred") for path in files(archive))
    assert not (root.parent / "escape.csv").exists()


def test_a_crash_during_a_write_keeps_the_previous_receipt(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.record(REQUEST, [payload(b"one", T1)])

    def die(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", die)
        archive.record(REQUEST, [payload(b"two", T2)])
    assert [p.body for p in archive.load(REQUEST)] == [b"one"]


def test_a_capture_without_zone_is_rejected(archive: Archive) -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        archive.record(REQUEST, [payload(b"one", T1.replace(tzinfo=None))])
