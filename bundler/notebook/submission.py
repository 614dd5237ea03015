"""The submission notebook: its first cell verifies, its second runs `inference.run`."""

import importlib.resources
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import inference
from bundler import atomic
from bundler.errors import BundlerError, InputError
from bundler.settings import Settings
from inference.boot import bundle as reader
from inference.errors import BundleError

NAME = "submission.ipynb"
KINDS = ("libs", "model", "code")
# The verifier: each module needs the standard library, and of this project those before it.
INLINED = ("errors.py", "boot/fields.py", "boot/card.py", "boot/manifest.py", "boot/bundle.py")
OWN_IMPORT = re.compile(
    r"^from inference\.(?P<module>[\w.]+) import (?:\([^)]*\)|.*)\n", re.MULTILINE
)

VERIFY = """\
# Written by rsna-bundle {version}: write it again with `rsna-bundle notebook`, do not edit it.
# This cell finds the code bundle, verifies it against the id below and unpacks it; it is the
# verifier's own source, so that nothing unverified is ever executed.

EXPECTED = {expected}

{sources}
# --- unpack the code ---
scratch = scratch_folder()
code = choose(find(input_folder()), "code", EXPECTED["code"])
(tree,) = restore(code, scratch / "restored")
CODE = unpack(tree.path, scratch / "code")
print("code", code.id[:12], "from", code.folder, "is verified and lies in", CODE)
"""

RUN = """\
import subprocess
import sys

command = [sys.executable, "-P", "-u", "-m", "inference.run", *{options}]
for kind, identity in EXPECTED.items():
    command += ["--expect-id", f"{{kind}}={{identity}}"]
inherited = os.environ.get("PYTHONPATH")
environment = os.environ | {{"PYTHONPATH": os.pathsep.join(filter(None, [str(CODE), inherited]))}}
with subprocess.Popen(
    command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
) as process:
    for line in process.stdout:
        print(line, end="", flush=True)
if process.returncode:
    raise RuntimeError(f"inference.run ended with exit code {{process.returncode}}; see above")
"""


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


def runner_options(settings: Settings) -> list[str]:
    """Return the words for `inference.run` that follow from the settings."""
    seconds = round(settings.time_limit_hours * 3600)
    options = ["--competition", settings.competition, "--time-limit", str(seconds)]
    if settings.on_failures != Settings.on_failures:
        options += ["--on-failures", settings.on_failures]
    return options


def write(dist: Path, place: Path, options: Sequence[str] = ()) -> Written:
    """Write the notebook for the bundles in `dist` into the folder `place`.

    `options` are further words for `inference.run`. Equal input, equal bytes.
    """
    ids = {kind: _read_id(dist / kind, kind) for kind in KINDS}
    cells = [_verify_cell(ids), RUN.format(options=json.dumps(list(options)))]
    path = place / NAME
    try:
        atomic.write_text(path, render(cells))
    except OSError as error:
        raise BundlerError(f"{path} cannot be written: {error.strerror}.") from error
    return Written(path=path, ids=ids)


def render(sources: Sequence[str]) -> str:
    """Return the text of a notebook with these code cells, in nbformat 4."""
    import nbformat

    notebook = nbformat.v4.new_notebook(
        metadata={
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        cells=[
            nbformat.v4.new_code_cell(source.rstrip("\n"), id=f"cell-{number}")
            for number, source in enumerate(sources, 1)
        ],
    )
    nbformat.validate(notebook)
    text: str = nbformat.writes(notebook)
    return text + "\n"


def _read_id(folder: Path, kind: str) -> str:
    try:
        return reader.read(folder).id
    except BundleError as error:
        raise InputError(f"{error} Build it with `rsna-bundle {kind}` first.") from error


def _verify_cell(ids: Mapping[str, str]) -> str:
    return VERIFY.format(
        version=inference.__version__,
        expected=json.dumps(ids, indent=4),
        sources="\n".join(_inlined(name) for name in INLINED),
    )


def _inlined(name: str) -> str:
    """Return a module of the verifier without its imports of those that stand above it."""
    text = (importlib.resources.files(inference) / name).read_text(encoding="utf-8")
    for found in OWN_IMPORT.finditer(text):
        if f"{found['module'].replace('.', '/')}.py" not in INLINED[: INLINED.index(name)]:
            raise AssertionError(f"{name} imports inference.{found['module']}, not inlined above")
    return f"# --- inference/{name} ---\n{OWN_IMPORT.sub('', text)}"
