"""Notebooks that are really executed: cell after cell, with the datasets mounted as at Kaggle."""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.kaggle.kernels import Run, Runner


def execute_with(
    python: str | Path, competitions: Mapping[str, Path], environment: Mapping[str, str]
) -> Runner:
    """Return what executes a notebook; `competitions` are folders to mount by their slug."""

    def execute(run: Run, mounts: dict[str, dict[str, bytes]]) -> None:
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            for ref, files in mounts.items():
                for path, content in files.items():
                    place = root / "input" / "datasets" / ref / path
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_bytes(content)
            for slug in run.body.get("competitionDataSources", ()):
                place = root / "input" / "competitions" / slug
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(competitions[slug])
            working = root / "working"
            working.mkdir()
            _run(run, working, python, dict(environment))

    return execute


def _run(run: Run, working: Path, python: str | Path, environment: dict[str, str]) -> None:
    script = working.parent / "notebook.py"
    cells = json.loads(run.body["text"])["cells"]
    script.write_text(
        "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code"), encoding="utf-8"
    )
    own = {"PATH": os.environ["PATH"], "RSNA_BUNDLE_INPUT": str(working.parent / "input")}
    own["TMPDIR"] = str(working.parent)
    with subprocess.Popen(
        [python, "-u", str(script)],
        cwd=working,
        env=own | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        run.log += [line.rstrip("\n") for line in process.stdout]
    run.outputs |= {
        path.relative_to(working).as_posix(): path.read_bytes()
        for path in working.rglob("*")
        if path.is_file()
    }
    if process.returncode:
        run.failure, run.status = f"exit code {process.returncode}", "ERROR"
