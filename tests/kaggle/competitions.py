"""Competitions: rules, daily limits, submissions of a notebook's version, scores."""

import io
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.kaggle.datasets import Refused
from tests.kaggle.faults import Faults
from tests.kaggle.kernels import Kernels


@dataclass(kw_only=True)
class Submission:
    """One submission; `waits` is how often it is still pending when asked for."""

    ref: int
    description: str
    file: str
    kernel: str
    waits: int
    error: str = ""


@dataclass(kw_only=True)
class Competition:
    """A code competition and what this team did in it."""

    slug: str
    entered: bool = True
    closed: bool = False
    daily: int = 5
    public: str = "0.41"
    private: str = ""
    waits: int = 1
    submissions: list[Submission] = field(default_factory=list)
    folder: Path | None = None  # its files
    packs: bool = False  # files are sent as zip archives


class Competitions:
    """The competitions' part of the service."""

    def __init__(self, faults: Faults, kernels: Kernels) -> None:
        self.faults, self.kernels = faults, kernels
        self.all: dict[str, Competition] = {}
        self.listed = 0  # names that were given out

    def get(self, body: dict[str, Any]) -> Competition:
        """Return the competition that a call names."""
        if body.get("competitionName") not in self.all:
            raise Refused(404, "Competition not found")
        return self.all[body["competitionName"]]

    def about(self, body: dict[str, Any]) -> dict[str, Any]:
        """Describe a competition."""
        competition = self.get(body)
        return {
            "ref": f"https://www.kaggle.com/competitions/{competition.slug}",
            "userHasEntered": competition.entered,
            "maxDailySubmissions": competition.daily,
            "submissionsDisabled": competition.closed,
            "isKernelsSubmissionsOnly": True,
        }

    def tree(self, body: dict[str, Any]) -> dict[str, Any]:
        """List one page of one folder."""
        competition = self.get(body)
        if not competition.entered:
            raise Refused(403, "You must accept this competition's rules before you can continue.")
        root = competition.folder
        if root is None:
            return {"files": [], "directories": []}
        here = root / body.get("path", "")
        if not here.is_dir():
            raise Refused(404, "Not found")
        entries = sorted(here.iterdir())[: body.get("pageSize") or 20]
        self.listed += len(entries)
        files = [{"name": p.name, "totalBytes": p.stat().st_size} for p in entries if p.is_file()]
        return {"files": files, "directories": [{"name": p.name} for p in entries if p.is_dir()]}

    def file(self, slug: str, name: str) -> tuple[str, bytes]:
        """Return a file's name as it is sent, and its content."""
        competition = self.all[slug]
        if competition.folder is None or not (competition.folder / name).is_file():
            raise Refused(404, "Not found")
        content = (competition.folder / name).read_bytes()
        if not competition.packs:
            return name, content
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(name, content)
        return f"{name}.zip", packed.getvalue()

    def limits(self, body: dict[str, Any]) -> dict[str, Any]:
        """Say how many submissions are left today."""
        competition = self.get(body)
        used = len(competition.submissions)
        return {"numToday": used, "numTotal": used, "numAllowedNow": competition.daily - used}

    def submit(self, body: dict[str, Any], user: str) -> dict[str, Any]:
        """Take a version of a notebook as a submission."""
        competition = self.get(body)
        if not competition.entered:
            raise Refused(403, "You must accept this competition's rules before you can submit.")
        if len(competition.submissions) >= competition.daily:
            raise Refused(400, "Your team has used its daily Submission allowance today.")
        runs = self.kernels.runs(body["kernelOwner"], body["kernelSlug"])
        number = body.get("kernelVersion", 0)
        if not 0 < number <= len(runs) or runs[number - 1].status != "COMPLETE":
            raise Refused(400, "The notebook's version has not completed.")
        if body["fileName"] not in runs[number - 1].outputs:
            raise Refused(404, "The notebook's version has no such output file.")
        ref = 1000 + len(competition.submissions)
        competition.submissions.append(
            Submission(
                ref=ref,
                description=body.get("submissionDescription", ""),
                file=body["fileName"],
                kernel=f"{body['kernelOwner']}/{body['kernelSlug']}/{number}",
                waits=competition.waits,
                error=self.faults.submission_fails,
            )
        )
        return {"message": "Successfully submitted", "ref": ref}

    def list(self, body: dict[str, Any]) -> dict[str, Any]:
        """List the submissions, newest first, with their scores."""
        competition = self.get(body)
        return {"submissions": [self._entry(competition, s) for s in competition.submissions[::-1]]}

    def _entry(self, competition: Competition, submission: Submission) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "ref": submission.ref,
            "fileName": submission.file,
            "description": submission.description,
            "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "url": f"https://www.kaggle.com/code/{submission.kernel}",
        }
        if submission.waits > 0:
            submission.waits -= 1
            return entry | {"status": "PENDING"}
        if submission.error:
            return entry | {"status": "ERROR", "errorDescription": submission.error}
        scores = {"publicScore": competition.public, "privateScore": competition.private}
        return entry | {"status": "COMPLETE"} | scores
