"""What requests, answers and what is read from them are made of, whatever the publisher."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import pandas as pd

MAX_TEXT: Final = 500


def plain(text: str, length: int = MAX_TEXT) -> str:
    """What an answer says, fit for a message: one line of at most `length` characters, those that do not print escaped.

    A publisher's text reaches terminals, receipts and the UI; it may be megabytes, and may hold control characters.
    """
    start = text[: length + 1]
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in start)
    return shown if len(shown) <= length else shown[: length - 1] + "…"


class SourceError(Exception):
    """An answer that cannot be used: names the source, the request and what was expected."""

    def __init__(self, request: Request, problem: str, expected: str) -> None:
        self.request = request
        self.problem = plain(problem)
        self.expected = plain(expected)
        super().__init__(f"{request.source} {request.name}: {self.problem}; expected {self.expected}")


class NoData(Exception):  # noqa: N818 -- an answer, not an error
    """The transport has nothing for this request. Not a failure (CONTRACT section 7)."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(plain(reason))


@dataclass(frozen=True)
class Metal:
    """One metal's names in the sources, from `metals.csv`."""

    metal: str  # AL
    name: str  # Aluminium
    westmetall_code: str  # Al, as in LME_Al_cash
    worldbank_column: str  # Aluminum
    fred_series: str  # PALUMUSDM
    customs_label: str  # regular expression of the commodity's name in customs table 13
    hs_codes: str = ""  # 7601 7604, separated by blanks: what counts as the metal in trade statistics
    chinese_name: str = ""  # 铝


@dataclass(frozen=True)
class Zone:
    """One bidding zone, from `power_zones.csv`."""

    zone: str  # DE-LU
    eic: str  # 10Y1001A1001A82H
    timezone: str  # Europe/Berlin
    source: str  # energy_charts or entsoe: which one serves it by default


@dataclass(frozen=True)
class Exporter:
    """One exporting country, from `exporters.csv`."""

    country: str  # CA
    name: str  # Canada
    comtrade_code: int  # 124
    source: str  # customs or comtrade: the one that serves it


@dataclass(frozen=True)
class Scope:
    """What a run is about; reference data in the form that sources need."""

    metals: tuple[Metal, ...]
    zones: tuple[Zone, ...]
    exporters: tuple[Exporter, ...] = ()
    tickers: tuple[str, ...] = ()  # AA

    def zone(self, name: str) -> Zone:
        """The zone of that name; KeyError when the scope has none."""
        for zone in self.zones:
            if zone.zone == name:
                return zone
        raise KeyError(name)

    def metal(self, symbol: str) -> Metal:
        """The metal of that symbol; KeyError when the scope has none."""
        for metal in self.metals:
            if metal.metal == symbol:
                return metal
        raise KeyError(symbol)


@dataclass(frozen=True)
class Request:
    """One question to one source. Hashable; holds no key: `secret` names the setting that the transport adds.

    `name` is also the file name of its recording under the source's folder (CONTRACT section 7).
    """

    source: str
    name: str
    url: str
    entity: str = ""  # metal, zone, series: whatever the source asks for
    period: str = ""  # 2024, 2024-05, or empty where the answer holds everything
    secret: tuple[str, str] | None = None  # (query parameter, setting): ("securityToken", "ENTSOE_API_TOKEN")


@dataclass(frozen=True)
class Access:
    """How a publisher may be asked over the network; a transport keeps to it, whoever else asks at the same time."""

    hosts: tuple[str, ...]  # those of the addresses, and the only ones that an answer may redirect to
    per_second: float = 1.0  # requests to all these hosts together
    max_concurrent: int = 1  # of them under way at the same time
    backoff_s: float = 60.0  # how long to leave the publisher alone after a 429 that does not say
    throttled: str = ""  # how a response with status 200 begins that means 429: a regular expression
    plain_http: bool = False  # the publisher has no https
    # Statuses by which it says that it has nothing (yet) for a question, which is no fault.
    absent: tuple[int, ...] = ()


@dataclass(frozen=True)
class Payload:
    """An answer as it came. `captured_at` is when it was captured (UTC).

    `etag` and `last_modified`: what the publisher calls this version, to ask whether there is a newer one. `address`:
    where it was found when that is not the request's own (`Listed`). None of them makes it another answer.
    """

    request: Request
    body: bytes = field(repr=False)
    captured_at: datetime
    etag: str = field(default="", compare=False)
    last_modified: str = field(default="", compare=False)
    address: str = field(default="", compare=False)


@dataclass(frozen=True)
class Rejected:
    """A row that could not be read: where it stands in the payload, what it said, which rule it broke."""

    dataset: str
    where: str  # for example "row 17" or "position 3 of 2026-01-14"
    raw: str
    reason: str


@dataclass
class Parsed:
    """Frames by dataset (columns of its schema; `knowledge_ts` only where the publisher states it), and bad rows.

    `written_at` is when the publisher says that it wrote the answer: all that it holds was out by then.
    """

    frames: dict[str, pd.DataFrame] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
    written_at: datetime | None = None


def frame(rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Rows as a frame with exactly these columns, also when there are none."""
    return pd.DataFrame(list(rows), columns=list(columns))
