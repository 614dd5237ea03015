"""When a call to Kaggle fails: retry what may pass, explain what does not."""

import os
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from bundler.errors import NetworkError
from bundler.progress import Progress

T = TypeVar("T")
ATTEMPTS = 6
FIRST_DELAY = 1.0  # seconds; doubled after each attempt
LONGEST_DELAY = 120.0
SKEW = 300.0  # seconds by which a clock may be off before signatures and certificates fail
TOKEN_PAGE = "https://www.kaggle.com/settings/api"


class KaggleError(NetworkError):
    """Kaggle refused or could not be reached; `status` is the HTTP status, if there was one."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class CredentialsError(KaggleError):
    """There are no credentials that Kaggle accepts."""


class OfflineError(KaggleError):
    """Nothing that leads to Kaggle accepts a connection."""


class LostUploadError(KaggleError):
    """Files did not arrive: up to 2.2.4 the client ignores that, later ones refuse to go on."""


LOST = "Upload unsuccessful"  # how the client's ValueError begins then


def without_credentials() -> str:
    """Return how to get credentials, and which existing ones were rejected."""
    rejected = "Kaggle rejected KAGGLE_API_TOKEN; it may have expired. "
    token = rejected if os.environ.get("KAGGLE_API_TOKEN") else ""
    return (
        f"No valid Kaggle credentials on this machine. {token}Create a token at {TOKEN_PAGE} and "
        "save it as ~/.kaggle/access_token (or set KAGGLE_API_TOKEN), or run `kaggle auth login`; "
        "then check with `rsna-bundle doctor`."
    )


def retried(
    action: str, function: Callable[[], T], progress: Progress, attempts: int | None = None
) -> T:
    """Call until it succeeds or fails for good. Raises KaggleError with the remedy."""
    from requests.exceptions import RequestException

    attempts = attempts or ATTEMPTS
    for attempt in range(1, attempts + 1):
        try:
            return function()
        except (RequestException, ConnectionError, TimeoutError) as error:
            last = attempt == attempts
            if last or not _transient(error):
                raise explain(action, error, attempt) from error
            delay = _delay(error, attempt)
            progress.note(
                f"Could not {action}: {_reason(error)}. Retrying in {delay:.0f} s "
                f"(attempt {attempt} of {attempts})"
            )
            time.sleep(delay)
        except ValueError as error:  # how the client refuses what it is given
            if str(error).startswith(LOST):
                raise LostUploadError(f"Could not {action}: {error}.") from error
            raise KaggleError(f"Kaggle's client cannot {action}: {error}") from error
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
    """Return the seconds to wait: what the server asks for, or twice as many each time."""
    response = getattr(error, "response", None)
    wanted = response.headers.get("Retry-After", "") if response is not None else ""
    own = FIRST_DELAY * 2.0 ** (attempt - 1)
    return min(float(wanted) if wanted.isdigit() else own, LONGEST_DELAY)


def _reason(error: Exception) -> str:
    """Return an error's message in one line, without the Python objects that it names."""
    status = _status(error)
    if status is not None:
        return f"HTTP {status}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"
    return f"{type(error).__name__}, no response"


def explain(action: str, error: Exception, attempts: int) -> KaggleError:
    """Return the error that names a failed call, its reason and the remedy."""
    from requests.exceptions import SSLError

    status, reason = _status(error), _reason(error)
    clock = clock_warning(getattr(error, "response", None))
    if isinstance(error, SSLError):
        return KaggleError(
            f"Could not {action}: Kaggle's certificate was rejected ({error}). Check this "
            "machine's clock, and whether a proxy replaces certificates."
        )
    if status == 401:
        return CredentialsError(f"Could not {action}: {clock}{without_credentials()}", status)
    if status is None:
        return KaggleError(
            f"Could not {action}: Kaggle did not respond ({reason}; {attempts} attempts). Check "
            "the network and the proxy settings, then run this again; finished uploads are kept."
        )
    remedies = {
        403: "Check that it is yours, and that you accepted the competition's rules on its page.",
        404: "Check the owner and the slug.",
        409: "Something else is changing it at the same time; wait a minute and run this again.",
        413: "It is too large.",
        429: f"Gave up after {attempts} attempts; wait some minutes and run this again.",
    }
    broken = f"Gave up after {attempts} attempts; Kaggle has a problem. Run this again later."
    remedy = remedies.get(status, broken if status >= 500 else "")
    return KaggleError(f"{clock}Could not {action}: {reason}. {remedy}".rstrip(), status)


def clock_warning(response: Any) -> str:
    """Return by how much this machine's clock is wrong, if that is enough to matter."""
    date = response.headers.get("Date") if response is not None else None
    try:
        off = time.time() - parsedate_to_datetime(date).timestamp() if date else 0.0
    except ValueError:
        return ""
    if abs(off) < SKEW:
        return ""
    fast = "fast" if off > 0 else "slow"
    return f"This machine's clock is {abs(off) / 60:.0f} minutes {fast}; correct it first. "
