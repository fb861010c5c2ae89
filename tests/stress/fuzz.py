"""Corrupted responses: `python -m tests.stress.fuzz --payloads 10000 --seed 1`.

Takes good responses of every source, from the generated market and from a folder of recordings, and corrupts each at
random, by seed: bytes, lines, numbers, names, JSON values, pieces of other responses, members of workbooks. A parser
must return rows or raise `SourceError` or `NoData`; each row must pass the schema or be rejected by it; no parse may
take longer than ten seconds. Exit code 1 when one does otherwise; `--keep` stores the payloads that caused it.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import re
import signal
import sys
import time
import traceback
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Final

import numpy as np
import pandas as pd

from pipelines.common.settings import PROJECT
from pipelines.lake.validate import validate
from pipelines.reference import load_reference
from pipelines.sources import SOURCES
from pipelines.sources.base import NoData, Parsed, Payload, Scope, SourceError
from pipelines.sources.parsing import dtypes
from schemas.datasets import DATASETS

NOW: Final = datetime(2026, 1, 14, 18, tzinfo=UTC)
MONTHS: Final = tuple(pd.Period(month, "M") for month in ("2019-10", "2024-12", "2025-10", "2026-01"))
MAX_PARSE_S: Final = 10.0
MAX_BYTES: Final = 10_000  # of a good response: a longer one is cut to whole lines, so that many can be tried
BATCH: Final = 500  # frames that are validated at once
ZIP: Final = b"PK\x03\x04"

# Replacements of numbers, names and dates.
ODD: Final = (
    *("", " ", "-", ".", "..", "\u2026", "null", "NaN", "nan", "Infinity", "-Infinity", "true", "[]", "{}", '"', "'"),
    *("0", "-0", "-1", "1e308", "1e999", "-1e999", "1_000", "1,000", "1.234,56", "0x10", "\u096f", "\uff11"),
    *("9" * 30, "9" * 400, "0." + "0" * 300 + "1", "2147483648", "9223372036854775808", "-9223372036854775809"),
    *("0000-00-00", "2024-02-30", "9999-12-31", "0001-01-01", "2262-04-12", "10000-01-01", "31. February 2024"),
    *("\x00", "\x1b[2J", "\u202e", "\u00a0", "\ufeff", "=cmd()", "</table>", "<!--", "<", "]]>", "&#0;", "&x;"),
)  # fmt: skip
JSON_ODD: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1e308, 10**30, float("nan"), float("inf"), "", "x", "NaN", [], {}, [None], {"": None}),
    *("2024-02-30", "9" * 400, -(2**63) - 1, [[]], {"value": {}}),
)


@dataclass(frozen=True)
class Case:
    """One corrupted response: the source, its number under the seed, and the steps that corrupted it."""

    source: str
    number: int
    steps: tuple[str, ...]
    payload: Payload


@dataclass
class Result:
    """The outcomes of a source's corrupted responses."""

    source: str
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    faults: list[tuple[Case, str]] = field(default_factory=list)


# --- good responses


def seeds(recordings: Path | None = None) -> dict[str, list[Payload]]:
    """Good responses by source: the generated market's, and those of a folder in the replay layout."""
    from pipelines.transports.demo import DemoTransport
    from pipelines.transports.replay import ReplayTransport

    scope = everything()
    transports: list[Any] = [DemoTransport(NOW, scope)]
    if recordings is not None:
        transports.append(ReplayTransport(recordings, NOW))
    found: dict[str, list[Payload]] = {}
    for name, source in SOURCES.items():
        months = [*MONTHS, *(pd.Period(f"{year}-01", "M") for year in range(2020, 2025))]
        requests = dict.fromkeys(request for month in months for request in source.requests(month, scope))
        responses: dict[bytes, Payload] = {}
        for request in requests:
            for transport in transports:
                try:
                    responses |= {p.body: _short(p) for p in transport.fetch(request)}
                except (NoData, SourceError):
                    continue
        found[name] = list({p.body: p for p in responses.values()}.values())
    return found


