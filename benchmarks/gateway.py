"""`python -m benchmarks gateway`: what the rehearsal of a gateway takes beside its calls.

The example is copied, its competition drawn, its server slowed down to calls of a known length, and
rehearsed by the commands of its README. Of each run: its wall time less the time of its calls.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "examples" / "gateway"
SLOW = (
    "    try:\n        table",
    "    __import__('time').sleep({seconds})\n    try:\n        table",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks gateway", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--units", type=int, default=20, help="calls of the first rerun")
    parser.add_argument("--seconds", type=float, default=0.5, help="that a call takes")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = prepare(Path(name) / "example", options.seconds)
        run(
            folder, "rehearse", "--quick", "--units", str(options.units), "--python", sys.executable
        )
        result = json.loads((folder / "dist/rehearsal/rehearsal.json").read_text())
    calls = result["curves"][0]["values"]
    ran = next(check["message"] for check in result["checks"] if check["name"] == "notebook ran")
    last = float(re.search(r"finished in ([\d.]+) s", ran)[1])
    print(f"{len(calls)} calls took {sum(calls):.1f} s, a later one {calls[-1]:.3f} s")
    print(f"their notebook ran for {last:.1f} s: {last - sum(calls):.1f} s beside the calls")
    print(f"the whole rehearsal took {result['seconds']:.1f} s")
    return 0


def prepare(folder: Path, seconds: float) -> Path:
    """Return a copy of the example, its server slowed down, bundled."""
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("data", "weights", "dist"))
    submit, settings = folder / "submit.py", folder / "pyproject.toml"
    submit.write_text(submit.read_text().replace(SLOW[0], SLOW[1].format(seconds=seconds)))
    named = 'competition = "phantom-gait"\n'
    settings.write_text(settings.read_text().replace(named, f'{named}target = "host"\n'))
    for script in ("make_data.py", "train.py"):
        subprocess.run([sys.executable, script], cwd=folder, check=True, capture_output=True)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "Start"]):
        subprocess.run([*git, *command], cwd=folder, check=True)
    for words in ("libs", "model --files weights/model.joblib", "code", "notebook"):
        run(folder, *words.split())
    return folder


def run(folder: Path, *words: str) -> None:
    """Run rsna-bundle in the example's folder."""
    command = [sys.executable, "-m", "rsna_bundle", *words]
    if words[0] == "rehearse":
        command += ["--competition-dir", "data"]
    environment = os.environ | {"PYTHONPATH": str(EXAMPLE.parents[1])}
    subprocess.run(command, cwd=folder, check=True, env=environment, capture_output=True)


if __name__ == "__main__":
    sys.exit(main())
