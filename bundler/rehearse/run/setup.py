"""One run of the notebook, before it starts: its parts, and what lies where in its sandbox.

The sandbox shows the notebook Kaggle's folders, and under /rehearsal what the rehearsal itself
needs: scripts, their input, and a folder `out` that outlives the sandbox.
"""

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import bundler
from bundler.competition.protocol import HiddenTest
from bundler.errors import UsageError
from bundler.image.emulation import EmulatedImage
from bundler.image.target import Target
from bundler.notebook import execute
from bundler.notebook.submission import NAME
from bundler.rehearse.inputs import Inputs
from bundler.rehearse.run import audit_hook, gateway, upload
from bundler.rehearse.run.gateway import GatewaySetup
from bundler.rehearse.run.image import Prepared
from bundler.rehearse.run.layout import INPUT, LAYOUTS, WORKING, Layout
from bundler.rehearse.run.limits import Limits
from bundler.rehearse.run.supervise import Spec, Step
from bundler.sandbox import disk, seatbelt, system
from bundler.sandbox.disk import SizedFolder
from bundler.sandbox.sandbox import Container, Sandbox
from bundler.settings import Settings
from inference.boot.competition import has_gateway

OWN, OUT, TMP = "/rehearsal", "/rehearsal/out", "/tmp"
# What runs inside beside the notebook, and the packages that it is of.
SUPERVISE = "bundler/rehearse/run/supervise.py"
FILES = (
    SUPERVISE,
    "bundler/rehearse/run/programs.py",
    "bundler/sandbox/seccomp.py",
    *(f"bundler/{name}__init__.py" for name in ("", "sandbox/", "rehearse/run/")),
)
# Questions for names go to `supervise`, which refuses them at once.
RESOLVER = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"


Kind = Literal["public", "small", "grown"]  # see bundler.rehearse.plan


@dataclass(frozen=True, kw_only=True)
class RunSetup:
    """One run of the notebook, ready to start."""

    folder: Path  # of this run alone
    out: Path  # in it: what outlives the sandbox
    title: str  # for people
    layout: str
    kind: Kind
    hidden: HiddenTest
    datasets: Mapping[str, Path]  # kind → the dataset that an upload made of the bundle
    limits: Limits
    backend: str
    working: SizedFolder
    command: Sequence[str]
    sandbox: Sandbox
    environment: Mapping[str, str]
    gateway: GatewaySetup | None = None  # to be started beside it


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """What one run of the notebook is made of."""

    folder: Path  # of this run alone
    notebook: Path
    datasets: Mapping[str, Path]  # kind → the dataset that an upload made of the bundle
    hidden: HiddenTest
    image: EmulatedImage
    pythons: Mapping[str, Path]  # folders of the notebook's Python and of the one that drives it
    settings: Settings
    limits: Limits
    layout: Layout
    backend: str
    working: SizedFolder
    measure_seconds: float
    kind: Kind
    variables: Mapping[str, str]  # of the environment, beside Kaggle's
    target: Target
    container: Container | None  # where the backend is an engine

    @property
    def out(self) -> Path:
        """Return the folder that outlives the sandbox, by its path on this machine."""
        return self.folder / "out"

    @property
    def mounts(self) -> dict[str, str]:
        """Return where the notebook finds each dataset and the competition."""
        return self.layout.mounts(self.settings, self.datasets)

    @property
    def driver(self) -> str:
        """Return the Python that runs the notebook's driver: ours, or in a container the image's.

        The image of an emulated notebook need not have nbclient; Kaggle's own has.
        """
        return self.container.python if self.container else sys.executable

    @property
    def home(self) -> str:
        """Return the home folder: Kaggle's, unless a Python of this machine lies in it."""
        hidden = any(name.startswith("/root/") for name in self.pythons)
        return "/kaggle/home" if hidden else "/root"

    def at(self, path: str) -> str:
        """Return a path of the sandbox as the notebook sees it: the same, or below another root."""
        # macOS mounts nothing: the same folders are links below a root.
        return f"{self.folder / 'root'}{path}" if self.backend == seatbelt.PROGRAM else path

    def sandbox(self) -> Sandbox:
        """Return what the notebook sees of this machine."""
        mounts = self.mounts
        read_only = {mounts[kind]: folder for kind, folder in self.datasets.items()}
        read_only[mounts["competition"]] = self.hidden.folder
        if plan := self.hidden.gateway:  # the hidden rows are its alone
            shown = {f"{mounts['competition']}/{name}": path for name, path in plan.public.items()}
            read_only |= shown
        read_only[OWN] = self.folder / "own"
        read_only["/etc/resolv.conf"] = self.folder / "own" / "resolv.conf"
        writable = {TMP: self.folder / "tmp", self.home: self.folder / "home", OUT: self.out}
        if self.kind == "public" and has_gateway(self.hidden.folder):
            # There the notebook's own gateway shares files, by links.
            writable[audit_hook.SHARED] = self.folder / "shared"
        return Sandbox(
            read_only={**self.pythons, **read_only},
            writable=writable,
            limited={WORKING: self.working},
            container=self.container,
        )

    def environment(self) -> dict[str, str]:
        """Return the variables that a notebook finds on Kaggle when its hidden test is run."""
        below_a_root = {"RSNA_BUNDLE_INPUT": self.at(INPUT)} if self.at("") else {}
        # The notebook's Python first, so that `python` in a cell is the emulated image's.
        programs = [str(self.image.python.parent), "/usr/local/bin", os.defpath]
        # Nothing of the user's own environment: it is not there on Kaggle, and may hold secrets.
        return {
            **({} if self.container else {"PATH": os.pathsep.join(programs)}),
            "HOME": self.at(self.home),
            "LANG": "C.UTF-8",
            "TMPDIR": self.at(TMP),
            "PYTHONPATH": self.at(f"{OWN}/hook"),
            **below_a_root,
            "KAGGLE_KERNEL_RUN_TYPE": "Batch",
            "KAGGLE_CONTAINER_NAME": "rehearsal",
            **({"KAGGLE_IS_COMPETITION_RERUN": "1"} if self.kind != "public" else {}),
            **self.variables,
        }


