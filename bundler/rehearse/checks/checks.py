"""What a rehearsal checks of a performance: the submission, what ran, what it tried."""

import csv
import ipaddress
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bundler.competition.screening.hidden_test import HiddenSet
from bundler.rehearse.checks import causes
from bundler.rehearse.run.audit_hook import MOST as MOST_NOTED
from bundler.rehearse.run.layout import Stage
from bundler.rehearse.run.notebook_run import Performance

Status = Literal["passed", "failed", "unproven"]
ORDER: tuple[Status, ...] = ("failed", "unproven", "passed")
SHOWN = 5  # ids that a message names
# In the run's own warnings: what loses a submission, though the run went on.
GRAVE = ("has a GPU, but", "is the model broken?")
ENOUGH_BREASTS = 6  # fewer may well have one prediction


@dataclass(frozen=True, kw_only=True)
class Check:
    """One condition: whether it holds, and what was found."""

    name: str
    status: Status
    said: str

    def as_dict(self) -> dict[str, str]:
        """Return what the JSON holds."""
        return {"name": self.name, "status": self.status, "said": self.said}


def ordered(checks: Iterable[Check]) -> list[Check]:
    """Return the checks with what must be mended first."""
    return sorted(checks, key=lambda check: ORDER.index(check.status))


def verdict(name: str, problems: Sequence[str], fine: str) -> Check:
    """Return a check that failed where there are problems."""
    if problems:
        return Check(name=name, status="failed", said="\n".join(problems))
    return Check(name=name, status="passed", said=fine)


def examine(seen: Performance, stage: Stage, expected: Mapping[str, str]) -> list[Check]:
    """Return the checks of one performance."""
    done = [
        verdict("notebook ran", list(_end(seen, stage)), f"to its end in {seen.seconds:.1f} s"),
        verdict("network", list(_network(seen)), "nothing tried it"),
        verdict("writes", list(_writes(seen)), "only in /kaggle/working and the temporary folder"),
    ]
    if done[0].status == "failed" and seen.report is None and not (_csv(seen).is_file()):
        return done
    done.append(
        verdict(
            "submission.csv",
            list(_submission(_csv(seen), stage.hidden)),
            f"{len(stage.hidden.breasts)} breasts, as sample_submission.csv has them",
        )
    )
    if seen.report is None:
        said = "No submission.json was written: what ran, and from what, is not known."
        return [*done, Check(name="provenance", status="failed", said=said)]
    done.append(verdict("provenance", list(_ids(seen, expected)), "the ids are the expected ones"))
    done.append(verdict("images", list(_images(seen, stage.hidden)), _image_count(stage.hidden)))
    for warning in seen.report.get("warnings", ()):
        status: Status = "failed" if any(sign in warning for sign in GRAVE) else "unproven"
        done.append(Check(name="warning of the run", status=status, said=warning))
    return done


def _csv(seen: Performance) -> Path:
    return seen.working / "submission.csv"


def _end(seen: Performance, stage: Stage) -> Iterator[str]:
    limits = stage.limits
    if seen.watched.killed == "time":
        yield (
            f"Out of time: it ran for more than {limits.seconds:.0f} s and was ended (Notebook "
            "Timeout on Kaggle). Use a smaller preset or model, or find what it waits for."
        )
    if seen.watched.killed == "memory":
        yield (
            f"Out of memory: it used {seen.watched.peak_bytes / 1e9:.2f} GB of "
            f"{limits.memory_bytes / 1e9:.2f} GB, and its largest process was killed (Notebook "
            "Exceeded Allowed Compute on Kaggle). Use fewer --workers or smaller batches."
        )
    if seen.returncode == 0 or (seen.returncode is None and seen.watched.killed):
        return
    tail = "\n".join(f"  {line}" for line in seen.log.strip().splitlines()[-12:])
    names = _files(stage)
    text = f"{seen.log}\n{seen.error or ''}"
    cause = causes.explain(text, f"{limits.working_bytes / 1e9:.2f} GB", names)
    first = (seen.error or "it ended without a word").strip().splitlines()
    yield (f"{cause}\n" if cause else "") + f"A cell failed: {first[-1][:500]}\n{tail}"


def _files(stage: Stage) -> Iterator[str]:
    from inference.boot import bundle as reader

    for file in reader.read(stage.published["code"]).files:
        yield from (member.name for member in file.members)
    yield from ("test.csv", "sample_submission.csv", "test_images", "train.csv")


def _network(seen: Performance) -> Iterator[str]:
    tried: dict[str, list[str]] = {}
    for attempt in seen.attempts:
        if attempt["kind"] == "network":
            tried.setdefault(str(attempt["what"]), list(attempt["sites"]))
    for what, sites in tried.items():
        hub = "huggingface" in what or "download.pytorch" in what
        meant = " (a pretrained model would be downloaded: pass pretrained=False)" if hub else ""
        yield f"{what} was tried{meant}, from {' ← '.join(sites[:3]) or 'Python itself'}"
    hosts = {what.rpartition(":")[0] or what for what in tried}
    for name in seen.names:
        if name not in hosts:
            yield f"{name} was asked for by a program other than Python (see the log)"
    yield from _native(seen.sent_nowhere - sum(map(_sends, seen.attempts)), len(seen.attempts))


