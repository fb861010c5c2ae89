"""Transports of the profiles: maps the profile of a run to the transport of its requests."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pipelines.common.paths import DataPaths
from pipelines.common.proxies import check_proxies
from pipelines.common.settings import Settings
from pipelines.sources.base import Scope
from pipelines.transports.archive import Archive
from pipelines.transports.base import Transport


def make_transport(
    settings: Settings, *, now: datetime, scope: Scope, archive: Archive, record: Path | None = None
) -> Transport | None:
    """Transport of the profile in `settings`; None for the drop profile, which sends no requests.

    `now`: the run's clock (UTC). `record`: the folder in which the live profile also stores each response for a replay.
    """
    if settings.profile == "demo":
        from pipelines.transports.demo import DemoTransport

        return DemoTransport(now, scope, metals=settings.demo)
    if settings.profile == "replay":
        from pipelines.transports.replay import ReplayTransport

        assert settings.replay is not None  # load_settings rejects the profile without this folder
        return ReplayTransport(settings.replay, now)
    if settings.profile == "live":
        live = make_http_transport(settings, archive)
        if record is None:
            return live
        from pipelines.transports.record import RecordingTransport

        return RecordingTransport(live, record)
    return None


def make_http_transport(settings: Settings, archive: Archive, attempts: int | None = None) -> Transport:
    """Transport that contacts the publishers, whatever the profile; `attempts` per request if not the usual number.

    Raises `SettingsError` for a proxy in the environment that cannot be used.
    """
    from pipelines.transports.http import ATTEMPTS, HttpTransport
    from pipelines.transports.rate_limit import RateLimiter

    check_proxies()
    return HttpTransport(
        settings.clock,
        settings.secrets(),
        archive=archive,
        rate_limiter=RateLimiter(DataPaths(settings.data).rate_limits),
        contact=settings.contact,
        attempts=attempts or ATTEMPTS,
    )