def make(
    inputs: Inputs,
    prepared: Prepared,
    hidden: HiddenTest,
    folder: Path,
    *,
    kind: Kind,
    layout: str,
    variables: Mapping[str, str],
) -> RunSetup:
    """Prepare a run on a hidden test in the new folder `folder`."""
    options, form = inputs.options, LAYOUTS[layout]
    parts = _Parts(
        folder=folder,
        notebook=prepared.dist / "notebook" / NAME,
        datasets=_upload(prepared, folder / "datasets", form),
        hidden=hidden,
        image=prepared.image,
        pythons=_pythons(prepared),
        settings=options.settings,
        limits=inputs.limits,
        layout=form,
        backend=inputs.backend,
        working=disk.make(
            folder / "working",
            inputs.limits.working_bytes,
            mounted=prepared.container is None,  # an engine is not of our mount namespace
        ),
        measure_seconds=options.measure_seconds,
        kind=kind,
        variables=variables,
        target=inputs.target,
        container=prepared.container,
    )
    _write(parts)
    own = parts.at(OWN)
    return RunSetup(
        folder=folder,
        out=parts.out,
        title="public test" if kind == "public" else f"{layout} layout",
        layout=layout,
        kind=kind,
        hidden=hidden,
        datasets=parts.datasets,
        limits=parts.limits,
        backend=parts.backend,
        working=parts.working,
        command=[parts.driver, "-I", f"{own}/{SUPERVISE}", f"{own}/spec.json"],
        sandbox=parts.sandbox(),
        environment=parts.environment(),
        gateway=_gateway(parts),
    )


def _pythons(prepared: Prepared) -> dict[str, Path]:
    """Return the folders of this machine's Pythons that a run needs; a container has its own."""
    if prepared.container:
        return {}
    return system.python_folders([prepared.image.python, Path(sys.executable)])


