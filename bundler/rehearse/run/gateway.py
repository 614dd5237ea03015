"""A gateway beside the notebook: a sandbox of its own, in one pod, and an end for both.

As on Kaggle, the server's name resolves as long as the notebook lives, and the notebook lives until
the gateway has ended.
"""

import contextlib
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bundler.competition.gateway import result as results
from bundler.competition.gateway.driver import Spec
from bundler.competition.gateway.process import GatewayOutput, GatewayPlan
from bundler.image import capture
from bundler.image.target import Target
from bundler.rehearse.run.layout import INPUT, WORKING
from bundler.rehearse.run.sampling import Sample
from bundler.rehearse.run.watchdog import Usage
from bundler.sandbox import backends, pod
from bundler.sandbox.pod import BACKEND
from bundler.sandbox.sandbox import Sandbox

GRACE = 60.0  # seconds that the gateway has to notice that the notebook has ended
LOOK = 0.05  # seconds between two looks at both
ENDING = 5.0  # seconds that a notebook without its server may take to be at its end
OWN, OUT, TMP = "/rehearsal", "/rehearsal/out", "/tmp"
SERVING = ("command", "worker")
STOP = "stop"  # the file that ends the notebook


@dataclass(frozen=True, kw_only=True)
class GatewaySetup:
    """A gateway, ready to start beside a run of the notebook."""

    pod: Path  # the run's folder: all that either may write to lies in it
    folder: Path  # of the gateway alone
    plan: GatewayPlan
    command: Sequence[str]
    sandbox: Sandbox
    environment: Mapping[str, str]
    stop: Path  # its appearance ends the notebook
    speed: float | None  # of the target's cores over this machine's; None: not known

    @property
    def hosts(self) -> Path:
        """Return the file that resolves the server's name, which the sandbox binds."""
        return self.folder / "etc" / "hosts"


def prepare(
    plan: GatewayPlan,
    *,
    run: Path,
    competition: Path,
    slug: str,
    pythons: Mapping[str, Path],
    python: Path,
    environment: Mapping[str, str],
    target: Target,
) -> GatewaySetup:
    """Write what the gateway's sandbox shows, below the folder `run` of this run alone.

    `competition` holds the hidden rows; it lies outside of `run`, in which the gateway, since it
    may mount, can make anything writable.
    """
    if competition.resolve().is_relative_to(run.resolve()):
        raise ValueError(f"the hidden rows {competition} lie in the pod's folder {run}")
    folder = run / "gateway"
    for name in ("own/out", "out", "working", "tmp"):
        (folder / name).mkdir(parents=True)
    shutil.copyfile(plan.script, folder / "own" / "driver.py")
    spec = Spec(
        competition=f"{INPUT}/{slug}",
        module=plan.module,
        name=plan.name,
        log=f"{OUT}/events.jsonl",
        hosts=list(plan.servers),
        ports=list(plan.ports),
        shuffled=plan.shuffled,
    )
    (folder / "own" / "spec.json").write_text(json.dumps(asdict(spec)), encoding="utf-8")
    # Its path is written out by the host, in the layout of the day.
    inputs = [
        f"{INPUT}/{middle}{name}"
        for name in (slug, *plan.slugs)
        for middle in ("", "competitions/")
    ]
    return GatewaySetup(
        pod=run,
        folder=folder,
        plan=plan,
        command=[str(python), f"{OWN}/driver.py", f"{OWN}/spec.json"],
        sandbox=Sandbox(
            read_only={
                **pythons,
                **dict.fromkeys(inputs, competition),
                OWN: folder / "own",
            },
            writable={TMP: folder / "tmp", OUT: folder / "out", WORKING: folder / "working"},
            hosts=plan.servers,
            may_mount=True,
        ),
        environment={**environment, "HOME": TMP, "TMPDIR": TMP, "PYTHONPATH": ""},
        stop=run / "out" / STOP,
        speed=_speed(target),
    )


