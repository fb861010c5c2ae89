"""Drop folder: find the users' files and read them.

Files of systems and other programs are ignored by name (`SYSTEM_FILE`). Everything else is a file to parse
(`drop_parser.py`) or a problem with its reason.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TYPES: Final = (".csv", ".parquet")
# Files and folders that operating systems and other programs write beside a user's files. Names of any case.
SYSTEM_FILE: Final = re.compile(
    r"""
      \.(?!.*\.icloud$).*                       # hidden: .DS_Store, ._a.csv, .~lock.a.csv#, .stversions
    | ~\$.* | .*~ | \#.*\#                      # owner files of Office, copies of editors
    | .*\.(te?mp|sw[a-p]|swx|lo?ck|bak)
    | .*\.(part|partial|filepart|download|crdownload|opdownload|aria2|!ut|sb-\w+-\w+)  # unfinished copies
    | .*[:.]zone\.identifier | .*:(encryptable|afp_\w+)                               # streams of NTFS on other disks
    | (eh)?thumbs(_vista)?\.db | desktop\.ini | icon\r
    | \$recycle\.bin | recycler | recycled | system\ volume\ information | found\.\d{3}
    | lost\+found | __macosx | network\ trash\ folder | temporary\ items | thevolumesettingsfolder | dfsrprivate
    | @eadir | .*@syno\w+ | @tmp | @recycle | @recently-snapshot | \#recycle | \#snapshot | ~snapshot  # network storage
    | sync.*\.ffs_(db|lock|tmp)                  # FreeFileSync
    | _success | _(committed|started)_\d+         # Spark
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
NOT_UTF_8: Final = "has a name that is not UTF-8, as from an old archive; rename it"


@dataclass(frozen=True)
class DropFile:
    """A file to parse. `relative`: its path in the drop folder."""

    dataset: str
    path: Path
    relative: str


@dataclass(frozen=True)
class DropProblem:
    """An entry of the drop folder that is not used, and the reason. `dataset` is None where it belongs to none."""

    relative: str
    dataset: str | None
    message: str


def scan(drop_dir: Path, datasets: Collection[str], max_mb: int = 100) -> list[DropFile | DropProblem]:
    """Entries of the drop folder, sorted by name: files to parse, and all others with the reason.

    `datasets`: the accepted folders. `max_mb`: larger files are rejected. Names that match `SYSTEM_FILE` are ignored; a
    missing drop folder is empty.
    """
    accepted = f"accepted are the folders {', '.join(sorted(datasets))} with files *{' and *'.join(TYPES)}"
    found: list[DropFile | DropProblem] = []
    for entry in _entries(drop_dir, found):
        if (shown := _shown(entry.name)) != entry.name:
            found.append(DropProblem(shown, None, f"{shown} {NOT_UTF_8}"))
        elif entry.name not in datasets:
            what = "an unknown dataset folder" if entry.is_dir() else "a file outside the dataset folders"
            found.append(DropProblem(entry.name, None, f"{entry.name} is {what}; {accepted}"))
        elif problem := _link_problem(entry, drop_dir):
            found.append(DropProblem(entry.name, entry.name, f"{entry.name} {problem}"))
        elif not entry.is_dir():
            if entry.exists():
                found.append(DropProblem(entry.name, entry.name, f"{entry.name} is not a folder; {accepted}"))
        else:
            for path in _entries(entry, found, entry.name):
                relative = f"{entry.name}/{_shown(path.name)}"
                is_readable = relative == f"{entry.name}/{path.name}"
                problem = _file_problem(path, drop_dir, max_mb) if is_readable else NOT_UTF_8
                found.append(
                    DropProblem(relative, entry.name, f"{relative} {problem}")
                    if problem
                    else DropFile(entry.name, path, relative)
                )
    return found


def _shown(name: str) -> str:
    """A file name with bytes that are no UTF-8 escaped: it can be printed and stored."""
    return name.encode("utf-8", "backslashreplace").decode()


def _entries(folder: Path, found: list[DropFile | DropProblem], dataset: str | None = None) -> list[Path]:
    """Entries of a folder, sorted by name; none where nothing is. What cannot be read as a folder is a problem."""
    try:
        entries = list(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        name = dataset or "the drop folder"
        found.append(DropProblem(dataset or ".", dataset, f"{name} cannot be read: {error.strerror}"))
        return []
    if not entries and dataset is None and not folder.is_dir() and (folder.is_symlink() or folder.exists()):
        problem = "the drop folder is a file or a broken link: put a folder there, or mount its disk"
        found.append(DropProblem(".", None, problem))
    return sorted(path for path in entries if not SYSTEM_FILE.fullmatch(path.name))


def _link_problem(path: Path, drop_dir: Path) -> str | None:
    try:
        if not path.resolve(strict=True).is_relative_to(drop_dir.resolve()):
            return "is a link that leaves the drop folder and is not followed; copy the file instead"
    except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself
        if path.is_symlink():
            return "is a broken link; copy the file instead"
        if not isinstance(error, FileNotFoundError):  # a file that has just been removed is no problem
            return f"cannot be read: {getattr(error, 'strerror', error)}"
    return None


def _file_problem(path: Path, drop_dir: Path, max_mb: int) -> str | None:
    """Reason not to use a file, or None. The type is checked before opening: opening a pipe would block."""
    if problem := _link_problem(path, drop_dir):
        return problem
    try:
        info = path.stat()
    except FileNotFoundError:  # `read_file` finds it gone too
        return None
    if not stat.S_ISREG(info.st_mode):
        return f"is not a file; accepted are *{' and *'.join(TYPES)} directly in the dataset's folder"
    if path.suffix.lower() not in TYPES:
        return f"is of an unknown type; accepted are *{' and *'.join(TYPES)}: save or unpack it as one of these"
    if info.st_size == 0:
        return "is empty; expected a header line and rows"
    if info.st_size > max_mb * 1024**2:
        size = info.st_size / 1024**2
        return f"has {size:,.0f} MB, more than {max_mb} MB; split it or raise TIGHTNESS_DROP_MAX_MB"
    try:
        os.close(os.open(path, os.O_RDONLY))
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None


def read_file(file: DropFile) -> bytes | DropProblem | None:
    """Content of a file; a problem when it cannot be read or changes meanwhile, None when it is gone."""
    try:
        before = _stamp(file.path)
        body = file.path.read_bytes()
        changed = before != _stamp(file.path) or len(body) != before[0]
    except FileNotFoundError:
        return None
    except OSError as error:
        return DropProblem(file.relative, file.dataset, f"{file.relative} cannot be read: {error.strerror}")
    if changed:
        problem = f"{file.relative} changed while it was read; run again when it is complete"
        return DropProblem(file.relative, file.dataset, problem)
    return body


def _stamp(path: Path) -> tuple[int, int, int]:
    info = path.stat()
    return info.st_size, info.st_mtime_ns, info.st_ino
