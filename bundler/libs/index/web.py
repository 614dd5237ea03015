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
    import urllib.request

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

    plain = remember(url)
    headers["User-Agent"] = f"rsna-bundle/{inference.__version__}"
    for attempt in range(TRIES):
        try:
            request = urllib.request.Request(plain, headers=headers)
            _authorize(request)
            return _opener().open(request, timeout=TIMEOUT)
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
    """Return a URL without what may be secret: its user and password, and its query."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return url
    # Of an address for ssh the user is no secret, and part of the address.
    host = parts.netloc if "ssh" in parts.scheme else parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host, query=""))


_REMEMBERED: dict[str, str] = {}  # address of an index or a file → what authorizes there


def remember(url: str) -> str:
    """Return a URL without its credentials, which hold from now on below it and on its server."""
    if "@" not in url:
        return url
    parts = urlsplit(url)
    if not parts.username or parts.scheme not in ("http", "https"):
        return url
    host = parts.netloc.rpartition("@")[2]
    plain = urlunsplit(parts._replace(netloc=host))
    if plain not in _REMEMBERED:
        user = unquote(parts.username)
        given = parts.password
        password = unquote(given) if given is not None else _keyring(plain, host, user)
        _REMEMBERED[plain] = _basic(user, password)
    return plain


def authorization(plain: str) -> str:
    """Return the header that authorizes at a URL without credentials, "" where none is known.

    Of several addresses of one server the one counts that the URL starts with: a server may hold
    indexes of several owners, each with a token of its own.
    """
    host = urlsplit(plain).netloc
    known = [url for url in _REMEMBERED if urlsplit(url).netloc == host]
    above = [url for url in known if plain.startswith(url.rstrip("/") + "/") or plain == url]
    best = max(above, key=len, default=next(iter(known), None))
    credentials = _REMEMBERED[best] if best else _netrc(host)
    return f"Basic {credentials}" if credentials else ""


def _authorize(request: "urllib.request.Request") -> None:
    """Add what authorizes for a request's own server, and is not sent on to another one."""
    if header := authorization(request.full_url):
        request.add_unredirected_header("Authorization", header)


@functools.cache
def _opener() -> "urllib.request.OpenerDirector":
    import urllib.request

    class Redirects(urllib.request.HTTPRedirectHandler):
        """Follows redirects, each with the credentials of the server that it leads to."""

        def redirect_request(self, *arguments: Any) -> "urllib.request.Request | None":
            """Return the request to follow."""
            request = super().redirect_request(*arguments)
            if request is not None:
                request.full_url = remember(request.full_url)
                _authorize(request)
            return request

    return urllib.request.build_opener(Redirects, urllib.request.HTTPSHandler(context=_tls()))


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


def _keyring(url: str, host: str, user: str) -> str:
    """Return the password of a user from the program `keyring`, "" where it has none.

    It is asked for the address first, then for the server, as pip and uv do.
    """
    program = process.program("keyring")
    if program is None:
        return ""
    for service in (url, host):
        result = process.run([program, "get", service, user], check=False)
        if result.returncode == 0 and result.stdout.strip():
            return result.stdout.strip()
    return ""


@functools.cache
def _tls() -> "ssl.SSLContext":
    import ssl

    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:  # macOS, Python of python.org
        from pip._vendor import certifi

        context.load_verify_locations(certifi.where())
    return context
