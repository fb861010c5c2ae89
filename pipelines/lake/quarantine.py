"""Quarantine: rejected rows and refused responses, with reason and origin. Append-only, like the lake."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

from pipelines.common.files import write_atomically
from pipelines.lake.parquet import write_parquet
from pipelines.sources.base import Payload, Request, plain

IDENTITY: Final = ("dataset", "source", "payload_sha256", "where", "reason")
COLUMNS: Final = (*IDENTITY, "raw", "period")
KEPT: Final = 10  # refused responses of one request
MAX_TEXT: Final = 2000  # characters of a text of a rejected row; the payload has all of it
SCHEMA: Final = pa.schema([*((name, pa.string()) for name in COLUMNS), ("ingest_ts", pa.timestamp("us", tz="UTC"))])


@dataclass(frozen=True)
class Quarantine:
    """Rejected rows in `<root>/<dataset>/` (Parquet), refused responses in `<root>/payloads/<source>/`."""

    root: Path

    def put(self, dataset: str, rows: pd.DataFrame, ingest_ts: datetime) -> int:
        """Add rejected rows of a dataset (`quarantine_rows`). Returns the number of rows that are new.

        The same reason at the same place of the same payload is stored once. Raises `ValueError` for other columns.
        """
        if missing := [column for column in COLUMNS if column not in rows]:
            raise ValueError(f"quarantine of {dataset}: the rows have no {', '.join(missing)}; use quarantine_rows")
        folder = self.root / dataset
        folder.mkdir(parents=True, exist_ok=True)
        rows = rows[list(COLUMNS)].astype("str").drop_duplicates(list(IDENTITY)).sort_values(list(IDENTITY))
        with FileLock(folder / ".lock"):
            known = pd.MultiIndex.from_frame(self.read(dataset)[list(IDENTITY)])
            new = rows[~pd.MultiIndex.from_frame(rows[list(IDENTITY)]).isin(known)]
            if len(new):
                table = pa.Table.from_pandas(new.assign(ingest_ts=ingest_ts), schema=SCHEMA, preserve_index=False)
                write_parquet(folder, table, ingest_ts)
        return len(new)

    def read(self, dataset: str | None = None) -> pd.DataFrame:
        """Rows of a dataset or of all, oldest first: the columns of `quarantine_rows`, and ingest_ts (first time)."""
        paths = sorted(self.root.glob(f"{dataset or '*'}/*.parquet"), key=lambda path: (path.name, path))
        tables = [pq.read_table(path, schema=SCHEMA) for path in paths]
        frame: pd.DataFrame = pa.concat_tables([SCHEMA.empty_table(), *tables]).to_pandas()
        return frame

    def counts(self) -> dict[str, int]:
        """Number of rows by dataset; datasets without rows are left out."""
        return {str(name): int(n) for name, n in self.read()["dataset"].value_counts().sort_index().items()}

    def put_payload(self, payload: Payload, findings: Sequence[str], accept: str = "") -> str:
        """Store a refused response and, beside it, its request, capture time, findings and how to `accept` it.

        Returns its path below the root. The `KEPT` newest of a request stay: a page that differs each day must not fill
        the disk.
        """
        request, sha256 = payload.request, payload.sha256
        path = self.root / "payloads" / request.source / f"{sha256}{Path(request.name).suffix}"
        about = {
            "source": request.source,
            "request": request.name,
            "url": request.url,
            "captured_at": payload.captured_at.astimezone(UTC).isoformat(),
            "sha256": sha256,
            "findings": list(findings),
            "accept": accept,
        }
        body = json.dumps(about, indent=1, ensure_ascii=False).encode()
        if not path.is_file():
            write_atomically(path.with_name(f"{sha256}.about.json"), lambda temporary: temporary.write_bytes(body))
            write_atomically(path, lambda temporary: temporary.write_bytes(payload.body))
            for _, old in self._refused(request)[:-KEPT]:
                old.unlink(missing_ok=True)
                self._body(old, request).unlink(missing_ok=True)
        return path.relative_to(self.root).as_posix()

    def findings(self, payload: Payload) -> list[str]:
        """The findings of a refused response; none when it is not in quarantine."""
        path = self.root / "payloads" / payload.request.source / f"{payload.sha256}.about.json"
        return list(json.loads(path.read_text(encoding="utf-8"))["findings"]) if path.is_file() else []

    def refused(self, request: Request, prefixes: Sequence[str]) -> list[Payload]:
        """Refused responses to a request whose SHA-256 begins with one of these prefixes, oldest first."""
        found = []
        for captured_at, about in self._refused(request):
            if about.name.startswith(tuple(prefixes)):
                with suppress(FileNotFoundError):  # another process has just removed it
                    found.append(Payload(request, self._body(about, request).read_bytes(), captured_at))
        return found

    def _refused(self, request: Request) -> list[tuple[datetime, Path]]:
        """Capture time and description file of each refused response to a request, oldest first."""
        found = []
        for path in self.root.glob(f"payloads/{request.source}/*.about.json"):
            try:
                about = json.loads(path.read_text(encoding="utf-8"))
            except FileNotFoundError:  # another process has just removed it
                continue
            if (about["request"], about["url"]) == (request.name, request.url):
                found.append((datetime.fromisoformat(about["captured_at"]), path))
        return sorted(found)

    @staticmethod
    def _body(about: Path, request: Request) -> Path:
        return about.with_name(about.name.removesuffix(".about.json") + Path(request.name).suffix)

    def payloads(self) -> dict[str, int]:
        """Number of refused responses by source; sources without any are left out."""
        kept = sorted(self.root.glob("payloads/*/*.about.json"))
        return dict(Counter(path.parent.name for path in kept))


def quarantine_rows(dataset: str, payload: Payload, rejected: Sequence[tuple[str, str, str]]) -> pd.DataFrame:
    """Rejected rows of a payload as the frame that `Quarantine.put` takes. `rejected`: where, raw and reason of each,
    cut to one printable line."""
    cells = [[plain(str(text), MAX_TEXT) for text in row] for row in rejected]
    return pd.DataFrame(cells, columns=["where", "raw", "reason"]).assign(
        dataset=dataset,
        source=payload.request.source,
        payload_sha256=payload.sha256,
        period=payload.request.period or payload.request.name,
    )