def _served(sample: Sample) -> int:
    """Return the memory of the user's command and its workers; before them, of all there is."""
    serving = sum(use.rss_bytes for role, use in sample.roles.items() if role in SERVING)
    return serving or sample.rss_bytes


def _speed(target: Target) -> float | None:
    if target.name == "host":
        return 1.0
    return capture.core_seconds() / target.core_seconds if target.core_seconds else None


class Beside:
    """The gateway's process beside the notebook's, for as long as one run lasts."""

    def __init__(self, setup: GatewaySetup, joined: pod.Pod, notebook: Sandbox) -> None:
        self.setup = setup
        self.notebook = replace(notebook, pod=joined)
        self._sandbox = replace(setup.sandbox, pod=joined)
        self._process: subprocess.Popen[bytes] | None = None
        self._notebook_ended: float | None = None
        self._watcher: threading.Thread | None = None
        self._done = threading.Event()

    def start(self, notebook: "subprocess.Popen[bytes]", ended: Path) -> None:
        """Start the gateway; `ended` is the file that appears when the notebook has ended.

        The kernel ends a sandbox with the thread that started it: call this in the main thread.
        """
        self._process = backends.start(
            ["/bin/sh", "-c", f'cd {WORKING} && exec "$@"', "sh", *self.setup.command],
            self._sandbox,
            backend=BACKEND,
            env=self.setup.environment,
            log=self.setup.folder / "log",
            scratch=self.setup.folder,
        )
        watched = (self._process, notebook, ended)
        self._watcher = threading.Thread(target=self._watch, args=watched, daemon=True)
        self._watcher.start()

    def close(self) -> None:
        """Wait until the gateway has noticed the notebook's end, and end it if it does not."""
        if self._process is not None:
            self._forget_names()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE)
            self.returncode = self._process.poll()
            # The notebook is over by now: the watcher notes so at its next look.
            if self._watcher is not None:
                self._watcher.join(ENDING)
            self._done.set()
            backends.end(self._process)

    returncode: int | None = None  # None: it had to be ended

    def output(self, usage: Usage, began: float, limit: int) -> GatewayOutput:
        """Return what the gateway left of a run that used so much."""
        folder, log = self.setup.folder, self.setup.folder / "log"
        return GatewayOutput(
            working=folder / "working",
            log=folder / "out" / "events.jsonl",
            printed=log.read_text("utf-8", errors="replace") if log.is_file() else "",
            returncode=self.returncode,
            notebook_began=began,
            notebook_ended=self._notebook_ended,
            memory=tuple((usage.began + one.seconds, _served(one)) for one in usage.samples),
            memory_limit=limit,
            speed=self.setup.speed,
        )

    def _watch(
        self,
        gateway: "subprocess.Popen[bytes]",
        notebook: "subprocess.Popen[bytes]",
        ended: Path,
    ) -> None:
        until: float | None = None
        while not self._done.is_set():
            if until is None and gateway.poll() is not None:
                until = time.monotonic() + (ENDING if self._lost_server() else 0)
            if until is not None and time.monotonic() >= until:
                self.setup.stop.touch()
                return
            if ended.exists() or notebook.poll() is not None:
                self._notebook_ended = time.time()
                self._forget_names()
                return
            time.sleep(LOOK)

    def _lost_server(self) -> bool:
        """Say whether the gateway lost its server: the notebook's end, noted later, may be why."""
        result = results.read(self.setup.folder / "working")
        return result is not None and result.error == results.CONNECTION

    def _forget_names(self) -> None:
        # In place: the sandbox has bound this very file.
        self.setup.hosts.write_text("127.0.0.1 localhost\n::1 localhost\n", encoding="utf-8")


@contextlib.contextmanager
def beside(setup: GatewaySetup, notebook: Sandbox) -> Iterator[Beside]:
    """Make the pod that both sandboxes join, and end it and the gateway at the end."""
    with pod.start(setup.pod, sized=notebook.limited.values()) as joined:
        both = Beside(setup, joined, notebook)
        try:
            yield both
        finally:
            both.close()
