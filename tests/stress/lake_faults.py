"""Damage to every file of a small lake: `python -m tests.stress.lake_faults`.

Each file of the lake is damaged in each way, one at a time, before a load and before a build. Afterwards the lake must
have the bytes of before, a load must add nothing, and the publication must be that of before. With the archive removed
as well, nothing may be loaded or published, and the message must name the file. Prints the counts as JSON. Exit code 1
when any of this does not hold.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

import pandas as pd

from pipelines.common.files import write_atomically
from pipelines.ingestion.extract import plan_requests
from pipelines.ingestion.repair import LakeDamageError
from pipelines.lake.store import EMPTY
from pipelines.sources.base import Payload
from tests.sandbox import Months, Sandbox

DAYS: Final = ("2026-01-07T20:00:00Z", "2026-01-10T20:00:00Z", "2026-01-14T20:00:00Z")
MONTHS: Final = ("2025-12", "2026-01")
DATASETS: Final = ("prices", "stocks", "exports")
PAGE: Final = "westmetall_lme_al_2026.html"
# Earlier versions of the page on the first days: without a day, which is late then, and with another price of a day.
PAGES: Final = (
    (r"<tr>\s*<td >05\. January 2026</td>.*?</tr>", ""),
    (r"(06\. January 2026</td>\s*<td >)\d,\d{3}", r"\g<1>3,333"),
)


# --- a lake with every kind of row


def add_history(root: Path, months: Months, datasets: Sequence[str], days: int = len(DAYS)) -> Sandbox:
    """Load the demo market on some days, with late and revised values of a source, a preferred source that comes later,
    and drop files with revised and suspect values that the user has removed since."""
    sandbox = Sandbox(root, "demo", DAYS[0])
    for number, day in enumerate(DAYS[:days]):
        sandbox = sandbox.at(day)
        _drop(sandbox, number)
        if number < len(PAGES):
            _capture(sandbox, *PAGES[number])
        sandbox.ingest(months, [name for name in datasets if number or name != "stocks"])
        if number == 0:  # the preferred source of stocks has no response yet
            workspace = sandbox.open()
            workspace.ingestion().run("stocks", _periods(months), workspace.dropped("stocks")[0])
    for file in ("stocks", "exports"):
        (root / "drop" / file / "own.csv").unlink()
    return sandbox


def _drop(sandbox: Sandbox, number: int) -> None:
    stock, exports = (500_000, 490_000, 500_000)[number], (500, 500, 510)[number]
    sandbox.drop("stocks/own.csv", f"metal,obs_date,total_t\nAL,2025-12-29,{stock}\nAL,2025-12-30,480000\n")
    columns = "metal,country,period_end,period_months,knowledge_ts,vintage,exports_kt"
    sandbox.drop("exports/own.csv", f"{columns}\nAL,CN,2025-12-31,1,2026-01-07T09:00:00Z,1,{exports}\n")


def _capture(sandbox: Sandbox, pattern: str, replacement: str) -> None:
    """Archive another version of the newest page of the market, an hour before the clock."""
    workspace = sandbox.open()
    transport = workspace.transport()
    assert transport is not None
    requests = plan_requests("westmetall", _periods(MONTHS), workspace.scope)
    [request] = [one for one in requests if one.name == PAGE]
    body = transport.fetch(request)[-1].body.decode()
    changed, count = re.subn(pattern, replacement, body, count=1, flags=re.DOTALL)
    assert count == 1, f"{pattern} is not on the page"
    at = workspace.now - timedelta(hours=1)
    workspace.archive.record(request, [Payload(request, changed.encode(), at)], answered_at=at)


def _periods(months: Months) -> list[pd.Period]:
    return list(pd.period_range(*months, freq="M"))


# --- damage


def lake_files(sandbox: Sandbox) -> list[Path]:
    """The files with rows."""
    return sorted((sandbox.data / "lake").glob("*/[0-9]*.parquet"))


def lake_bytes(sandbox: Sandbox) -> dict[str, bytes]:
    """Every Parquet file of the lake by its path below the data folder."""
    paths = sorted((sandbox.data / "lake").rglob("*.parquet"))
    return {path.relative_to(sandbox.data).as_posix(): path.read_bytes() for path in paths if path.is_file()}


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def _change_byte(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)


def _to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _to_dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def _swap(path: Path) -> None:
    """Exchange the bytes with another file of the dataset, or of the lake."""
    others = [*path.parent.glob("*.parquet"), *path.parents[1].rglob("*.parquet")]
    other = next(one for one in others if one.read_bytes() != path.read_bytes())
    body = path.read_bytes()
    path.write_bytes(other.read_bytes())
    other.write_bytes(body)


# Each kind of damage to one file. Tests run as root, who may read everything: a folder or a link is unreadable for all.
DAMAGE: Final[dict[str, Callable[[Path], object]]] = {
    "deleted": Path.unlink,
    "truncated": _cut,
    "emptied": lambda path: path.write_bytes(b""),
    "one byte changed": _change_byte,
    "swapped with another": _swap,
    "a folder in its place": _to_folder,
    "a dangling link in its place": _to_dangling_link,
}


# --- the matrix


def publish(sandbox: Sandbox) -> Sandbox:
    """Build and publish the lake."""
    result = sandbox.build()
    assert not result.failed, [(node.unique_id, node.message) for node in result.failed]
    sandbox.publish()
    return sandbox


def cases(sandbox: Sandbox, suffixes: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Every file of the datasets (path below the data folder) and each kind of damage."""
    files = [path for name in DATASETS for path in (sandbox.data / "lake" / name).rglob("*")]
    for path in sorted(path for path in files if path.suffix in suffixes):
        yield from ((path.relative_to(sandbox.data).as_posix(), kind) for kind in DAMAGE)


