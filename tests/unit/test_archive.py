"""The archive: unchanged payloads, each stored once, and a receipt for each request."""

from __future__ import annotations

import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.sources.base import Payload, Request, SourceError
from pipelines.transports import receipts
from pipelines.transports.archive import Archive
from pipelines.transports.receipts import MAX_OLD_LINES

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
    held = json.loads((archive.root / "entsoe" / "receipts.jsonl").read_text().splitlines()[-1])
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


# --- the log of receipts


def request(number: int) -> Request:
    return Request("entsoe", f"{number}.xml", f"https://publisher.example/{number}", "FR", "")


def log(archive: Archive) -> Path:
    return archive.root / "entsoe" / "receipts.jsonl"


def in_former_layout(archive: Archive) -> None:
    """Put the receipts into a file each, as a former version did."""
    folder = archive.root / "entsoe" / "receipts"
    folder.mkdir()
    for line in log(archive).read_text().splitlines():
        receipt = json.loads(line)
        (folder / f"{receipt['request']['name']}.json").write_text(json.dumps(receipt, indent=1))
    log(archive).unlink()


def test_a_line_that_a_killed_writer_left_is_no_receipt_and_is_removed(archive: Archive) -> None:
    archive.record(REQUEST, [payload(b"one", T1)])
    whole = log(archive).read_bytes()
    for torn in (whole[:40], whole[:-1], b"{"):
        log(archive).write_bytes(whole + torn)
        again = Archive(archive.root)
        assert [p.body for p in again.load(REQUEST)] == [b"one"]
        again.record_error(request(1), "status 503", T2)
        lines = log(archive).read_bytes().splitlines()
        assert [json.loads(line)["request"]["name"] for line in lines] == [REQUEST.name, "1.xml"]
        assert [p.body for p in Archive(archive.root).load(REQUEST)] == [b"one"]


def test_each_of_two_archives_has_what_the_other_one_wrote(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    other, line = Archive(archive.root), receipts._line

    def slow(receipt: receipts.Receipt) -> bytes:
        time.sleep(0.002)  # between what a writer has read and what it writes
        return line(receipt)

    monkeypatch.setattr(receipts, "_line", slow)
    for number, writer in enumerate([archive, other, other, archive]):
        writer.record(request(number), [payload(b"%d" % number, T1)])
        for reader in (archive, other):
            assert [p.body for p in reader.load(request(number))] == [b"%d" % number]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: Archive(archive.root).record_no_data(request(n), T2), range(10, 50)))
    assert all(other.receipt("entsoe", f"{n}.xml") for n in range(10, 50))
    assert len(log(archive).read_bytes().splitlines()) == 44


def test_receipts_of_the_former_layout_are_read_and_moved_by_the_next_writer(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        archive.record(request(number), [payload(b"%d" % number, T1)])
    names = [f"{number}.xml" for number in range(3)]
    wanted = [archive.receipt("entsoe", name) for name in names]
    in_former_layout(archive)
    again = Archive(archive.root)
    assert [again.receipt("entsoe", name) for name in names] == wanted
    assert not log(archive).exists(), "a reader writes nothing"

    def die(self: Path, missing_ok: bool = False) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "unlink", die)
        again.record_no_data(request(2), T2)
    moved = Archive(archive.root)
    moved.record_no_data(request(1), T3)
    assert not (archive.root / "entsoe" / "receipts").exists()
    receipts = [Archive(archive.root).receipt("entsoe", name) for name in names]
    assert [receipt.captures for receipt in receipts] == [receipt.captures for receipt in wanted]
    assert [receipt.no_data_at and receipt.no_data_at[:10] for receipt in receipts] == [
        None,
        "2026-02-03",
        "2026-02-02",
    ]


@pytest.mark.slow
def test_the_log_is_written_anew_where_most_of_its_lines_are_old(archive: Archive) -> None:
    other = Archive(archive.root)
    archive.record(REQUEST, [payload(b"one", T1)])
    assert len(other.load(REQUEST)) == 1
    archive.record(REQUEST, [payload(b"two", T2)])
    for number in range(MAX_OLD_LINES + 10):
        archive.record_no_data(request(1), T2 + timedelta(seconds=number))
    assert len(log(archive).read_bytes().splitlines()) < 100
    last = (T2 + timedelta(seconds=MAX_OLD_LINES + 9)).isoformat(timespec="microseconds")
    for one in (archive, other, Archive(archive.root)):
        assert [p.body for p in one.load(REQUEST)] == [b"one", b"two"]
        assert one.receipt("entsoe", "1.xml").no_data_at == last
