"""The submission notebook: a title, a cell that verifies, a cell that runs `inference.launch`."""

import importlib.resources
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import inference
from bundler import atomic, bundle
from bundler.errors import BundlerError, UsageError
from bundler.notebook import folders
from bundler.secrets.check import FROM_NOTEBOOK, check_files
from bundler.settings import Settings
from inference.boot.bundle import Bundle
from inference.boot.manifest import MANIFEST, Code, Libs, Model, ModelFiles
from inference.launch import RUNNER

NAME = "submission.ipynb"
KINDS = ("libs", "model", "code")
# The verifier: each module needs the standard library, and of this project those before it.
INLINED = (
    "errors.py",
    *(f"boot/{name}.py" for name in ("fields", "card", "manifest", "parsing", "bundle", "mounted")),
)
OWN_IMPORT = re.compile(
    r"^from inference\.(?P<module>[\w.]+) import (?:\([^)]*\)|.*)\n", re.MULTILINE
)


TITLE = """\
# Submission to {competition}

Written by rsna-bundle {version}, to be run with the
internet off. It verifies three datasets, installs the wheels and runs the command below.

| made from | |
|---|---|
{rows}

The first cell is the verifier: nothing of a dataset is run before it matches its id. The second
runs the command; `run.json` says how it ended.
"""

VERIFY = """\
# Written by rsna-bundle {version}: write it again with `rsna-bundle notebook`, do not edit it.
# This cell finds the code bundle, verifies it against the id below and unpacks it; it is the
# verifier's own source, so that nothing unverified is ever executed.

EXPECTED = {expected}

{sources}
# --- unpack the code ---
code = choose(find(input_folder()), "code", EXPECTED["code"])
CODE = unpack_code(code, scratch_folder())
print("code", code.id[:12], "from", code.folder, "is verified and lies in", CODE)
"""

RUN = """\
import codecs
import signal
import subprocess
import sys
import time

RUN = {command}

command = [sys.executable, "-P", "-u", "-m", "inference.launch", *{options}]
for kind, identity in EXPECTED.items():
    command += ["--expect-id", f"{{kind}}={{identity}}"]
paths = filter(None, [str(CODE / "runner"), os.environ.get("PYTHONPATH")])
environment = os.environ | {{"PYTHONPATH": os.pathsep.join(paths)}}
environment["RSNA_BUNDLE_STARTED"] = repr(time.monotonic())  # the time limit counts from here
for attempt in (1, 2):
    with subprocess.Popen(
        [*command, "--", *RUN],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        # Jupyter gathers what is printed for 0.2 s. Flushed by hand, each line would be a
        # message of its own, and millions of them would take hours.
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for block in iter(lambda: process.stdout.read1(1 << 16), b""):
            print(decoder.decode(block), end="")
    killed = process.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
    if not killed or attempt == 2:
        break
    print("The kernel killed the run (most likely memory ran out); it is started once more.")
if process.returncode:
    raise RuntimeError(f"inference.launch ended with exit code {{process.returncode}}; see above")
"""
HIDDEN = {"jupyter": {"source_hidden": True}, "_kg_hide-input": True}  # Jupyter's key, Kaggle's


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a notebook runs: a command, and the options of the launcher that runs it."""

    competition: str
    command: tuple[str, ...]
    options: tuple[str, ...]
    needs_model: bool
    targets: tuple[str, ...] = ()  # that the libs are for


@dataclass(frozen=True, kw_only=True)
class Written:
    """The notebook that was written, and the bundles it was made for."""

    path: Path
    ids: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {"notebook": str(self.path), "ids": dict(self.ids)}

    def summary(self) -> str:
        """Return one line for people."""
        ids = ", ".join(f"{kind} {identity[:12]}" for kind, identity in self.ids.items())
        return f"{self.path}: made for {ids}"


def plan(settings: Settings, *more: str) -> Plan:
    """Return what the notebook runs by the settings; `more` are further arguments of the command.

    Raises UsageError for a `run` that is no command.
    """
    chosen = ("--competition", settings.competition)
    limit = ("--time-limit", str(round(settings.time_limit_hours * 3600)))
    if settings.run is not None:
        command = (*split(settings.run), *more)
        return Plan(
            competition=settings.competition,
            command=command,
            options=(*chosen, *limit),
            needs_model=command[: len(RUNNER)] == RUNNER,
            targets=settings.target,
        )
    # The runner keeps the limit itself: it leaves out what time does not allow.
    command = (*RUNNER, *chosen, *limit)
    if settings.on_failures != Settings.on_failures:
        command = (*command, "--on-failures", settings.on_failures)
    return Plan(
        competition=settings.competition,
        command=(*command, *more),
        options=chosen,
        needs_model=True,
        targets=settings.target,
    )


def split(command: str) -> tuple[str, ...]:
    """Return the program and the arguments of a command line. Raises UsageError."""
    try:
        parts = tuple(shlex.split(command))
    except ValueError as error:
        raise UsageError(f"The command `{command}` cannot be read: {error}.") from error
    if not parts:
        raise UsageError("The command is empty. Set `run` to a command, or remove the key.")
    return parts


def write_for(settings: Settings, dist: Path) -> Written:
    """Write the notebook of the settings for the bundles in `dist`.

    Raises CheckError for libs that were made for other targets than the settings name.
    """
    held = bundle.read(folders.folder(dist, "libs", settings.target), "libs")
    folders.check(held, settings)
    return write(dist, dist / "notebook", plan(settings))


def write(dist: Path, out: Path, plan: Plan) -> Written:
    """Write the notebook for the bundles in `dist` into the folder `out`.

    A command of one's own may do without a model bundle. Equal input, equal bytes. Raises
    InputError where a bundle is missing.
    """
    bundles = {
        kind: bundle.read(folders.folder(dist, kind, plan.targets), kind)
        for kind in kinds(dist, plan)
    }
    ids = {kind: held.id for kind, held in bundles.items()}
    run = RUN.format(command=_listed(plan.command), options=json.dumps(list(plan.options)))
    cells = [
        Cell(source=_title(plan, bundles), is_code=False),
        Cell(source=_verify_cell(ids), hidden=True),
        Cell(source=run),
    ]
    path = out / NAME
    save(path, cells)
    return Written(path=path, ids=ids)


def kinds(dist: Path, plan: Plan) -> tuple[str, ...]:
    """Return the kinds of bundles that a notebook is made for."""
    has_model = plan.needs_model or (dist / "model" / MANIFEST).is_file()
    return tuple(kind for kind in KINDS if kind != "model" or has_model)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of a notebook; `hidden` collapses its source."""

    source: str
    is_code: bool = True
    hidden: bool = False


