"""Ask a server for bytes: TLS, credentials in the address, and errors that name the server."""

import base64
import functools
import netrc
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

import inference
from bundler import process
from bundler.errors import NetworkError

if TYPE_CHECKING:
    import ssl

TIMEOUT = 30  # seconds without a byte
TRIES = 3
TRANSIENT = {408, 429, 500, 502, 503, 504}


class AbsentError(NetworkError):
    """The server has no such file or page."""


@contextmanager
def opened(url: str, headers: Mapping[str, str] | None = None) -> Iterator[IO[bytes]]:
    """Open a URL, trying again where the network hiccups. Raises AbsentError, NetworkError."""
    import http.client  # these take a tenth of a second, and most runs need no network

    try:
        with _answer(url, dict(headers or {})) as stream:
            yield stream
    except (TimeoutError, http.client.HTTPException, ConnectionError) as error:
        raise NetworkError(
            f"The connection to {shown(url)} broke off: {error or type(error).__name__}."
        ) from error


def _answer(url: str, headers: dict[str, str]) -> Any:
    import urllib.error
    import urllib.request

    plain, credentials = _split(url)
    headers["User-Agent"] = f"rsna-bundle/{inference.__version__}"
    if credentials:
        headers["Authorization"] = f"Basic {credentials}"
    for attempt in range(TRIES):
        try:
            request = urllib.request.Request(plain, headers=headers)
            return urllib.request.urlopen(request, timeout=TIMEOUT, context=_tls())
        except urllib.error.HTTPError as error:
            if error.code == 304:
                return error
            with error:
                reason = f"{shown(url)} answered {error.code} {error.reason}"
            if error.code in (404, 410):
                raise AbsentError(f"{reason}.") from error
            if error.code not in TRANSIENT or attempt == TRIES - 1:
                raise NetworkError(f"{reason}.") from error
        except urllib.error.URLError as error:
            if isinstance(error.reason, FileNotFoundError) or plain.startswith("file:"):
                raise AbsentError(f"{shown(url)} does not exist.") from error
            # A certificate does not become valid by asking again.
            if attempt == TRIES - 1 or "SSL" in type(error.reason).__name__:
                host = urlsplit(plain).netloc
                raise NetworkError(f"{host} cannot be reached: {error.reason}.") from error
        time.sleep(0.3 * 2**attempt)
    raise AssertionError("the last attempt raises")


def headers_of(stream: Any) -> Mapping[str, str]:
    """Return the headers of an answer; a file has none."""
    headers: Mapping[str, str] | None = getattr(stream, "headers", None)
    return {} if headers is None else headers


def status_of(stream: Any) -> int:
    """Return the status of an answer: 200, 206, 304."""
    return int(getattr(stream, "status", None) or 200)


def shown(url: str) -> str:
    """Return a URL without its credentials."""
    parts = urlsplit(url)
    if parts.scheme == "file" or "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


_REMEMBERED: dict[str, str] = {}  # server → what authorizes, of URLs that were given with it


def remember(url: str) -> str:
    """Return a URL without its credentials, which hold from now on for its server."""
    parts = urlsplit(url)
    if parts.username and parts.scheme != "file":
        host = parts.netloc.rpartition("@")[2]
        user = unquote(parts.username)
        password = unquote(parts.password) if parts.password is not None else _keyring(host, user)
        _REMEMBERED[host] = _basic(user, password)
    return shown(url)


def _split(url: str) -> tuple[str, str]:
    """Return a URL without credentials, and what authorizes for its server ("" where unknown)."""
    plain = remember(url)
    host = urlsplit(plain).netloc
    return plain, _REMEMBERED.get(host) or _netrc(host)


def _basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def _netrc(host: str) -> str:
    """Return what the user's netrc file says for a server."""
    path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    try:
        entry = netrc.netrc(path).authenticators(host.partition(":")[0])
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return ""  # as pip and curl have it: none, or none that can be read
    return _basic(entry[0], entry[2]) if entry else ""


def _keyring(host: str, user: str) -> str:
    """Return the password of a user from the program `keyring`, "" where it has none."""
    program = process.program("keyring")
    if program is None:
        return ""
    result = process.run([program, "get", host, user], check=False)
    return result.stdout.strip() if result.returncode == 0 else ""


@functools.cache
def _tls() -> "ssl.SSLContext":
    import ssl

    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:  # macOS, Python of python.org
        from pip._vendor import certifi

        context.load_verify_locations(certifi.where())
    return context
