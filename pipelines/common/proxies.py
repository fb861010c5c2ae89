"""Proxies that the environment names for outgoing requests, checked before the first of them is sent."""

from __future__ import annotations

import os
from urllib.request import getproxies

from pipelines.common.settings import SettingsError

ACCEPTED = "http://, https://, socks5:// or socks5h:// with a host and a port"


def check_proxies() -> None:
    """Raise `SettingsError` for a proxy of HTTP_PROXY, HTTPS_PROXY, ALL_PROXY or NO_PROXY that cannot be used.

    The message has the variable and its value without credentials.
    """
    import httpx

    proxies = {scheme: address for scheme, address in getproxies().items() if scheme in ("http", "https", "all")}
    if not proxies or "*" in getproxies().get("no", "").replace(" ", "").split(","):
        return
    for scheme, address in proxies.items():
        problem = f"is not accepted: give {ACCEPTED}"
        try:
            url = httpx.URL(address if "://" in address else f"http://{address}")
            httpx.HTTPTransport(verify=False, proxy=httpx.Proxy(url)).close()  # the form only: no connection is made
            if url.host:
                continue
        except ImportError:
            problem = "needs the package socksio: make setup installs it"
        except (ValueError, httpx.InvalidURL):
            pass
        raise SettingsError(f"{_variable(scheme)}={_without_credentials(address)!r} {problem}")
    try:
        httpx.Client(verify=False).close()
    except (ValueError, httpx.InvalidURL):
        hosts = getproxies().get("no", "")
        raise SettingsError(
            f"{_variable('no')}={hosts!r} is not accepted: give hosts, with commas, without brackets"
        ) from None


def _variable(scheme: str) -> str:
    """The variable as it is written: the one in lower case takes precedence."""
    lower = f"{scheme}_proxy"
    return lower if os.environ.get(lower) else lower.upper()


def _without_credentials(address: str) -> str:
    scheme, separator, rest = address.rpartition("://")
    return scheme + separator + rest.rpartition("@")[2]
