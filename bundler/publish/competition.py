"""A code competition: may one submit, submit a notebook's version once, wait for its score."""

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bundler.errors import CheckError
from bundler.publish.client import Client, KaggleError, Say
from bundler.publish.kernel import Version

FILE = "submission.csv"
PAUSE = 30.0  # seconds between two looks at a score
ADVICE = {
    "Notebook Timeout": "Use a smaller preset or model: `rsna-bundle rehearse` projects the time.",
    "Notebook Threw Exception": "Something in the hidden images is unlike the ones you have; "
    'on_failures = "finish" goes on, and `rsna-bundle rehearse` tries hostile images.',
    "Notebook Exceeded Allowed Compute": "It needed more memory or disk than there is.",
    "Submission CSV Not Found": "The run ended without writing submission.csv.",
    "Submission Scoring Error": "submission.csv lacks a breast, or holds what is no number.",
}


@dataclass(frozen=True, kw_only=True)
class Score:
    """A submission that Kaggle has scored."""

    ref: int
    date: str
    public: float | None
    private: float | None


def check(client: Client, slug: str) -> int:
    """Return how many submissions are left today. Raises CheckError where one cannot submit."""
    about = _about(client, slug)
    page = f"https://www.kaggle.com/competitions/{slug}"
    if not about.user_has_entered:
        raise CheckError(
            f"{client.user} has not joined {slug}: accept its rules at {page}/rules (Late "
            "Submission, where it is over), then run this again."
        )
    if about.submissions_disabled:
        raise CheckError(f"{slug} takes no submissions now: see {page}.")
    left = remaining(client, slug)
    if left <= 0:
        raise CheckError(
            f"No submission to {slug} is left today ({about.max_daily_submissions} a day). The "
            "count begins anew at midnight UTC; --dry-run shows what would be submitted."
        )
    return left


def remaining(client: Client, slug: str) -> int:
    """Return how many submissions are left today."""
    limits = client.call(
        "ask for the submissions left",
        lambda: client.api.competition_get_submission_limits(slug),
    )
    return int(limits.num_allowed_now)


def _about(client: Client, slug: str) -> Any:
    from kagglesdk.competitions.types.competition_api_service import ApiGetCompetitionRequest

    request = ApiGetCompetitionRequest()
    request.competition_name = slug
    return client.ask(
        f"ask about the competition {slug}",
        lambda sdk: sdk.competitions.competition_api_client.get_competition(request),
    )


def submit(client: Client, slug: str, version: Version, message: str) -> int:
    """Submit a notebook's version and return the submission's number.

    A submission that got no answer is looked for before it would be made again: each costs one
    of a few a day.
    """
    before = {entry.ref for entry in submissions(client, slug)}
    words = (FILE, message, slug, str(version.ref), version.number)
    send = functools.partial(client.api.competition_submit_code, *words, quiet=True)
    for _ in range(3):
        try:
            answer = client.call(f"submit {version.ref}", send, attempts=1)
            if answer.ref:
                return int(answer.ref)
            problem = KaggleError(f"Kaggle took no submission: {answer.message}")
        except KaggleError as error:
            if error.status is not None and error.status < 500:
                raise
            problem = error
        if found := _new(client, slug, before, message):
            return found
        client.say(f"{problem} It did not arrive; trying again.")
    raise problem


def _new(client: Client, slug: str, before: set[int], message: str) -> int | None:
    """Return the submission that is there now and was not before."""
    for entry in submissions(client, slug):
        if entry.ref not in before and entry.description == message:
            return int(entry.ref)
    return None


def submissions(client: Client, slug: str) -> Sequence[Any]:
    """Return the newest submissions, newest first."""
    found = client.call(
        f"list the submissions to {slug}",
        lambda: client.api.competition_submissions(slug, page_size=100),
    )
    return [entry for entry in found or () if entry is not None]


def wait(client: Client, slug: str, ref: int, say: Say, limit: float) -> Score:
    """Wait until a submission is scored. Raises CheckError where it ends without a score."""
    end = time.monotonic() + limit
    said = None
    while time.monotonic() < end:
        entry = next((entry for entry in submissions(client, slug) if entry.ref == ref), None)
        status = entry.status.name if entry else "not listed"
        if status != said:
            say(f"submission {ref} is {status.lower()}")
            said = status
        if entry and status == "COMPLETE":
            return _score(entry)
        if entry and status == "ERROR":
            reason = entry.error_description or "Kaggle gives no reason"
            advice = next((a for name, a in ADVICE.items() if name in reason), "")
            raise CheckError(f"Submission {ref} was not scored: {reason}. {advice}".rstrip())
        time.sleep(PAUSE)
    raise KaggleError(
        f"Submission {ref} has no score after {limit / 3600:.1f} hours. It is not lost: "
        "`rsna-bundle history --update` looks again."
    )


def _score(entry: Any) -> Score:
    return Score(
        ref=int(entry.ref),
        date=entry.date.isoformat(timespec="seconds") if entry.date else "",
        public=_number(entry.public_score),
        private=_number(entry.private_score),
    )


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