def _gateway(parts: _Parts) -> GatewaySetup | None:
    """Prepare the competition's gateway, if it has one for this run."""
    if parts.hidden.gateway is None:
        return None
    if parts.container:
        raise UsageError(
            "A competition with a gateway cannot be rehearsed with --backend docker or podman: its "
            "two sandboxes share mounts, which two containers cannot. Leave --backend out."
        )
    return gateway.prepare(
        parts.hidden.gateway,
        run=parts.folder,
        competition=parts.hidden.folder,
        slug=parts.settings.competition,
        pythons=parts.pythons,
        python=parts.image.python,
        environment=parts.environment(),
        target=parts.target,
    )


def _upload(prepared: Prepared, folder: Path, layout: Layout) -> dict[str, Path]:
    """Upload each bundle in the layout's form; return the datasets by kind."""
    for kind in prepared.ids:
        held = prepared.libs if kind == "libs" else prepared.dist / kind
        upload.receive(held, folder / kind, layout.forms[kind])
    return {kind: folder / kind for kind in prepared.ids}


def _write(parts: _Parts) -> None:
    """Write what the sandbox shows under /rehearsal."""
    own, tmp = parts.folder / "own", parts.folder / "tmp"
    writable = [
        parts.folder / name for name in ("home", *(("shared",) if parts.kind == "public" else ()))
    ]
    for folder in (own / "hook", own / "out", parts.out, *writable, tmp):
        folder.mkdir(parents=True)
    tmp.chmod(0o1777)  # as any /tmp: everybody writes, nobody removes what is another's
    shutil.copyfile(str(execute.__file__), own / "execute.py")
    for name in FILES:
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(bundler.__file__).parents[1] / name, own / name)
    # Every Python imports a module of this name when it starts, if it is on PYTHONPATH.
    shutil.copyfile(str(audit_hook.__file__), own / "hook" / "sitecustomize.py")
    shutil.copyfile(parts.notebook, own / "notebook.ipynb")
    (own / "resolv.conf").write_text(RESOLVER)
    spec = Spec(
        out=parts.at(OUT),
        working=parts.at(WORKING),
        tmp=parts.at(TMP),
        cpus=parts.limits.cpus,
        watched_bytes=0 if parts.working.image else parts.working.bytes,
        # A Python of this machine may lie in the sandbox's /tmp, at the path of its own.
        until_eof=parts.container is not None,
        mounted=[parts.at(path) for path in parts.pythons],
        notebook=_notebook(parts),
        probe=_probe(parts, own),
        stop=f"{parts.at(OUT)}/{gateway.STOP}" if parts.hidden.gateway else "",
    )
    (own / "spec.json").write_text(json.dumps(asdict(spec)), encoding="utf-8")


def _notebook(parts: _Parts) -> Step:
    own, out = parts.at(OWN), parts.at(OUT)
    notebooks = [f"{own}/notebook.ipynb", f"{out}/executed.ipynb"]
    python = str(parts.image.python)
    # nbclient runs in our own Python: the image's need not have it, as Kaggle's has not.
    return Step(
        name="notebook",
        command=[parts.driver, "-I", f"{own}/execute.py", *notebooks, "--python", python],
        env={"REHEARSAL_EVENTS": f"{out}/events.jsonl", "REHEARSAL_ROOT": parts.at("")},
    )


def _probe(parts: _Parts, own: Path) -> Step | None:
    """Write the competition's probe, if it has one, and return how to run it."""
    if parts.kind != "small":  # the one on which everything is checked
        return None
    places = {kind: parts.at(path) for kind, path in parts.mounts.items()}
    probe = parts.hidden.probe(places, parts.at(OUT), parts.measure_seconds)
    if probe is None:
        return None
    shutil.copyfile(probe.script, own / "probe.py")
    (own / "probe.json").write_text(probe.input, encoding="utf-8")
    folder, python = parts.at(OWN), str(parts.image.python)
    # -P: nothing that the notebook left in the working folder is imported.
    return Step(name="probe", command=[python, "-P", f"{folder}/probe.py", f"{folder}/probe.json"])
