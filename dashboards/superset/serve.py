"""Superset on 127.0.0.1 with the dashboards of this folder: `serve.py DATA_FOLDER [PORT]`, in Superset's environment.

`DATA_FOLDER/superset` holds its state: metadata (SQLite), the secret key and the administrator's password. Each start
imports this folder, which overwrites what was changed in the browser. Ends with the process: nothing else is started.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import yaml  # type: ignore[import-untyped]

BUNDLE = Path(__file__).resolve().parent
USER = "admin"
# Threads of one process, so that a page's charts are not queued one by one. A query opens and closes the database.
SERVER = ["--worker-class", "gthread", "--threads", "8", "--graceful-timeout", "5", "--log-level", "warning"]


def bundle(database: Path) -> dict[str, str]:
    """Files of the bundle by their names in it, with the address of this database."""
    files = {str(path.relative_to(BUNDLE)): path.read_text(encoding="utf-8") for path in BUNDLE.rglob("*.yaml")}
    name = "databases/Tightness.yaml"
    config = yaml.safe_load(files[name])
    _, _, options = config["sqlalchemy_uri"].partition("?")
    return files | {name: yaml.safe_dump(config | {"sqlalchemy_uri": f"duckdb:///{database}?{options}"})}


def main(arguments: Sequence[str]) -> int:
    """Prepare the state, import the bundle, then become the server. Exit code 1 without a publication."""
    data, port = Path(arguments[0]).resolve(), (*arguments[1:], "8088")[0]
    database = data / "published" / "tightness.duckdb"
    if not database.is_file():
        sys.stderr.write(f"nothing is published: {database} does not exist. Run `make run` first\n")
        return 1
    home = data / "superset"
    home.mkdir(mode=0o700, exist_ok=True)
    password = _secret(home / "admin_password", 9)
    os.environ |= {
        "SUPERSET_HOME": str(home),
        "SUPERSET_SECRET_KEY": _secret(home / "secret_key", 42),
        "FLASK_APP": "superset",
        "SUPERSET_CONFIG_PATH": str(BUNDLE / "superset_config.py"),
        "TZ": "UTC",  # of instants in queries
    }
    sys.stderr.write("Superset starts: about a minute the first time, then half of it\n")
    ready = home / f"ready-{version('apache-superset')}"
    if not ready.exists():
        _superset("db", "upgrade")
        _superset("init")
        _superset(
            *("fab", "create-admin", "--username", USER, "--password", password),
            *("--firstname", "Local", "--lastname", "Administrator", "--email", "admin@localhost"),
        )
        ready.touch()
    _import(bundle(database))
    address = f"http://127.0.0.1:{port}/superset/dashboard/tightness-desk/"
    sys.stderr.write(f"{address}\nuser {USER}, password {password}; end with Ctrl+C\n")
    server = [str(Path(sys.executable).with_name("gunicorn")), "--bind", f"127.0.0.1:{port}", *SERVER]
    os.execv(server[0], [*server, "superset.app:create_app()"])


def _secret(path: Path, size: int) -> str:
    """The secret in a file, made on first use."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(size), encoding="utf-8")
    return path.read_text(encoding="utf-8")


def _superset(*command: str) -> None:
    """One command of Superset. Raises `SystemExit` with its output where it fails."""
    program = [str(Path(sys.executable).with_name("superset")), *command]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"superset {' '.join(command[:2])} failed:\n{done.stdout}{done.stderr}")


def _import(files: dict[str, str]) -> None:
    """Import the bundle over what is there. `superset import-dashboards` would leave charts as they are."""
    from flask import g
    from superset.app import create_app

    with create_app().app_context():
        from superset import security_manager
        from superset.commands.importers.v1.assets import ImportAssetsCommand

        g.user = security_manager.find_user(username=USER)
        ImportAssetsCommand(files).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
