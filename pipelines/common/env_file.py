"""The settings file `.env`: variables as `NAME=value` lines, in the encodings that editors write."""

from __future__ import annotations

import codecs
import io
import os
import re
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream

_UNRESOLVED = re.compile(r"\$\{(\w+)\}")  # `${NAME:-default}` has a value in any case


class EnvFileError(Exception):
    """An unusable file: path, line, problem and what to do, in one line."""


def read_env_file(path: Path) -> dict[str, str]:
    """The variables of a file, with `${NAME}` replaced; empty when there is no file. Raises `EnvFileError`."""
    if path.is_symlink() and not path.exists():
        raise EnvFileError(f"{path} is a link to nothing: correct or remove the link")
    if not path.is_file():  # a folder of this name is a virtual environment
        return {}
    try:
        text = _decode(path, path.read_bytes())
    except OSError as error:
        raise EnvFileError(f"{path} cannot be read: {error.strerror}: give this user the right to read it") from None
    names = set(os.environ)
    for binding in parse_stream(io.StringIO(text)):
        before = len(binding.original.string) - len(binding.original.string.lstrip())
        line = f"{path} line {binding.original.line + binding.original.string.count(chr(10), 0, before)}"
        if binding.error or (binding.value is None and binding.key in binding.original.string.split()[:1]):
            raise EnvFileError(f"{line} is not NAME=value: write it so, or begin the line with #")
        if missing := set(_UNRESOLVED.findall(binding.value or "")) - names:
            raise EnvFileError(f"{line}: ${{{min(missing)}}} is not set: set it, or write the value itself")
        names.add(binding.key or "")
    return {name: value for name, value in dotenv_values(stream=io.StringIO(text)).items() if value is not None}


def _decode(path: Path, body: bytes) -> str:
    """The text of UTF-8 or UTF-16, with or without a byte order mark."""
    encoding = "utf-8-sig"
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif b"\0" in body[:2]:  # the first character of such a file is ASCII
        encoding = "utf-16-be" if body[:1] == b"\0" else "utf-16-le"
    try:
        return body.decode(encoding)
    except UnicodeDecodeError as error:
        line = body[: error.start].count(b"\n") + 1
        raise EnvFileError(f"{path} line {line} is not {encoding[:6].upper().rstrip('-')}: save it as UTF-8") from None
