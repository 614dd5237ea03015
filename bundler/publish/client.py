"""Kaggle, asked by its own unmodified client: credentials, patience, errors with a remedy.

The client says little when something goes wrong: it exits the process without credentials, waits
forever for a silent server, tries again for some failures only, and makes a dataset without the
files that failed. Here every call has a time limit, transient failures are tried again, and what
is left is one error that says what to do.
"""

import contextlib
import functools
import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from bundler.errors import NetworkError

T = TypeVar("T")
ATTEMPTS = 6
FIRST_DELAY = 1.0  # seconds; doubled after each attempt
LONGEST_DELAY = 120.0
CONNECT, SILENCE = 30.0, 300.0  # seconds: to connect, and for which a connection may say nothing
SKEW = 300.0  # seconds by which a clock may be off before signatures and certificates fail
TOKEN_PAGE = "https://www.kaggle.com/settings/api"
Say = Callable[[str], None]


class KaggleError(NetworkError):
    """Kaggle refused, or could not be reached; `status` is HTTP's, where there was an answer."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class CredentialsError(KaggleError):
    """There are no credentials that Kaggle accepts."""


class LostUploadError(KaggleError):
    """Files did not arrive, which the client passes over in silence."""


class Client:
    """A signed-in client; `call` is the one way to Kaggle."""

    def __init__(self, api: Any, say: Say) -> None:
        self.api, self.say = api, say
        self.verbose = sys.stderr.isatty()  # whether there is somebody to see a progress bar

    @property
    def user(self) -> str:
        """Return whose credentials these are."""
        return str(self.api.config_values[self.api.CONFIG_NAME_USER])

    @property
    def method(self) -> str:
        """Return which of the client's ways to sign in was taken."""
        return str(self.api.config_values.get(self.api.CONFIG_NAME_AUTH_METHOD, "unknown"))

    def call(self, what: str, function: Callable[[], T], *, attempts: int | None = None) -> T:
        """Return what a call answers; transient failures are tried again. Raises KaggleError."""
        with quietly():
            return retried(what, function, self.say, attempts)

    def ask(self, what: str, function: Callable[[Any], T], *, attempts: int | None = None) -> T:
        """Like `call`, with a connection of the client's SDK to ask by."""

        def asked() -> T:
            with self.api.build_kaggle_client() as connection:
                return function(connection)

        return self.call(what, asked, attempts=attempts)


def connect(say: Say = lambda text: None) -> Client:
    """Sign in by any of the client's ways. Raises CredentialsError, KaggleError."""
    with quietly():
        return retried("sign in", lambda: _sign_in(say), say)


def _sign_in(say: Say) -> Client:
    first = "kaggle" not in sys.modules
    try:
        kind = _api_class()
    except ImportError as error:
        raise NetworkError(
            f"Kaggle's client is not installed ({error}): pip install 'rsna-bundle[bundle]'."
        ) from error
    local = os.environ.get("KAGGLE_API_ENVIRONMENT") == "LOCALHOST"
    if local != ("--local" in kind.args):  # the client looks once, when it is imported
        raise KaggleError("KAGGLE_API_ENVIRONMENT was changed after the client was loaded.")
    import kaggle

    api = kind()
    api.say = say
    if first and getattr(kaggle.api, "_authenticated", False):
        api.config_values = dict(kaggle.api.config_values)  # importing it signed in already
        api._authenticated = True
        return Client(api, say)
    try:
        api.authenticate()
    except SystemExit as end:
        raise CredentialsError(without_credentials()) from end
    if api.CONFIG_NAME_USER not in api.config_values:
        raise CredentialsError(without_credentials())
    return Client(api, say)


def without_credentials() -> str:
    """Say how to get credentials, and which of those that are here were not accepted."""
    token = "KAGGLE_API_TOKEN is set, but Kaggle does not know it (any more). "
    said = token if os.environ.get("KAGGLE_API_TOKEN") else ""
    return (
        f"Kaggle accepts no credentials of this machine. {said}Make a token at {TOKEN_PAGE} and "
        "save it as ~/.kaggle/access_token (or set KAGGLE_API_TOKEN), or run `kaggle auth login`; "
        "`rsna-bundle doctor` then says whether it works."
    )


@functools.cache
def _api_class() -> Any:
    """Return the client's class with two of its public methods made reliable."""
    with _muffled():
        from kaggle.api.kaggle_api_extended import KaggleApi

    class Api(KaggleApi):  # type: ignore[misc, unused-ignore]
        say: Say

        def with_retry(self, func: Callable[..., T], *_: Any, **__: Any) -> Callable[..., T]:
            """Try again as all other calls do: after a server's error, too."""
            what = func.__name__.replace("_", " ")
            return lambda *args: retried(what, lambda: func(*args), self.say)

        def upload_files(self, request: Any, resources: Any, folder: str, *rest: Any) -> None:
            """Upload a folder's files, and stop where one did not arrive."""
            super().upload_files(request, resources, folder, *rest)
            there = set(os.listdir(folder)) - {self.DATASET_METADATA_FILE}
            if len(request.files or ()) != len(there):
                raise LostUploadError(
                    f"{len(there) - len(request.files or ())} of {len(there)} files of {folder} "
                    "did not arrive at Kaggle; no version was made of the others."
                )

    return Api


