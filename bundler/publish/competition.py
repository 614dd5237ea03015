"""A code competition: check that one may submit, submit once, wait for the score."""

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bundler.errors import CheckError
from bundler.publish.client import Client
from bundler.publish.failures import KaggleError
from bundler.publish.kernel import Version

PAUSE = 30.0  # seconds between two checks for a score
ADVICE = {
    "Notebook Timeout": "Use a smaller preset or model; `rsna-bundle rehearse` projects the time.",
    "Notebook Threw Exception": "Something in the hidden test set is unlike your data; "
    'on_failures = "finish" goes on, and `rsna-bundle rehearse` tries damaged files.',
    "Notebook Exceeded Allowed Compute": "It needed more memory or disk than there is.",
    "Submission CSV Not Found": "The run ended without writing submission.csv.",
    "Submission Scoring Error": "submission.csv lacks a row, or has a value that is not a number.",
}


@dataclass(frozen=True, kw_only=True)
class About:
    """What decides whether this account may submit."""

    joined: bool
    closed: bool
    daily: int  # submissions a day


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A submission as Kaggle lists it; status is PENDING, COMPLETE or ERROR."""

    ref: int
    description: str
    status: str
    reason: str  # of an ERROR
    date: str
    public: float | None
    private: float | None


@dataclass(frozen=True, kw_only=True)
class Score:
    """A submission that Kaggle has scored."""

    ref: int
    date: str
    public: float | None
    private: float | None


def check(client: Client, slug: str) -> int:
    """Return how many submissions are left today. Raises CheckError if one cannot submit."""
    about = _about(client, slug)
    page = f"https://www.kaggle.com/competitions/{slug}"
    if not about.joined:
        raise CheckError(
            f"{client.user} has not joined {slug}. Accept its rules at {page}/rules (by Late "
            "Submission if it is over), then run this again."
        )
    if about.closed:
        raise CheckError(f"{slug} does not accept submissions now; see {page}.")
    left = remaining(client, slug)
    if left <= 0:
        raise CheckError(
            f"No submissions to {slug} are left today (the limit is {about.daily} a day). The "
            "count restarts at midnight UTC; --dry-run shows what would be submitted."
        )
    return left


def remaining(client: Client, slug: str) -> int:
    """Return how many submissions are left today."""
    limits = client.call(
        f"get the submission limits of {slug}",
        lambda: client.api.competition_get_submission_limits(slug),
    )
    return int(limits.num_allowed_now)


def _about(client: Client, slug: str) -> About:
    from kagglesdk.competitions.types.competition_api_service import ApiGetCompetitionRequest

    request = ApiGetCompetitionRequest()
    request.competition_name = slug
    answer = client.ask(
        f"look up the competition {slug}",
        lambda sdk: sdk.competitions.competition_api_client.get_competition(request),
    )
    return About(
        joined=bool(answer.user_has_entered),
        closed=bool(answer.submissions_disabled),
        daily=int(answer.max_daily_submissions or 0),
    )


def submit(
    client: Client, slug: str, version: Version, message: str, file: str = "submission.csv"
) -> int:
    """Submit a notebook's version and return the submission's number.

    If there is no response, the submission is looked for before another is made: each uses up one
    of a few a day.
    """
    before = {entry.ref for entry in submissions(client, slug)}
    client.progress.step(f"Submitting version {version.number} of {version.ref} to {slug}")
    arguments = (file, message, slug, str(version.ref), version.number)
    send = functools.partial(client.api.competition_submit_code, *arguments, quiet=True)
    for _ in range(3):
        try:
            answer = client.call(f"submit {version.ref}", send, attempts=1)
            if answer.ref:
                return int(answer.ref)
            problem = KaggleError(f"Kaggle did not accept the submission: {answer.message}")
        except KaggleError as error:
            if error.status is not None and error.status < 500:
                raise
            problem = error
        if ref := _new(client, slug, before, message):
            return ref
        client.progress.warn(f"{problem} The submission did not arrive; trying again.")
    raise problem


def _new(client: Client, slug: str, before: set[int], message: str) -> int | None:
    """Return the number of the submission that was not listed before."""
    for entry in submissions(client, slug):
        if entry.ref not in before and entry.description == message:
            return entry.ref
    return None


def submissions(client: Client, slug: str) -> Sequence[Submission]:
    """Return the newest submissions, newest first."""
    listed = client.call(
        f"list the submissions to {slug}",
        lambda: client.api.competition_submissions(slug, page_size=100),
    )
    return [_submission(entry) for entry in listed or () if entry is not None]


def _submission(entry: Any) -> Submission:
    return Submission(
        ref=int(entry.ref),
        description=str(entry.description or ""),
        status=str(entry.status.name),
        reason=str(entry.error_description or "Kaggle gives no reason"),
        date=entry.date.isoformat(timespec="seconds") if entry.date else "",
        public=_number(entry.public_score),
        private=_number(entry.private_score),
    )


def wait(client: Client, slug: str, ref: int, limit: float) -> Score:
    """Wait until a submission is scored. Raises CheckError if it ends without a score."""
    end = time.monotonic() + limit
    shown = None
    while time.monotonic() < end:
        entry = next((entry for entry in submissions(client, slug) if entry.ref == ref), None)
        status = entry.status if entry else "not listed"
        if status != shown:
            client.progress.step(f"Waiting for the score of submission {ref} ({status.lower()})")
            shown = status
        if entry and status == "COMPLETE":
            return Score(ref=ref, date=entry.date, public=entry.public, private=entry.private)
        if entry and status == "ERROR":
            advice = next((text for name, text in ADVICE.items() if name in entry.reason), "")
            raise CheckError(f"Submission {ref} was not scored: {entry.reason}. {advice}".rstrip())
        time.sleep(PAUSE)
    raise KaggleError(
        f"Submission {ref} has no score after {limit / 3600:.1f} hours. It is not lost; ask for "
        "the score later with `rsna-bundle history --update`."
    )


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
