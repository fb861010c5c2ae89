"""Folders as users write them in settings: expanded, and checked without creating anything."""

from __future__ import annotations

import errno
import os
import re
import stat
import unicodedata
from collections.abc import Mapping
from pathlib import Path

_VARIABLE = re.compile(r"\$(?:(?P<plain>[A-Za-z_]\w*)|\{(?P<braced>\w+)\})", re.ASCII)
# What can only be meant as a variable: in braces, at the beginning, or a whole part of the path in capitals.
# Every other dollar is a character of the name, unless a variable of that name is set.
_ONLY_A_VARIABLE = re.compile(r"\$\{\w+\}|^\$[A-Za-z_]\w*|(?<=/)\$[A-Z_][A-Z0-9_]*(?=/|$)", re.ASCII)
_CONTROL = {"Cc", "Zl", "Zp"}


class FolderError(Exception):
    """A problem with the text of a setting or its folder, then what to do; the caller adds the variable and value."""


def expand_folder(text: str, variables: Mapping[str, str]) -> Path:
    """The folder of a setting's text, with `~` and variables replaced.

    Raises `FolderError` for quotes around it, a variable that is not set, and characters that no folder should have.
    """
    if text.startswith(('"', "'")):
        raise FolderError("begins with a quote: write the folder without quotes")
    if text != text.strip():
        raise FolderError("begins or ends with a space: remove it")
    text = _VARIABLE.sub(lambda match: variables.get(match["plain"] or match["braced"]) or match[0], text)
    if unset := _ONLY_A_VARIABLE.search(text):
        raise FolderError(f"contains {unset[0]}, which is not set: set it, or write the folder itself")
    if any(unicodedata.category(character) in _CONTROL for character in text):
        raise FolderError("contains a line end or another control character: remove it")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise FolderError("is not UTF-8: rename the folder") from None
    expanded = os.path.expanduser(text)  # noqa: PTH111 -- to pathlib `./~x` is `~x`
    if expanded.startswith("~"):
        home = text.split("/")[0]
        raise FolderError(f"begins with {home}, which is no user's home: write ./{home} for such a folder")
    return Path(expanded)


def check_openable(folder: Path, forbidden: str, longest: int) -> None:
    """Raise `FolderError` for a path whose characters or length keep DuckDB or SQLite from opening a file there."""
    if found := sorted(set(forbidden) & set(os.path.realpath(folder))):
        raise FolderError(f"leads to a path with {found[0]}, in which no database can be opened: name another folder")
    if len(os.fsencode(folder)) > longest:
        raise FolderError(f"leads to a path of more than {longest} bytes, which SQLite cannot open: name a shorter one")


def check_folder(folder: Path) -> None:
    """Raise `FolderError` unless this is a folder or nothing yet. What this user may not look at passes.

    Whether it may be written is not checked: commands that only read need no such right.
    """
    for path in (folder, *folder.parents):
        try:
            mode = path.stat().st_mode
        except PermissionError:
            return
        except OSError as error:
            if os.path.islink(path):  # noqa: PTH114 -- raises nothing
                raise FolderError(f"leads to {path}, a link to nothing: correct the link") from None
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                continue
            raise FolderError(f"cannot be a folder ({error.strerror}): name another one") from None
        if not stat.S_ISDIR(mode):
            raise FolderError(f"leads to {path}, which is a file: name a folder")
        return