def everything() -> Scope:
    """The committed reference tables' scope."""
    return load_reference(PROJECT / "data" / "reference").scope(())


def _short(payload: Payload) -> Payload:
    """A long response of lines without its middle; others as they are."""
    if len(payload.body) <= MAX_BYTES or payload.body.startswith(ZIP) or payload.body[:1] in b"{[":
        return payload
    lines = payload.body.split(b"\n")
    keep = max(2, len(lines) * MAX_BYTES // len(payload.body) // 2)
    return replace(payload, body=b"\n".join([*lines[:keep], *lines[-keep:]]))


# --- ways to corrupt a response, each a pure function of the bytes and a source of chance

Corruption = Callable[[bytes, random.Random, bytes], bytes]


def flip(body: bytes, chance: random.Random, _: bytes) -> bytes:
    """Change some bytes."""
    changed = bytearray(body)
    for _n in range(chance.randint(1, 8)):
        if changed:
            changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def cut(body: bytes, chance: random.Random, _: bytes) -> bytes:
    """Cut the end, or the beginning."""
    at = chance.randrange(len(body) + 1)
    return body[:at] if chance.random() < 0.8 else body[at:]


def drop(body: bytes, chance: random.Random, _: bytes) -> bytes:
    """Delete a piece."""
    start, end = _piece(body, chance)
    return body[:start] + body[end:]


def repeat(body: bytes, chance: random.Random, _: bytes) -> bytes:
    """Repeat a piece many times."""
    start, end = _piece(body, chance, 200)
    return body[:end] + body[start:end] * chance.choice((1, 2, 50)) + body[end:]


def splice(body: bytes, chance: random.Random, other: bytes) -> bytes:
    """Replace a piece by one of another response."""
    start, end = _piece(body, chance)
    first, last = _piece(other, chance)
    return body[:start] + other[first:last] + body[end:]


def lines(body: bytes, chance: random.Random, _: bytes) -> bytes:
    """Reorder, delete or double lines, or the pieces between tags."""
    mark = b"\n" if body.count(b"\n") > 3 else b">" if b"<" in body else b","
    parts = body.split(mark)
    start, end = sorted(chance.randrange(len(parts) + 1) for _n in range(2))
    middle = parts[start:end]
    chance.shuffle(middle)
    return mark.join([*parts[:start], *chance.choice(([], middle, middle * 2)), *parts[end:]])


def odd(body: bytes, chance: random.Random, _: bytes) -> bytes:
    """Replace numbers or words by odd ones."""
    found = list(re.finditer(chance.choice((rb"-?\d[\d.,]*", rb"[A-Za-z_]{2,}", rb'"[^"]*"', rb">[^<]*<")), body))
    for match in sorted(chance.sample(found, min(len(found), chance.randint(1, 5))), key=lambda m: -m.start()):
        text = chance.choice(ODD).encode("utf-8", "surrogatepass")
        text = b">" + text + b"<" if match[0].startswith(b">") else text
        body = body[: match.start()] + text + body[match.end() :]
    return body


def recode(body: bytes, chance: random.Random, _: bytes) -> bytes:
    """Encode the same text differently."""
    text = body.decode("utf-8", "replace")
    encoding = chance.choice(("utf-16", "utf-32", "latin-1", "utf-8-sig", "gb18030", "utf-7"))
    return text.encode(encoding, "replace")


def node(body: bytes, chance: random.Random, _: bytes) -> bytes:
    """Replace or delete a value of a JSON document, or nest it very deeply."""
    try:
        root = json.loads(body)
    except (ValueError, RecursionError):
        return flip(body, chance, body)
    for _n in range(chance.randint(1, 3)):
        holder, key = _place(root, chance)
        if holder is None:
            root = chance.choice(JSON_ODD)
        elif (what := chance.random()) < 0.2:
            del holder[key]
        elif what < 0.25:
            return json.dumps(root).encode()[:-1] + b"[" * 5000
        else:
            holder[key] = chance.choice(JSON_ODD)
    return json.dumps(root).encode()


def member(body: bytes, chance: random.Random, other: bytes) -> bytes:
    """Corrupt a member of a workbook, and pack the workbook again."""
    sink = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(body)) as archive, zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as packed:
        members = archive.infolist()
        sheets = [held for held in members if "sheet" in held.filename.lower()]
        chosen = chance.choice(sheets or members)
        for held in members:
            content = archive.read(held)
            content = chance.choice(TEXT)(content, chance, content) if held is chosen else content
            # With its own time: the same seed must give the same bytes.
            about = zipfile.ZipInfo(held.filename, held.date_time)
            packed.writestr(about, content, zipfile.ZIP_DEFLATED)
    return sink.getvalue()


