"""Types that all sources share: requests, payloads, parsed rows, errors and the scope of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from hashlib import sha256
from typing import Final

import pandas as pd

MAX_TEXT: Final = 500
Series = tuple[str, ...]  # identifies a series within a dataset: a metal, a zone, a metal and a country


def plain(text: str, length: int = MAX_TEXT) -> str:
    """One line of at most `length` characters with non-printable characters escaped, safe for a message.

    Needed because a publisher's text, of any size and with control characters, reaches terminals, receipts and the UI.
    """
    start = text[: length + 1]
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in start)
    return shown if len(shown) <= length else shown[: length - 1] + "…"


class SourceError(Exception):
    """A response that cannot be used; the message names source, request, problem and what was expected."""

    def __init__(self, request: Request, problem: str, expected: str) -> None:
        self.request = request
        self.problem = plain(problem)
        self.expected = plain(expected)
        super().__init__(f"{request.source} {request.name}: {self.problem}; expected {self.expected}")


class NoData(Exception):  # noqa: N818 -- a result, not an error
    """No data for a request, for example because it is not published yet. Not a failure."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(plain(reason))


class NotRequested(NoData):
    """No data because no publisher was asked: a key is not set, nothing is recorded, or the market is generated."""


@dataclass(frozen=True)
class Metal:
    """Names of one metal in the sources, a row of `metals.csv`."""

    metal: str  # AL
    name: str  # Aluminium
    westmetall_code: str  # Al, as in LME_Al_cash
    worldbank_column: str  # Aluminum
    fred_series: str  # PALUMUSDM
    customs_label: str  # regular expression of the commodity's name in customs table 13
    hs_codes: str = ""  # 7601 7604: the codes in trade statistics, separated by spaces
    chinese_name: str = ""  # 铝


@dataclass(frozen=True)
class Zone:
    """One bidding zone, a row of `power_zones.csv`."""

    zone: str  # DE-LU
    eic: str  # 10Y1001A1001A82H
    timezone: str  # Europe/Berlin
    source: str  # energy_charts or entsoe: the default source of its prices
    since: date = date.min  # first day of its auction


@dataclass(frozen=True)
class Exporter:
    """One exporting country, a row of `exporters.csv`."""

    country: str  # CA
    name: str  # Canada
    comtrade_code: int  # 124
    source: str  # customs or comtrade: the source of its exports


@dataclass(frozen=True)
class Scope:
    """Metals, zones, exporters, shares and futures contracts of a run, in the form that sources need.

    A source requests only what had begun by the end of a month: `zones_in`, `tickers_in`.
    """

    metals: tuple[Metal, ...]
    zones: tuple[Zone, ...]
    exporters: tuple[Exporter, ...] = ()
    tickers: tuple[str, ...] = ()  # AA
    listed: tuple[tuple[str, date], ...] = ()  # first day of a ticker; one without is as old as its source
    contracts: tuple[str, ...] = ()  # 191691: futures contracts, by the market code of the CFTC

    def zones_in(self, month: pd.Period, source: str) -> list[Zone]:
        """The zones with this default source whose auction had begun by the end of a month."""
        return [z for z in self.zones if z.source == source and z.since <= month.end_time.date()]

    def tickers_in(self, month: pd.Period) -> list[str]:
        """The shares that were listed by the end of a month."""
        listed, end = dict(self.listed), month.end_time.date()
        return [ticker for ticker in self.tickers if listed.get(ticker, end) <= end]


@dataclass(frozen=True)
class Request:
    """One request to one source. Hashable. Holds no key: `secret` names the setting that the transport adds.

    `name` is also the file name of its recording in the source's folder.
    """

    source: str
    name: str
    url: str
    entity: str = ""  # metal, zone or series that it is about
    period: str = ""  # 2024, 2024-05, or empty where the response holds the whole history
    secret: tuple[str, str] | None = None  # (query parameter, setting): ("securityToken", "ENTSOE_API_TOKEN")


@dataclass(frozen=True)
class Access:
    """Limits of network access to a publisher, shared by all processes."""

    hosts: tuple[str, ...]  # hosts of the URLs, and the only ones to which a redirect may lead
    per_second: float = 1.0  # requests per second to all these hosts together
    max_concurrent: int = 1  # requests in progress at the same time
    backoff_s: float = 60.0  # pause after a 429 without Retry-After; doubles with each attempt
    throttled: str = ""  # regular expression for a body with status 200 that means 429
    plain_http: bool = False  # the publisher has no https
    absent: tuple[int, ...] = ()  # statuses that mean no data (yet), not a failure
    no_data: str = ""  # regular expression for the reason in an error response, of any status, that means no data


@dataclass(frozen=True)
class Payload:
    """The unchanged body of a response, and its capture time (UTC).

    `etag` and `last_modified`: the publisher's validators of this version, for conditional requests. `address`: the URL
    that returned it where that is not the request's own (`IndexedSource`). These three are no part of equality.
    `refused`: series of it that are not loaded.
    """

    request: Request
    body: bytes = field(repr=False)
    captured_at: datetime
    etag: str = field(default="", compare=False)
    last_modified: str = field(default="", compare=False)
    address: str = field(default="", compare=False)
    refused: tuple[Series, ...] = ()

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the body, in hex."""
        return sha256(self.body).hexdigest()


@dataclass(frozen=True)
class Rejected:
    """A row that could not be parsed: its position in the payload, its raw text and the reason."""

    dataset: str
    where: str  # for example "row 17" or "position 3 of 2026-01-14"
    raw: str
    reason: str


@dataclass
class Parsed:
    """Frames by dataset, with the columns of its schema, and rejected rows.

    `refused`: series that cannot be used although others can, with the reason. `written_at`: when the publisher states
    that it wrote the response; all values in it were published by then. `left_out`: number of empty rows, empty columns
    and index columns that a user's file has beside its values.
    """

    frames: dict[str, pd.DataFrame] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
    written_at: datetime | None = None
    refused: dict[Series, str] = field(default_factory=dict)
    left_out: str = ""
