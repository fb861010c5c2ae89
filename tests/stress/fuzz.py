"""Answers that nobody would send: `python -m tests.stress.fuzz --payloads 10000 --seed 1`.

Takes good answers of every source, from the generated market and from a folder of recordings, and spoils each in ways
that a seed draws: bytes, lines, numbers, names, JSON values, pieces of other answers, members of workbooks. A parser
must read what is left or say `SourceError` or `NoData`; each row that it gives must be one that the schema knows, or be
refused by it; and none may take longer than ten seconds. Exit code 1 when one does otherwise; `--keep` takes the
payloads that did it.
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
from pipelines.sources.base import NoData, Parsed, Payload, Scope, SourceError, frame
from pipelines.sources.parsing import dtypes
from schemas.datasets import DATASETS

NOW: Final = datetime(2026, 1, 14, 18, tzinfo=UTC)
MONTHS: Final = tuple(pd.Period(month, "M") for month in ("2019-10", "2024-12", "2025-10", "2026-01"))
HANGS_S: Final = 10.0
SMALL: Final = 10_000  # bytes of a seed: a long answer is cut to whole lines, so that many can be tried
TOGETHER: Final = 500  # frames that are validated in one go
ZIP: Final = b"PK\x03\x04"

# What numbers, names and dates become.
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
    """One spoilt answer: the source, its number under the run's seed, and what was done to it."""

    source: str
    number: int
    steps: tuple[str, ...]
    payload: Payload


@dataclass
class Result:
    """What became of a source's spoilt answers."""

    source: str
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    faults: list[tuple[Case, str]] = field(default_factory=list)


# --- good answers


def seeds(recordings: Path | None = None) -> dict[str, list[Payload]]:
    """Good answers by source: the generated market's, and those of a folder in the replay layout."""
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
        answers: dict[bytes, Payload] = {}
        for request in requests:
            for transport in transports:
                try:
                    answers |= {p.body: _short(p) for p in transport.fetch(request)}
                except (NoData, SourceError):
                    continue
        found[name] = list({p.body: p for p in answers.values()}.values())
    return found


def everything() -> Scope:
    """The committed reference tables' scope."""
    return load_reference(PROJECT / "data" / "reference").scope(())


def _short(payload: Payload) -> Payload:
    """A long answer of lines without its middle; others as they are."""
    if len(payload.body) <= SMALL or payload.body.startswith(ZIP) or payload.body[:1] in b"{[":
        return payload
    lines = payload.body.split(b"\n")
    keep = max(2, len(lines) * SMALL // len(payload.body) // 2)
    return replace(payload, body=b"\n".join([*lines[:keep], *lines[-keep:]]))


# --- ways of spoiling an answer, each a pure function of the bytes and a source of chance

Spoil = Callable[[bytes, random.Random, bytes], bytes]


def flip(body: bytes, chance: random.Random, _: bytes) -> bytes:
    """Some bytes become others."""
    spoilt = bytearray(body)
    for _n in range(chance.randint(1, 8)):
        if spoilt:
            spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
    return bytes(spoilt)


def cut(body: bytes, chance: random.Random, _: bytes) -> bytes:
    """The answer ends early, or begins late."""
    at = chance.randrange(len(body) + 1)
    return body[:at] if chance.random() < 0.8 else body[at:]


def drop(body: bytes, chance: random.Random, _: bytes) -> bytes:
    """A piece is missing."""
    start, end = _piece(body, chance)
    return body[:start] + body[end:]


def repeat(body: bytes, chance: random.Random, _: bytes) -> bytes:
    """A piece stands there many times."""
    start, end = _piece(body, chance, 200)
    return body[:end] + body[start:end] * chance.choice((1, 2, 50)) + body[end:]


def splice(body: bytes, chance: random.Random, other: bytes) -> bytes:
    """A piece is that of another answer."""
    start, end = _piece(body, chance)
    first, last = _piece(other, chance)
    return body[:start] + other[first:last] + body[end:]


def lines(body: bytes, chance: random.Random, _: bytes) -> bytes:
    """Lines, or what stands between tags, in another order, missing or doubled."""
    mark = b"\n" if body.count(b"\n") > 3 else b">" if b"<" in body else b","
    parts = body.split(mark)
    start, end = sorted(chance.randrange(len(parts) + 1) for _n in range(2))
    middle = parts[start:end]
    chance.shuffle(middle)
    return mark.join([*parts[:start], *chance.choice(([], middle, middle * 2)), *parts[end:]])


def odd(body: bytes, chance: random.Random, _: bytes) -> bytes:
    """Numbers or words become something odd."""
    found = list(re.finditer(chance.choice((rb"-?\d[\d.,]*", rb"[A-Za-z_]{2,}", rb'"[^"]*"', rb">[^<]*<")), body))
    for match in sorted(chance.sample(found, min(len(found), chance.randint(1, 5))), key=lambda m: -m.start()):
        text = chance.choice(ODD).encode("utf-8", "surrogatepass")
        text = b">" + text + b"<" if match[0].startswith(b">") else text
        body = body[: match.start()] + text + body[match.end() :]
    return body


def recode(body: bytes, chance: random.Random, _: bytes) -> bytes:
    """The same text in another encoding."""
    text = body.decode("utf-8", "replace")
    encoding = chance.choice(("utf-16", "utf-32", "latin-1", "utf-8-sig", "gb18030", "utf-7"))
    return text.encode(encoding, "replace")


def node(body: bytes, chance: random.Random, _: bytes) -> bytes:
    """A value of a JSON document becomes another, is gone, or holds itself very deeply."""
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
    """A member of a workbook is spoilt, and the workbook is packed again."""
    sink = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(body)) as archive, zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as packed:
        members = archive.infolist()
        sheets = [held for held in members if "sheet" in held.filename.lower()]
        spoilt = chance.choice(sheets or members)
        for held in members:
            content = archive.read(held)
            content = chance.choice(TEXT)(content, chance, content) if held is spoilt else content
            # With the time that it had: the same seed is to give the same bytes.
            about = zipfile.ZipInfo(held.filename, held.date_time)
            packed.writestr(about, content, zipfile.ZIP_DEFLATED)
    return sink.getvalue()


