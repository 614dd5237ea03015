"""Whether Kaggle can be reached at all, said within seconds: the client would try for a minute."""

import socket
import threading
from urllib.parse import urlsplit

from bundler.publish.failures import OfflineError

PATIENCE = 2.5  # seconds; looking up a name alone may take longer, and cannot be interrupted
PORTS = {"http": 80, "https": 443}


def check() -> str:
    """Return Kaggle's address. Raises OfflineError where nothing accepts a connection."""
    address, host, port = _peer()
    failures: list[str] = ["no response"]
    thread = threading.Thread(target=_connect, args=(host, port, failures), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if failures:
        raise OfflineError(
            f"This machine is offline: no connection to {host}:{port} ({failures[-1]}). Connect "
            "it to a network, or name a proxy that works in HTTPS_PROXY, and run this again."
        )
    return address


def _connect(host: str, port: int, failures: list[str]) -> None:
    """Empty the list of failures once a connection stands."""
    try:
        socket.create_connection((host, port), PATIENCE).close()
    except OSError as error:
        failures.append(error.strerror or str(error) or type(error).__name__)
    else:
        failures.clear()


def _peer() -> tuple[str, str, int]:
    """Return Kaggle's address, and the host and port to connect to: a proxy's, if there is one."""
    from kagglesdk.kaggle_env import get_endpoint, get_env
    from requests.utils import get_environ_proxies, select_proxy

    address = str(get_endpoint(get_env()))
    url = urlsplit(select_proxy(address, get_environ_proxies(address)) or address)
    return address, url.hostname or "", url.port or PORTS.get(url.scheme, 443)
