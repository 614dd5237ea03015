"""Notebooks as Kaggle runs them: versions, a log while they run, outputs."""

import csv
import io
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.kaggle.datasets import Dataset, Datasets, Refused
from tests.kaggle.faults import Faults

EXPECTED = re.compile(r"^EXPECTED = (\{.*?^\})", re.MULTILINE | re.DOTALL)


@dataclass(kw_only=True)
class Run:
    """One version of a notebook and how its run goes."""

    number: int
    body: dict[str, Any]
    status: str = "QUEUED"
    failure: str = ""
    log: list[str] = field(default_factory=list)
    outputs: dict[str, bytes] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Say whether the run is over."""
        return self.status in ("COMPLETE", "ERROR", "CANCEL_ACKNOWLEDGED")


Runner = Callable[[Run, dict[str, dict[str, bytes]]], None]


class Kernels:
    """The notebooks' part of the service."""

    def __init__(self, faults: Faults, datasets: Datasets, runner: Runner | None = None) -> None:
        self.faults, self.datasets = faults, datasets
        self.runner = runner or imitate
        self.all: dict[str, list[Run]] = {}
        self.pace = 0.0  # seconds that a run waits before it ends

    def save(self, body: dict[str, Any], user: str) -> dict[str, Any]:
        """Take a notebook's new version and run it."""
        ref = body["slug"]
        if not ref.startswith(f"{user}/"):
            raise Refused(403, "Permission 'kernels.update' was denied")
        if self.faults.push_error:
            return {"error": self.faults.push_error}
        text = json.loads(body["text"]) if body["kernelType"] == "notebook" else body["text"]
        if self.faults.push_alters:
            text["cells"][0]["source"] = "print('another')"
            body["text"] = json.dumps(text)
        if self.faults.internet_on:
            body["enableInternet"] = True
        sources = body.get("datasetDataSources", [])
        unknown = [source for source in sources if source not in self.datasets.all]
        runs = self.all.setdefault(ref, [])
        run = Run(number=len(runs) + 1, body=body)
        runs.append(run)
        mounts = {
            source: self._mounted(self.datasets.all[source])
            for source in sources
            if source not in unknown
        }
        threading.Thread(target=self._run, args=(run, mounts), daemon=True).start()
        url = f"https://www.kaggle.com/code/{ref}"
        answer = {"ref": f"/code/{ref}", "url": url, "versionNumber": run.number}
        return answer | ({"invalidDatasetSources": unknown} if unknown else {})

    def _mounted(self, dataset: Dataset) -> dict[str, bytes]:
        served = dataset.served
        if self.faults.stale_mount and len(dataset.versions) > 1:
            served = dataset.versions[-2]
        return dict(served.files) if served else {}

    def _run(self, run: Run, mounts: dict[str, dict[str, bytes]]) -> None:
        run.status = "RUNNING"
        run.log.append("started")
        time.sleep(self.pace)
        if self.faults.kernel_fails:
            run.log.append(self.faults.kernel_fails)
            run.failure, run.status = self.faults.kernel_fails, "ERROR"
            return
        try:
            self.runner(run, mounts)
            if self.faults.no_outputs:
                run.outputs.clear()
            if not run.ended:
                run.status = "COMPLETE"
        finally:
            if not run.ended:
                run.failure, run.status = "the test's runner raised", "ERROR"

    # --- reading ---

    def runs(self, owner: str, slug: str) -> list[Run]:
        """Return a notebook's versions."""
        runs = self.all.get(f"{owner}/{slug}")
        if not runs:
            raise Refused(
                403, "Permission 'kernels.get' was denied"
            )  # so says Kaggle of absent ones
        return runs

    def latest(self, body: dict[str, Any]) -> Run:
        """Return the newest version."""
        return self.runs(body["userName"], body["kernelSlug"])[-1]

    def status(self, body: dict[str, Any]) -> dict[str, Any]:
        """Say how the newest run goes."""
        run = self.latest(body)
        if self.faults.stale_status and run.number > 1:
            self.faults.stale_status -= 1
            run = self.runs(body["userName"], body["kernelSlug"])[-2]
        return {"status": run.status} | ({"failureMessage": run.failure} if run.failure else {})

    def get(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the newest version's text and settings."""
        run = self.latest(body)
        same = ("enableInternet", "isPrivate", "machineShape", "datasetDataSources", "dockerImage")
        metadata = {key: run.body[key] for key in same if key in run.body}
        metadata["competitionDataSources"] = run.body.get("competitionDataSources", [])
        metadata |= {"ref": run.body["slug"], "currentVersionNumber": run.number}
        return {"metadata": metadata, "blob": {"source": run.body["text"]}}

    def outputs(self, body: dict[str, Any], url: str) -> dict[str, Any]:
        """List the newest run's files, and give its log."""
        run = self.latest(body)
        base = f"{url}/output/{body['userName']}/{body['kernelSlug']}/{run.number}"
        files = [{"fileName": name, "url": f"{base}/{name}"} for name in sorted(run.outputs)]
        log = json.dumps([{"stream_name": "stdout", "time": 0, "data": x + "\n"} for x in run.log])
        return {"files": files, "log": log}


def imitate(run: Run, mounts: dict[str, dict[str, bytes]]) -> None:
    """End as the submission notebook would: by the ids it expects and those that are mounted."""
    text = "\n".join(
        source if isinstance(source := cell["source"], str) else "".join(source)
        for cell in json.loads(run.body["text"])["cells"]
    )
    match = EXPECTED.search(text)
    expected = json.loads(match[1]) if match else {}
    manifests = [json.loads(m["bundle.json"]) for m in mounts.values() if "bundle.json" in m]
    mounted = {manifest["kind"]: manifest["id"] for manifest in manifests}
    for kind, identity in expected.items():
        run.log.append(f"{kind} {identity[:12]} expected, {mounted.get(kind, 'none')[:12]} mounted")
        if mounted.get(kind) != identity:
            run.failure, run.status = f"another {kind} bundle is mounted", "ERROR"
            return
    table = io.StringIO()
    csv.writer(table).writerows([("prediction_id", "cancer"), ("1_L", 0), ("1_R", 1)])
    run.outputs["submission.csv"] = table.getvalue().encode()
    record = {"ids": expected, "submission": {"name": "submission.csv"}}
    run.outputs["run.json"] = json.dumps(record).encode()
    run.log.append("submission.csv: 2 breasts")