def before_a_load(sandbox: Sandbox, file: str, kind: str) -> list[str]:
    """Faults after a damage and a load."""
    wanted = lake_bytes(sandbox)
    DAMAGE[kind](sandbox.data / file)
    loaded = sandbox.ingest(MONTHS, DATASETS)
    found = [str(failure) for failure in loaded.failures]
    for name, report in loaded.read.items():
        if report.new or report.revised:
            found.append(f"{name}: {report.new} new, {report.revised} revised")
    return found + _differences(sandbox, wanted)


def before_a_build(sandbox: Sandbox, file: str, kind: str) -> list[str]:
    """Faults after a damage, a build and a publication."""
    wanted, released = lake_bytes(sandbox), sandbox.published()
    DAMAGE[kind](sandbox.data / file)
    publish(sandbox)
    found = [] if sandbox.published() == released else ["another publication"]
    return found + _differences(sandbox, wanted)


def without_the_archive(sandbox: Sandbox, file: str, kind: str) -> list[str]:
    """Faults after a damage without an archive: what cannot be repaired is refused by load and build."""
    wanted, released = lake_bytes(sandbox), sandbox.published()
    path = sandbox.data / file
    DAMAGE[kind](path)
    spoiled = lake_bytes(sandbox)
    report = sandbox.open().ingestion().run(file.split("/")[1], _periods(MONTHS))
    found = ["rows were loaded into a damaged dataset"] if any(part.path for part in report.written) else []
    try:
        publish(sandbox)
    except LakeDamageError as error:
        changed = [name for name in wanted if wanted[name] != spoiled.get(name) and EMPTY not in name]
        found += [f"the message does not name {name}" for name in changed if Path(name).name not in str(error)]
        if any(lake_bytes(sandbox).get(name) != spoiled.get(name) for name in wanted if EMPTY not in name):
            found.append("the lake was changed")
        for name, body in wanted.items():
            write_atomically(sandbox.data / name, partial(Path.write_bytes, data=body))
    else:
        found += _differences(sandbox, wanted)
    return found if sandbox.published() == released else [*found, "another publication"]


def _differences(sandbox: Sandbox, wanted: dict[str, bytes]) -> list[str]:
    found = lake_bytes(sandbox)
    named = [file for file in sorted(wanted.keys() | found.keys()) if wanted.get(file) != found.get(file)]
    left = [str(one) for name in DATASETS for one in sandbox.open().lake.damage(name)]
    return [*(f"{file} differs" for file in named), *(f"{one} after the repair" for one in left)]


def matrix(root: Path) -> tuple[Counter[str], list[str]]:
    """Number of cases by moment, and the faults found."""
    made = publish(add_history(root / "made", MONTHS, DATASETS))
    counts: Counter[str] = Counter()
    faults: list[str] = []
    for check in (before_a_load, before_a_build, without_the_archive):
        sandbox = made.copy(root / check.__name__)
        if check is without_the_archive:
            for folder in (sandbox.data / "raw").iterdir():
                if folder.name != "lake":
                    shutil.rmtree(folder)
        suffixes = [".parquet"] if check is before_a_build else [".parquet", ".json"]  # only a load writes the ledger
        for file, kind in list(cases(sandbox, suffixes)):
            if file.endswith(".json"):  # not every load writes the ledger and the record of drop files again
                body = (made.data / file).read_bytes()
                write_atomically(sandbox.data / file, partial(Path.write_bytes, data=body))
            found = check(sandbox, file, kind)
            counts[check.__name__] += 1
            faults += [f"{check.__name__}: {file} {kind}: {one}" for one in found]
            if found:
                shutil.rmtree(sandbox.root)
                made.copy(sandbox.root)
    return counts, faults


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        counts, faults = matrix(Path(folder))
    print(json.dumps({"cases": counts, "kinds": list(DAMAGE), "faults": faults}, indent=1))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