TEXT: Final[tuple[Corruption, ...]] = (flip, cut, drop, repeat, splice, lines, odd, odd, odd, recode)


def _piece(body: bytes, chance: random.Random, longest: int = 2000) -> tuple[int, int]:
    start = chance.randrange(len(body) + 1)
    return start, min(len(body), start + chance.randint(1, longest))


def _place(root: Any, chance: random.Random) -> tuple[Any, Any]:
    """A random place in a JSON document: its container and key; None for the document itself."""
    holder, key, here = None, None, root
    while isinstance(here, dict | list) and here and (holder is None or chance.random() < 0.8):
        holder = here
        key = chance.choice(list(here)) if isinstance(here, dict) else chance.randrange(len(here))
        here = holder[key]
    return holder, key


def case(source: str, good: Sequence[Payload], seed: int, number: int) -> Case:
    """The corrupted response of a number: one to three steps away from a good one."""
    chance = random.Random(f"{seed}/{source}/{number}")
    payload, other = chance.choice(good), chance.choice(good).body
    body, steps = payload.body, []
    for _n in range(chance.choice((1, 1, 2, 3))):
        ways: tuple[Corruption, ...] = TEXT
        if body.startswith(ZIP):
            ways = (*TEXT[:5], *([member] * 15)) if zipfile.is_zipfile(io.BytesIO(body)) else TEXT
        elif body[:1] in b"{[":
            ways = (*TEXT, *([node] * 10))
        way = chance.choice(ways)
        steps.append(way.__name__)
        try:
            body = way(body, chance, other)
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            ValueError,
            OSError,
            NotImplementedError,
            RuntimeError,
        ):  # a workbook that an earlier step has corrupted
            body = flip(body, chance, other)
    return Case(source, number, tuple(steps), replace(payload, body=body))


# --- checks


def fuzz(source: str, good: Sequence[Payload], payloads: int, seed: int) -> Result:
    """Parse so many corrupted responses of a source and count the outcomes."""
    result, scope = Result(source), everything()
    batch: list[tuple[Case, str, pd.DataFrame]] = []
    for number in range(payloads):
        corrupted = case(source, good, seed, number)
        begun = time.monotonic()
        problems: list[str] = []
        try:
            with _limit(MAX_PARSE_S):
                parsed = SOURCES[source].parse(corrupted.payload, scope)
            if not (problems := list(wrong(source, parsed))):
                batch += [(corrupted, name, rows) for name, rows in parsed.frames.items() if len(rows)]
            outcome = "rows" if any(map(len, parsed.frames.values())) else "no rows"
        except (SourceError, NoData) as error:
            problems = [] if str(error).strip() else ["an error without a text"]
            outcome = type(error).__name__
        except Exception as error:  # any other exception would end a run
            problems, outcome = [_described(error)], "fault"
        took = time.monotonic() - begun
        if took > MAX_PARSE_S and outcome != "fault":  # a parser may have caught the alarm
            problems.append(f"took {took:.1f} s")
        result.outcomes[outcome] += 1
        result.slowest_s = max(result.slowest_s, took)
        result.faults += [(corrupted, problem) for problem in problems]
        if len(batch) >= BATCH or number == payloads - 1:
            result.faults += _unknown(batch)
            batch = []
    return result