def _native(packets: int, noted: int) -> Iterator[str]:
    """Say what the kernel counted and Python did not note."""
    if packets > 0 and noted < MOST_NOTED:
        yield (
            f"{packets} {'packet' if packets == 1 else 'packets'} to an address outside had no "
            "route, and Python sent none of them: native code tried the network. Which code, and "
            "which address, the kernel does not say: look among the libraries and programs that "
            "the run loads for what sends telemetry or fetches models."
        )


def _sends(attempt: Mapping[str, Any]) -> bool:
    """Say whether an attempt that Python noted sent a packet: one that knew an address."""
    if attempt.get("event") not in ("socket.connect", "socket.sendto"):
        return False
    try:
        ipaddress.ip_address(str(attempt["what"]).rpartition(":")[0])
    except ValueError:
        return False  # a name, which nobody resolved
    return True


def _writes(seen: Performance) -> Iterator[str]:
    tried: dict[str, list[str]] = {}
    for attempt in seen.attempts:
        if attempt["kind"] == "write":
            tried.setdefault(str(attempt["what"]), list(attempt["sites"]))
    for what, sites in list(tried.items())[:SHOWN]:
        where = "the input, which is read-only" if what.startswith("/kaggle/input") else "elsewhere"
        yield f"{what} was written to ({where}), from {' ← '.join(sites[:3]) or 'Python itself'}"
    if len(tried) > SHOWN:
        yield f"and {len(tried) - SHOWN} more"


def _submission(path: Path, hidden: HiddenSet) -> Iterator[str]:
    """Yield what would make Kaggle refuse the file, or what makes it worthless."""
    if not path.is_file():
        yield "submission.csv was not written (Submission CSV Not Found on Kaggle)."
        return
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            columns, rows = list(reader.fieldnames or ()), list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        yield f"submission.csv cannot be read: {error}."
        return
    if columns != ["prediction_id", "cancer"]:
        extra = [name for name in columns if name not in ("prediction_id", "cancer")]
        index = (
            " An unnamed column is pandas' index: write with index=False."
            if (any(name == "" or name.startswith("Unnamed") for name in extra))
            else ""
        )
        yield f"Its columns are {columns}, expected are ['prediction_id', 'cancer'].{index}"
    if {"prediction_id", "cancer"} <= set(columns):
        yield from _ids_of_rows([row["prediction_id"] or "" for row in rows], hidden.breasts)
        yield from _values([(row["prediction_id"], row["cancer"] or "") for row in rows])


def _ids_of_rows(found: list[str], breasts: list[str]) -> Iterator[str]:
    twice = [name for name, count in Counter(found).items() if count > 1]
    if twice:
        yield f"{len(twice)} prediction_ids occur more than once: {_some(twice)}"
    if missing := [name for name in breasts if name not in set(found)]:
        zeros = {name.lstrip("0") for name in missing} & set(found)
        why = " Leading zeros were lost: read ids as text." if zeros else ""
        yield f"{len(missing)} prediction_ids are missing: {_some(missing)}.{why}"
    if unknown := [name for name in found if name not in set(breasts)]:
        yield f"{len(unknown)} prediction_ids are not in sample_submission.csv: {_some(unknown)}"


def _values(pairs: list[tuple[str, str]]) -> Iterator[str]:
    values = {}
    for name, text in pairs:
        try:
            values[name] = float(text)
        except ValueError:
            values[name] = math.nan
    if bad := [name for name, value in values.items() if not math.isfinite(value)]:
        yield f"{len(bad)} predictions are NaN or no number: {_some(bad)}"
    if bad := [name for name, value in values.items() if not 0 <= value <= 1 and value == value]:
        yield f"{len(bad)} predictions lie outside [0, 1]: {_some(bad)}"
    different = set(values.values())
    if len(values) >= ENOUGH_BREASTS and len(different) == 1 and different - {0.0, 1.0}:
        (value,) = different
        yield f"All {len(values)} predictions are {value}: a constant, not a model's answers."


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (" …" if len(names) > SHOWN else "")


def _ids(seen: Performance, expected: Mapping[str, str]) -> Iterator[str]:
    for kind, identity in expected.items():
        found = (seen.report or {}).get("ids", {}).get(kind)
        if found != identity:
            yield f"{kind} {str(found)[:12]} was used, expected is {identity[:12]}."


def _images(seen: Performance, hidden: HiddenSet) -> Iterator[str]:
    report: Mapping[str, Any] = seen.report or {}
    failed = {name: kind for kind, names in report.get("failures", {}).items() for name in names}
    planted = {image.row["image_id"]: image for image in hidden.planted}
    for name, kind in failed.items():
        image = planted.get(name)
        if image is None or not image.may_fail:
            what = f" ({image.case})" if image else ""
            yield f"The image {name}{what} could not be read: {kind}."
    for name, image in planted.items():
        if image.case in ("missing", "truncated") and name not in failed:
            yield f"The {image.case} file {name} was not noticed: something was predicted for it."
    total = report.get("images", {}).get("total")
    if total != len(hidden.rows):
        yield f"{total} images were predicted, test.csv has {len(hidden.rows)}."
    if report.get("fallbacks"):
        yield f"Breasts got a fallback though they have images: {_some(report['fallbacks'])}"


def _image_count(hidden: HiddenSet) -> str:
    return (
        f"{len(hidden.sample)} from {hidden.source}, {len(hidden.planted)} awkward ones; those "
        "that cannot be read were named, and their breasts predicted from others"
    )
