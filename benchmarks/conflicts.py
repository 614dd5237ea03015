"""How long a conflict's explanation takes: `python -m benchmarks conflicts`, against the registry.

Each case runs twice as a command of its own: the first fills the cache with what the indexes say,
the second is timed. What was downloaded for all of them is counted: build tools that sdists were
asked with, and no wheel of a package that is required.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

TARGET = "kaggle-gpu-2026-10"
ROOT = Path(__file__).parents[1]
CASES = {
    "the image decides": ("numpy<2",),
    "a package of a package": ("nnunetv2", "dynamic-network-architectures>=0.4.3"),
    "several at once": (
        "numpy<2",
        "dynamic-network-architectures>=0.4.3",
        "scipy<1.10",
        "pydicom<3",
        "timm",
    ),
    "a pinned release": ("monai==1.4.0", "numpy>=2"),
    "a name that is none": ("pydicm",),
    "no wheel for this Python": ("tensorflow<2.10",),
}


def main(argv: Sequence[str]) -> int:
    """Print each case's seconds and what it says first."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks conflicts", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="of each case, on a warm index")
    options = parser.parse_args(argv)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_"))}
    environment["PIP_CONFIG_FILE"] = os.devnull
    with tempfile.TemporaryDirectory(prefix="rsna-bundle-benchmark-") as name:
        folder = Path(name)
        environment["RSNA_BUNDLE_CACHE"] = str(folder / "cache")
        for case, lines in CASES.items():
            cold, message = explain(folder, lines, environment)
            warm = [explain(folder, lines, environment)[0] for _ in range(options.runs)]
            first = next(iter(message.splitlines()[1:]), message)
            print(f"{case} ({', '.join(lines)}): {sorted(warm)[len(warm) // 2]:.1f} s", end=" ")
            print(f"(cold {cold:.1f} s; {min(warm):.1f}–{max(warm):.1f} s)\n  {first}")
        wheels = list((folder / "cache" / "files").rglob("*.whl"))
        size = sum(path.stat().st_size for path in wheels)
        print(f"wheels: {size / 1e6:.1f} MB, {', '.join(sorted(path.name for path in wheels))}")
    return 0


def explain(folder: Path, lines: Sequence[str], environment: dict[str, str]) -> tuple[float, str]:
    """Return the seconds that a build takes to be refused, and its message."""
    path = folder / "wheelhouse.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    command = [sys.executable, "-m", "bundler.cli", "libs", "--quiet", "--target", TARGET]
    command += ["--requirements", str(path), "--out", str(folder / "libs")]
    start = time.perf_counter()
    run = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    if run.returncode != 3:
        raise SystemExit(f"{lines} ended with {run.returncode}:\n{run.stdout}{run.stderr}")
    return seconds, run.stderr


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