def wrong(source: str, parsed: Parsed) -> Iterator[str]:
    """Differences of the rows of a response from the schemas."""
    for dataset, rows in parsed.frames.items():
        if dataset not in SOURCES[source].DATASETS:
            yield f"rows of {dataset}, which the source does not serve"
            continue
        expected = pd.DataFrame(columns=list(dtypes(dataset))).astype(dtypes(dataset))
        if list(rows.columns) != list(expected.columns):
            yield f"{dataset} has the columns {list(rows.columns)}"
        elif (rows.dtypes != expected.dtypes).any():
            yield f"{dataset} has the types {rows.dtypes.astype(str).to_dict()}"
        elif rows.duplicated(list(DATASETS[dataset].key)).any():
            yield f"{dataset} has one observation twice"
    for bad in parsed.rejected:
        if not all(isinstance(text, str) for text in (bad.where, bad.raw, bad.reason)) or not bad.reason:
            yield f"a rejected row without where, what or why: {bad}"


def unknown(dataset: str, rows: pd.DataFrame) -> Iterator[str]:
    """Errors of validation: each row must pass or be rejected, and none may pass with an infinite number."""
    checked = validate(dataset, rows)
    rejected = len(set(checked.rejected["row"]))
    if len(checked.good) + rejected != len(rows):
        yield f"{dataset}: of {len(rows)} rows {len(checked.good)} pass and {rejected} are rejected"
    if np.isinf(checked.good.select_dtypes("number").to_numpy(dtype=float)).any():
        yield f"{dataset}: an infinite number passes"


def _unknown(batch: list[tuple[Case, str, pd.DataFrame]]) -> Iterator[tuple[Case, str]]:
    """The same for many responses. Validation takes as long for one row as for a thousand: rows are validated in one
    frame, each observation once a round, and response by response only after a round with an error."""
    for dataset in dict.fromkeys(name for _, name, _ in batch):
        own = [(corrupted, rows) for corrupted, name, rows in batch if name == dataset]
        left = pd.concat([rows for _, rows in own], ignore_index=True).drop_duplicates(ignore_index=True)
        while len(left):
            again = left.duplicated(list(DATASETS[dataset].key))
            try:
                is_wrong = any(unknown(dataset, left[~again].reset_index(drop=True)))
            except Exception:  # reported below, with its response
                is_wrong = True
            if is_wrong:
                for corrupted, rows in own:
                    try:
                        yield from ((corrupted, problem) for problem in unknown(dataset, rows))
                    except Exception as error:
                        yield corrupted, f"{dataset}: {_described(error)}"
                break
            left = left[again].reset_index(drop=True)


def _described(error: Exception) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {str(error)[:200]} ({Path(where.filename).name}:{where.lineno})"


@contextmanager
def _limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError inside the block when it takes longer. Main thread only."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stress.fuzz", description=__doc__)
    parser.add_argument("--payloads", type=int, default=10_000, help="for each source")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--source", action="append", help="all unless given")
    parser.add_argument("--recordings", type=Path, help="good responses, in the replay layout")
    parser.add_argument("--keep", type=Path, help="a folder for payloads that caused a fault")
    args = parser.parse_args()
    faults = 0
    for source, good in seeds(args.recordings).items():
        if args.source and source not in args.source:
            continue
        begun = time.monotonic()
        result = fuzz(source, good, args.payloads, args.seed)
        faults += len(result.faults)
        outcomes = ", ".join(f"{name} {count}" for name, count in result.outcomes.most_common())
        took = f"slowest {result.slowest_s:.2f} s, {time.monotonic() - begun:.0f} s in all"
        sys.stdout.write(f"{source}: {len(good)} good responses, {args.payloads} corrupted ones: {outcomes}; {took}\n")
        for corrupted, problem in result.faults[:10]:
            sys.stdout.write(f"  {corrupted.number} ({', '.join(corrupted.steps)}): {problem}\n")
            if args.keep:
                args.keep.mkdir(parents=True, exist_ok=True)
                (args.keep / f"{source}-{args.seed}-{corrupted.number}").write_bytes(corrupted.payload.body)
        sys.stdout.flush()
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