TEXT: Final[tuple[Spoil, ...]] = (flip, cut, drop, repeat, splice, lines, odd, odd, odd, recode)


def _piece(body: bytes, chance: random.Random, longest: int = 2000) -> tuple[int, int]:
    start = chance.randrange(len(body) + 1)
    return start, min(len(body), start + chance.randint(1, longest))


def _place(root: Any, chance: random.Random) -> tuple[Any, Any]:
    """A random place in a JSON document: what holds it, and by which key; None for the document itself."""
    holder, key, here = None, None, root
    while isinstance(here, dict | list) and here and (holder is None or chance.random() < 0.8):
        holder = here
        key = chance.choice(list(here)) if isinstance(here, dict) else chance.randrange(len(here))
        here = holder[key]
    return holder, key


def case(source: str, good: Sequence[Payload], seed: int, number: int) -> Case:
    """The spoilt answer of that number: one to three steps away from a good one."""
    chance = random.Random(f"{seed}/{source}/{number}")
    payload, other = chance.choice(good), chance.choice(good).body
    body, steps = payload.body, []
    for _n in range(chance.choice((1, 1, 2, 3))):
        ways: tuple[Spoil, ...] = TEXT
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
        ):  # a workbook that an earlier step has broken
            body = flip(body, chance, other)
    return Case(source, number, tuple(steps), replace(payload, body=body))


# --- what must hold


def fuzz(source: str, good: Sequence[Payload], payloads: int, seed: int) -> Result:
    """Parses so many spoilt answers of a source, and says what became of them."""
    result, scope = Result(source), everything()
    together: list[tuple[Case, str, pd.DataFrame]] = []
    for number in range(payloads):
        spoilt = case(source, good, seed, number)
        begun = time.monotonic()
        problems: list[str] = []
        try:
            with _limit(HANGS_S):
                parsed = SOURCES[source].parse(spoilt.payload, scope)
            if not (problems := list(wrong(source, parsed))):
                together += [(spoilt, name, rows) for name, rows in parsed.frames.items() if len(rows)]
            outcome = "rows" if any(map(len, parsed.frames.values())) else "no rows"
        except (SourceError, NoData) as error:
            problems = [] if str(error).strip() else ["an error without a text"]
            outcome = type(error).__name__
        except Exception as error:  # whatever it is, a run would have met it
            problems, outcome = [_said(error)], "fault"
        took = time.monotonic() - begun
        if took > HANGS_S and outcome != "fault":  # a parser may have taken the alarm for an error of its own
            problems.append(f"took {took:.1f} s")
        result.outcomes[outcome] += 1
        result.slowest_s = max(result.slowest_s, took)
        result.faults += [(spoilt, problem) for problem in problems]
        if len(together) >= TOGETHER or number == payloads - 1:
            result.faults += _unknown(together)
            together = []
    return result


