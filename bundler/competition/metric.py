"""The user's metric on the rows whose answers are known, written beside the rehearsal."""

from collections.abc import Mapping
from pathlib import Path

from bundler.competition import user_code
from bundler.competition.check import Check
from bundler.competition.profile import Profile
from bundler.competition.submission_file import Submission
from bundler.errors import InputError

NAME = "metric"


def compute(
    profile: Profile, found: Submission, labels: Mapping[str, Mapping[str, str]], root: Path
) -> Check | None:
    """Return the check of the metric that the settings name; None where they name none."""
    hidden = profile.hidden
    if not hidden.metric:
        return None
    known = [
        (identity, answer)
        for identity, answer in found.answers(hidden.id, found.columns).items()
        if set(labels.get(identity, ())) >= set(hidden.targets)
    ]
    if not known:
        message = "No row's right answer is known; a hook may return them (see docs/reference.md)."
        return Check(name=NAME, status="unproven", message=message)
    submission = [dict(zip(found.columns, answer, strict=True)) for _, answer in known]
    solution = [
        {**{name: row[name] for name in hidden.id}, **_of(labels[identity], hidden.targets)}
        for (identity, _), row in zip(known, submission, strict=True)
    ]
    try:
        value = user_code.metric(hidden.metric, solution, submission, hidden.id[0], root=root)
    except InputError as error:
        return Check(name=NAME, status="failed", message=str(error))
    message = f"{hidden.metric} is {value:.6g} on {len(known)} rows whose answers are known"
    return Check(name=NAME, status="passed", message=message)


def _of(labels: Mapping[str, str], targets: tuple[str, ...]) -> dict[str, str]:
    return {name: labels[name] for name in targets}
