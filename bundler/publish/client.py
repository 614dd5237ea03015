"""Kaggle, called through its own unmodified client: credentials, retries, errors with a remedy.

Alone, the client exits the process if there are no credentials, waits forever for a silent server,
retries some failures only, and creates a dataset without the files that failed. Here every call
has a time limit, transient failures are retried, and what is left is one error that says what to
do.
"""

import contextlib
import functools
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

from bundler.errors import NetworkError
from bundler.progress import SILENT, Progress
from bundler.publish import reach
from bundler.publish.failures import (
    CredentialsError,
    KaggleError,
    LostUploadError,
    retried,
    without_credentials,
)

T = TypeVar("T")
CONNECT, SILENCE = 30.0, 300.0  # seconds: to connect, and without a byte on a connection


class Client:
    """A signed-in client; `call` is the one way to Kaggle."""

    def __init__(self, api: Any, progress: Progress) -> None:
        self.api, self.progress = api, progress

    @property
    def user(self) -> str:
        """Return the user whose credentials these are."""
        return str(self.api.config_values[self.api.CONFIG_NAME_USER])

    @property
    def method(self) -> str:
        """Return how the client signed in."""
        return str(self.api.config_values.get(self.api.CONFIG_NAME_AUTH_METHOD, "unknown"))

    def call(self, action: str, function: Callable[[], T], *, attempts: int | None = None) -> T:
        """Return a call's result; transient failures are retried. Raises KaggleError.

        `action` says in an infinitive what the call does, for messages.
        """
        with quietly():
            return retried(action, function, self.progress, attempts)

    def ask(self, action: str, function: Callable[[Any], T], *, attempts: int | None = None) -> T:
        """Like `call`, for functions that take a connection of the client's SDK."""

        def connected() -> T:
            with self.api.build_kaggle_client() as connection:
                return function(connection)

        return self.call(action, connected, attempts=attempts)


def connect(progress: Progress = SILENT) -> Client:
    """Sign in, in any way that the client knows. Raises CredentialsError, KaggleError.

    Raises OfflineError within seconds where there is no network.
    """
    try:
        with quietly():
            reach.check()
    except ImportError as error:
        raise _not_installed(error) from error
    with quietly():
        return retried("sign in", lambda: _sign_in(progress), progress)


def _sign_in(progress: Progress) -> Client:
    first = "kaggle" not in sys.modules
    try:
        kind = _api_class()
    except ImportError as error:
        raise _not_installed(error) from error
    local = os.environ.get("KAGGLE_API_ENVIRONMENT") == "LOCALHOST"
    if local != ("--local" in kind.args):  # the client reads it once, when it is imported
        raise KaggleError("KAGGLE_API_ENVIRONMENT changed after Kaggle's client was loaded.")
    with _muffled():
        import kaggle

    api = kind()
    api.progress = progress
    if first and getattr(kaggle.api, "_authenticated", False):
        api.config_values = dict(kaggle.api.config_values)  # importing it signed in already
        api._authenticated = True
        return Client(api, progress)
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # its banner: our error says it all
            api.authenticate()
    except SystemExit as end:
        raise CredentialsError(without_credentials()) from end
    if api.CONFIG_NAME_USER not in api.config_values:
        raise CredentialsError(without_credentials())
    return Client(api, progress)


def _not_installed(error: ImportError) -> NetworkError:
    return NetworkError(
        f"Kaggle's client is not installed ({error}). Run: pip install 'rsna-bundle[bundle]'"
    )


@functools.cache
def _api_class() -> Any:
    """Return the client's class with three of its public methods made reliable and visible."""
    # Importing it signs in, and prints a banner where that fails.
    with _muffled(), contextlib.redirect_stderr(io.StringIO()):
        from kaggle.api import kaggle_api_extended as extended

    class Api(extended.KaggleApi):  # type: ignore[misc, unused-ignore]
        progress: Progress

        def with_retry(self, func: Callable[..., T], *_: Any, **__: Any) -> Callable[..., T]:
            """Retry like all other calls do: after a server error, too."""
            action = func.__name__.replace("_", " ")
            return lambda *args: retried(action, lambda: func(*args), self.progress)

        def upload_complete(self, path: str, url: str, quiet: bool, resume: bool = False) -> Any:
            """Upload one file with our bar in place of the client's own."""
            with _metered(extended, Path(path).name, self.progress):
                return super().upload_complete(path, url, quiet, resume)

        def upload_files(self, request: Any, resources: Any, folder: str, *rest: Any) -> None:
            """Upload a folder's files. Raises LostUploadError if one did not arrive."""
            super().upload_files(request, resources, folder, *rest)
            files = set(os.listdir(folder)) - {self.DATASET_METADATA_FILE}
            arrived = len(request.files or ())
            if arrived != len(files):
                raise LostUploadError(
                    f"{len(files) - arrived} of {len(files)} files in {folder} did not arrive at "
                    "Kaggle, so no version was created."
                )

    return Api


@contextlib.contextmanager
def _metered(extended: Any, name: str, progress: Progress) -> Iterator[None]:
    """Let the client's upload advance a bar of ours, where it would draw one by tqdm."""

    @contextlib.contextmanager
    def meter(total: int, **_: Any) -> Iterator[SimpleNamespace]:
        with progress.bar(f"Sending {name}", total) as advance:
            yield SimpleNamespace(update=advance)

    original, extended.tqdm = extended.tqdm, meter
    try:
        yield
    finally:
        extended.tqdm = original


# --- surroundings ---


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep the client from printing, and from waiting forever."""
    with _muffled(), _time_limits():
        yield


@contextlib.contextmanager
def _muffled() -> Iterator[None]:
    """Drop what the client prints to standard output, where our results go."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


@contextlib.contextmanager
def _time_limits() -> Iterator[None]:
    """Give every request a time limit; the client sets none."""
    from requests.adapters import HTTPAdapter

    original = HTTPAdapter.send

    def send(self: Any, request: Any, *, timeout: Any = None, **rest: Any) -> Any:
        return original(self, request, timeout=timeout or (CONNECT, SILENCE), **rest)

    HTTPAdapter.send = send  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        HTTPAdapter.send = original  # type: ignore[method-assign]