def wrong(source: str, parsed: Parsed) -> Iterator[str]:
    """What of an answer's rows the schemas do not know."""
    for dataset, rows in parsed.frames.items():
        if dataset not in SOURCES[source].DATASETS:
            yield f"rows of {dataset}, which the source does not serve"
            continue
        expected = frame([], list(dtypes(dataset))).astype(dtypes(dataset))
        if list(rows.columns) != list(expected.columns):
            yield f"{dataset} has the columns {list(rows.columns)}"
        elif (rows.dtypes != expected.dtypes).any():
            yield f"{dataset} has the types {rows.dtypes.astype(str).to_dict()}"
        elif rows.duplicated(list(DATASETS[dataset].key)).any():
            yield f"{dataset} says one observation twice"
    for bad in parsed.rejected:
        if not all(isinstance(text, str) for text in (bad.where, bad.raw, bad.reason)) or not bad.reason:
            yield f"a rejected row without where, what or why: {bad}"


def unknown(dataset: str, rows: pd.DataFrame) -> Iterator[str]:
    """What is wrong with how the schema takes rows: each must pass or be refused, and none with an infinite number."""
    checked = validate(dataset, rows)
    refused = len(set(checked.rejected["row"]))
    if len(checked.good) + refused != len(rows):
        yield f"{dataset}: of {len(rows)} rows {len(checked.good)} pass and {refused} are refused"
    if np.isinf(checked.good.select_dtypes("number").to_numpy(dtype=float)).any():
        yield f"{dataset}: an infinite number passes"


def _unknown(together: list[tuple[Case, str, pd.DataFrame]]) -> Iterator[tuple[Case, str]]:
    """The same of many answers. To validate a frame takes as long for a row as for a thousand, so that rows are taken
    together, each observation once a round; only where a round is not as it should be each answer is looked at."""
    for dataset in dict.fromkeys(name for _, name, _ in together):
        own = [(spoilt, rows) for spoilt, name, rows in together if name == dataset]
        left = pd.concat([rows for _, rows in own], ignore_index=True).drop_duplicates(ignore_index=True)
        while len(left):
            again = left.duplicated(list(DATASETS[dataset].key))
            try:
                is_wrong = any(unknown(dataset, left[~again].reset_index(drop=True)))
            except Exception:  # said below, with the answer that it comes from
                is_wrong = True
            if is_wrong:
                for spoilt, rows in own:
                    try:
                        yield from ((spoilt, problem) for problem in unknown(dataset, rows))
                    except Exception as error:
                        yield spoilt, f"{dataset}: {_said(error)}"
                break
            left = left[again].reset_index(drop=True)


def _said(error: Exception) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {str(error)[:200]} ({Path(where.filename).name}:{where.lineno})"


@contextmanager
def _limit(seconds: float) -> Iterator[None]:
    """Raises TimeoutError inside the block when it takes longer. Main thread only."""

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
    """Spoils, parses, and prints a line a source."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress.fuzz", description=__doc__)
    parser.add_argument("--payloads", type=int, default=10_000, help="a source")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--source", action="append", help="all unless given")
    parser.add_argument("--recordings", type=Path, help="good answers, in the replay layout")
    parser.add_argument("--keep", type=Path, help="a folder for payloads that were not taken as they should")
    asked = parser.parse_args()
    faults = 0
    for source, good in seeds(asked.recordings).items():
        if asked.source and source not in asked.source:
            continue
        begun = time.monotonic()
        result = fuzz(source, good, asked.payloads, asked.seed)
        faults += len(result.faults)
        outcomes = ", ".join(f"{name} {count}" for name, count in result.outcomes.most_common())
        took = f"slowest {result.slowest_s:.2f} s, {time.monotonic() - begun:.0f} s in all"
        sys.stdout.write(f"{source}: {len(good)} good answers, {asked.payloads} spoilt ones: {outcomes}; {took}\n")
        for spoilt, problem in result.faults[:10]:
            sys.stdout.write(f"  {spoilt.number} ({', '.join(spoilt.steps)}): {problem}\n")
            if asked.keep:
                asked.keep.mkdir(parents=True, exist_ok=True)
                (asked.keep / f"{source}-{asked.seed}-{spoilt.number}").write_bytes(spoilt.payload.body)
        sys.stdout.flush()
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
