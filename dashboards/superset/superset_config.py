"""Superset's settings for `make dashboards`: its defaults, without requests to other hosts.

`serve.py` sets the folder of the metadata and the secret key in the environment, as Superset reads them there.
"""

from superset.config import TALISMAN_CONFIG  # type: ignore[import-not-found]

LOG_LEVEL = "ERROR"

_policy = TALISMAN_CONFIG["content_security_policy"]
_policy["img-src"] = ["'self'", "blob:", "data:"]  # without the pixel that reports the use of Superset
_policy["connect-src"] = ["'self'"]
_policy["style-src"] = ["'self'", "'unsafe-inline'"]
_policy["font-src"] = ["'self'"]