# --- failures ---


def retried(what: str, function: Callable[[], T], say: Say, attempts: int | None = None) -> T:
    """Call until it works, or fails for good: KaggleError says why, and what to do."""
    from requests.exceptions import RequestException

    attempts = attempts or ATTEMPTS
    for attempt in range(1, attempts + 1):
        try:
            return function()
        except (RequestException, ConnectionError, TimeoutError) as error:
            last = attempt == attempts
            if last or not _transient(error):
                raise explain(what, error, attempt) from error
            delay = _delay(error, attempt)
            say(f"Kaggle: {what}: {_said(error)}; again in {delay:.0f} s ({attempt}/{attempts})")
            time.sleep(delay)
        except ValueError as error:  # how the client refuses what it is given
            raise KaggleError(f"Kaggle's client refuses to {what}: {error}") from error
    raise AssertionError("unreachable")


def _status(error: Exception) -> int | None:
    response = getattr(error, "response", None)
    return None if response is None else int(response.status_code)


def _transient(error: Exception) -> bool:
    from requests.exceptions import SSLError

    status = _status(error)
    if status is None:
        return not isinstance(error, SSLError)
    return status in (408, 425, 429) or status >= 500


def _delay(error: Exception, attempt: int) -> float:
    """Return how long to wait: what the server asks for, or twice as long each time."""
    response = getattr(error, "response", None)
    asked = response.headers.get("Retry-After", "") if response is not None else ""
    own = FIRST_DELAY * 2.0 ** (attempt - 1)
    return min(float(asked) if asked.isdigit() else own, LONGEST_DELAY)


def _said(error: Exception) -> str:
    """Return an error's message in one line, without the objects that it names."""
    status = _status(error)
    if status is not None:
        return f"HTTP {status}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"
    return f"{type(error).__name__}, no answer"


def explain(what: str, error: Exception, attempts: int) -> KaggleError:
    """Return the error that names a failure and its remedy."""
    from requests.exceptions import SSLError

    status, said = _status(error), _said(error)
    clock = clock_warning(getattr(error, "response", None))
    if isinstance(error, SSLError):
        return KaggleError(
            f"Kaggle's certificate is not accepted while trying to {what}: {error}. Is this "
            "machine's clock right, and is a proxy between?"
        )
    if status == 401:
        return CredentialsError(f"{clock}{without_credentials()} (while trying to {what})", status)
    if status is None:
        return KaggleError(
            f"Kaggle cannot be reached to {what} ({said}, {attempts} attempts). Check the network "
            "and the proxy settings, and run it again: what was uploaded is not lost."
        )
    remedies = {
        403: "Is it yours, and are the competition's rules accepted on its page?",
        404: "Check the owner's name and the slug.",
        409: "Something else is changing it at the same time; wait a minute and run it again.",
        413: "It is too large.",
        429: f"Tried {attempts} times; wait some minutes and run it again.",
    }
    again = f"Tried {attempts} times; Kaggle has a problem: run it again later."
    remedy = remedies.get(status, again if status >= 500 else "")
    return KaggleError(f"{clock}Kaggle refuses to {what} ({said}). {remedy}".rstrip(), status)


def clock_warning(response: Any) -> str:
    """Say by how much this machine's clock differs from the server's, where that is too much."""
    said = response.headers.get("Date") if response is not None else None
    try:
        off = time.time() - parsedate_to_datetime(said).timestamp() if said else 0.0
    except ValueError:
        return ""
    if abs(off) < SKEW:
        return ""
    fast = "fast" if off > 0 else "slow"
    return f"This machine's clock is {abs(off) / 60:.0f} minutes {fast}: set it right first. "


# --- surroundings ---


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Let the client neither print results nor wait forever."""
    with _muffled(), _time_limits():
        yield


@contextlib.contextmanager
def _muffled() -> Iterator[None]:
    """Keep the client's chatter off standard output, where results are printed."""
    sink = sys.stderr if sys.stderr.isatty() else io.StringIO()
    with contextlib.redirect_stdout(sink):
        yield


@contextlib.contextmanager
def _time_limits() -> Iterator[None]:
    """Give a limit to the requests that have none; the client names none anywhere."""
    from requests.adapters import HTTPAdapter

    original = HTTPAdapter.send

    def send(self: Any, request: Any, *, timeout: Any = None, **rest: Any) -> Any:
        return original(self, request, timeout=timeout or (CONNECT, SILENCE), **rest)

    HTTPAdapter.send = send  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        HTTPAdapter.send = original  # type: ignore[method-assign]
