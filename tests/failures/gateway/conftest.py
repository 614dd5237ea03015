"""A rerun by a gateway without a notebook around the server: what is planted is the server's."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest

from bundler.competition.check import Check
from bundler.competition.gateway import competition as gateways
from bundler.competition.gateway.competition import GatewayCompetition
from bundler.competition.gateway.hidden import GatewayTest
from bundler.competition.general import TableCompetition
from bundler.competition.protocol import RunOutput
from bundler.hidden import Hidden
from bundler.image import target as targets
from bundler.rehearse.run import audit_hook, gateway, notebook_run, supervise
from bundler.rehearse.run.limits import Limits
from bundler.rehearse.run.setup import FILES, SUPERVISE, RunSetup
from bundler.sandbox import backends, disk, pod, system
from bundler.sandbox.sandbox import Sandbox
from tests.bundler.competition.gateway import phantom

MOUNT = "/kaggle/input/competitions/phantom-gait"
ROOT = Path(__file__).parents[3]
SUBMIT = "/rehearsal/submit.py"
GIGABYTE = 1 << 30
# What every server does; `BODY` defines predict, `BEFORE` runs first, `SERVE` is the last line.
SERVER = """\
import os, sys, time
from pathlib import Path

ROOT = Path(os.environ["RSNA_BUNDLE_COMPETITION"])
sys.path.append(str(ROOT))
import numpy as np
import polars as pl
{before}
import kaggle_evaluation.gait_inference_server as gait
RERUN = bool(os.getenv("KAGGLE_IS_COMPETITION_RERUN"))
CALLS = []

def risk(row):
    try:
        return (float(row["age"][0]) - 50) / 50
    except (TypeError, ValueError):  # a planted row
        return 0.3

{body}
def local(server):
    paths = (str(ROOT / "test.csv"), str(ROOT / "test_signals"))
    server.run_local_gateway(paths, file_share_dir=os.path.abspath("shared"))

{serve}
"""
PREDICT = "def predict(row, signal):\n    return float(risk(row))\n"
SERVE = """\
server = gait.GaitInferenceServer(predict)
server.serve() if RERUN else local(server)
"""


def server(body: str = PREDICT, *, before: str = "", serve: str = SERVE) -> str:
    """Return the text of a submit.py."""
    return SERVER.format(before=before, body=body, serve=serve)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A phantom competition and a folder to rerun servers in."""

    data: Path
    folder: Path
    ordered: bool = False  # the setting: each call depends on those before it
    limits: Limits = field(
        default_factory=lambda: Limits(
            cpus=2,
            memory_bytes=4 * GIGABYTE,
            working_bytes=64 << 20,
            seconds=60.0,
            stall_seconds=60.0,
        )
    )

    def competition(self, rows: int = 1000) -> GatewayCompetition:
        """Return the competition as a rehearsal sees it."""
        tables = TableCompetition(folder=self.data, hidden=Hidden(), root=self.folder)
        found = gateways.choose(tables, rows, ordered=self.ordered)
        assert isinstance(found, GatewayCompetition)
        return found

    def rerun(self, script: str, *, units: int = 8) -> list[Check]:
        """Run a server and the gateway beside it; return what is checked of the rerun."""
        hidden = self.competition().write(self.folder / "hidden", units)
        return list(hidden.check(self.run(script, hidden, "first")).checks)

    def rerun_twice(self, script: str, *, units: int = 8) -> list[Check]:
        """Run a server twice, the second time with its calls in another order."""
        first = self.competition().write(self.folder / "hidden", units)
        second = first.second(self.folder / "second-hidden", 2 * first.size)
        outputs = [self.run(script, first, "first"), self.run(script, second, "second")]
        checks = first.check(outputs[0]).checks
        return [*checks, *first.compare_runs(outputs[0], [(second, outputs[1])])]

    def run(self, script: str, hidden: GatewayTest, name: str) -> RunOutput:
        """Run a server in its sandbox as the notebook is run, its gateway beside it."""
        setup = self._setup(script, hidden, self.folder / name)
        run = notebook_run.run(setup)
        return run.output

    def run_locally(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a server as the competition tells everybody to: by run_local_gateway."""
        folder = self.folder / "local"
        folder.mkdir(parents=True)
        (folder / "submit.py").write_text(script)
        environment = {**os.environ, "RSNA_BUNDLE_COMPETITION": str(self.data)}
        environment.pop("KAGGLE_IS_COMPETITION_RERUN", None)
        return subprocess.run(
            [sys.executable, "-B", "submit.py"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def _setup(self, script: str, hidden: GatewayTest, folder: Path) -> RunSetup:
        own, out = folder / "own", folder / "out"
        for path in (own / "out", own / "hook", out, folder / "tmp"):
            path.mkdir(parents=True)
        (own / "submit.py").write_text(script)
        for name in FILES:
            (own / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, own / name)
        shutil.copyfile(str(audit_hook.__file__), own / "hook" / "sitecustomize.py")
        plan = hidden.gateway
        assert plan is not None
        pythons = system.python_folders([Path(sys.executable)])
        environment = environment_of(hook="/rehearsal/hook")
        spec = supervise.Spec(
            out="/rehearsal/out",
            working="/kaggle/working",
            tmp="/tmp",
            cpus=2,
            watched_bytes=0,
            mounted=[],
            until_eof=False,
            notebook=supervise.Step(
                name="notebook",
                # As a child of what stands for the notebook's kernel.
                command=["/bin/sh", "-c", '"$@"; exit $?', "sh", sys.executable, SUBMIT],
                env={"REHEARSAL_EVENTS": "/rehearsal/out/events.jsonl", "REHEARSAL_ROOT": ""},
            ),
            probe=None,
            stop=f"/rehearsal/out/{gateway.STOP}",
        )
        (own / "spec.json").write_text(json.dumps(asdict(spec)))
        working = disk.make(folder / "working", self.limits.working_bytes)
        shown = {f"{MOUNT}/{name}": path for name, path in plan.public.items()}
        return RunSetup(
            folder=folder,
            out=out,
            title="a server",
            layout="new",
            kind="small",
            hidden=hidden,
            datasets={},
            limits=self.limits,
            working=working,
            backend=pod.BACKEND,
            command=[sys.executable, "-I", f"/rehearsal/{SUPERVISE}", "/rehearsal/spec.json"],
            sandbox=Sandbox(
                read_only={**pythons, MOUNT: hidden.folder, **shown, "/rehearsal": own},
                writable={"/tmp": folder / "tmp", "/rehearsal/out": out},
                limited={"/kaggle/working": working},
            ),
            environment=environment,
            gateway=gateway.prepare(
                plan,
                run=folder,
                competition=hidden.folder,
                slug="phantom-gait",
                pythons=pythons,
                python=Path(sys.executable),
                environment=environment,
                target=targets.load("host", self.folder),
            ),
        )


def environment_of(hook: str) -> Mapping[str, str]:
    """Return the variables of a server on the rerun."""
    return {
        "PATH": os.defpath,
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "PYTHONPATH": hook,
        "RSNA_BUNDLE_COMPETITION": MOUNT,
        "KAGGLE_IS_COMPETITION_RERUN": "1",
    }


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A phantom competition with real signals, and an empty folder."""
    if (reason := backends.reasons()[pod.BACKEND]) and "CI" not in os.environ:
        pytest.skip(f"no sandbox on this machine: {reason}")
    return Bench(data=phantom.competition(tmp_path / "data"), folder=tmp_path / "bench")


def failed(checks: list[Check]) -> dict[str, str]:
    """Return what each failed check says."""
    return {check.name: check.message for check in checks if check.status == "failed"}