def save(path: Path, cells: Sequence[Cell | str]) -> None:
    """Write a notebook. Raises InputError for a secret in it, BundlerError for a full disk."""
    text = render(cells)
    check_files({path.name: text.encode()}, "The notebook", FROM_NOTEBOOK)
    try:
        atomic.write_text(path, text)
    except OSError as error:
        raise BundlerError(f"{path} cannot be written: {error.strerror}.") from error


def render(cells: Sequence[Cell | str]) -> str:
    """Return the text of a notebook with these cells, in nbformat 4; a text is a code cell."""
    import nbformat

    v4: Any = nbformat.v4  # its functions have no annotations
    known = [cell if isinstance(cell, Cell) else Cell(source=cell) for cell in cells]
    notebook = nbformat.v4.new_notebook(
        metadata={
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        cells=[
            (v4.new_code_cell if cell.is_code else v4.new_markdown_cell)(
                cell.source.rstrip("\n"),
                id=f"cell-{number}",
                metadata=HIDDEN if cell.hidden else {},
            )
            for number, cell in enumerate(known, 1)
        ],
    )
    nbformat.validate(notebook)
    text: str = nbformat.writes(notebook)
    return text + "\n"


def _title(plan: Plan, bundles: Mapping[str, Bundle]) -> str:
    rows = [f"| {kind} | `{held.id[:12]}` {describe(held)} |" for kind, held in bundles.items()]
    rows.append(f"| command | `{shlex.join(plan.command)}` |")
    return TITLE.format(
        competition=plan.competition, version=inference.__version__, rows="\n".join(rows)
    )


def describe(held: Bundle) -> str:
    """Return what a bundle was made of, for people: commit, checkpoints, files or wheels."""
    match held.manifest.part:
        case Code() as code:
            branch = f" of {code.branch}" if code.branch else ""
            dirty = ", with uncommitted changes" if code.dirty else ""
            return f"commit `{code.commit[:12]}`{branch}{dirty}"
        case Model() as model:
            names = [one.name for entry in model.models for one in entry.checkpoints]
            proofs = dict.fromkeys(entry.proof_line for entry in model.models)
            return "; ".join([", ".join(f"`{name}`" for name in names), *proofs])
        case ModelFiles() as files:
            count = sum(len(f.members) if f.name in files.volumes else 1 for f in held.files)
            return f"{count} file{'' if count == 1 else 's'}"
        case Libs() as libs:
            lines = [f"{len(one.lock)} wheels for Python {one.python}" for one in libs.targets]
            return ", ".join(lines)
    return ""


def _listed(command: Sequence[str]) -> str:
    return json.dumps(list(command), ensure_ascii=False)


def _verify_cell(ids: Mapping[str, str]) -> str:
    return VERIFY.format(
        version=inference.__version__,
        expected=json.dumps(ids, indent=4),
        sources="\n".join(_inlined(name) for name in INLINED),
    )


def _inlined(name: str) -> str:
    """Return a module of the verifier without its imports of those that stand above it."""
    text = (importlib.resources.files(inference) / name).read_text(encoding="utf-8")
    for match in OWN_IMPORT.finditer(text):
        if f"{match['module'].replace('.', '/')}.py" not in INLINED[: INLINED.index(name)]:
            raise AssertionError(f"{name} imports inference.{match['module']}, not inlined above")
    return f"# --- inference/{name} ---\n{OWN_IMPORT.sub('', text)}"
