"""The Dagster instance of the project: `.dagster` under the root unless DAGSTER_HOME says otherwise."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.files import write_aside
from pipelines.settings import PROJECT

if TYPE_CHECKING:
    import dagster as dg


def prepare_home() -> None:
    """Sets DAGSTER_HOME and the event batch size where they are not set, and puts the instance's settings there."""
    from pipelines.event_log import BATCH_SIZE

    os.environ.setdefault("DAGSTER_HOME", str(PROJECT / ".dagster"))
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(BATCH_SIZE))
    home = Path(os.environ["DAGSTER_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        # In one step: half a file, left by a kill, would be another instance from then on.
        write_aside(home / "dagster.yaml", partial(shutil.copyfile, PROJECT / "dagster.yaml"))


def open_instance() -> dg.DagsterInstance:
    """The instance that the UI shows as well."""
    import dagster as dg

    prepare_home()
    return dg.DagsterInstance.get()
