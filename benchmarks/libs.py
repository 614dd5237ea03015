"""Figures of `rsna-bundle libs`, each a ratio within one run: `python -m benchmarks libs`.

They ask the package registry, and with --cold download the typical list's wheels nine times.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bundler.image import target as targets
from bundler.libs import locks
from bundler.libs.index import sources
from bundler.libs.reading import pip_file
from bundler.libs.resolve import solution, uv
from bundler.libs.resolve.builds import Builder
from bundler.libs.resolve.solution import Problem

TYPICAL = (
    "timm",
    "albumentations",
    "onnxruntime-gpu<1.27",
    "dicomsdl",
    "pylibjpeg-openjpeg",
    "pydicom",
    "python-gdcm",
)
TARGET = "kaggle-gpu-2026-10"
ROOT = Path(__file__).parents[1]


def main(argv: Sequence[str]) -> int:
    """Print the figures of the README's section on libs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks libs", description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="of each quick command")
    parser.add_argument("--cold", action="store_true", help="also download everything, anew")
    parser.add_argument("--rounds", type=int, default=3, help="of the cold commands")
    options = parser.parse_args(argv)
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        del os.environ[name]  # the registry alone, however this machine is set up
    os.environ["PIP_CONFIG_FILE"] = os.devnull
    with tempfile.TemporaryDirectory(prefix="rsna-bundle-benchmark-") as name:
        folder = Path(name)
        path = folder / "wheelhouse.txt"
        path.write_text("\n".join(TYPICAL) + "\n", encoding="utf-8")
        delta_against_complete(path)
        quick(folder, path, options.runs)
        if options.cold:
            cold(folder, path, options.rounds)
    return 0


# --- what the delta saves: sizes that the index states, nothing is downloaded ---


def delta_against_complete(path: Path) -> None:
    """Resolve the typical list with and without the image and compare what would travel."""
    target = targets.load(TARGET)
    wanted = pip_file.read(path).on(target.environment)
    builder = Builder(target=target, sources=sources.configured(wanted.sources))
    counts = {}
    for delta in (True, False):
        problem = Problem(
            requirements=wanted,
            target=target if delta else target.without(target.packages),
            builder=builder,
        )
        pins = solution.solve(problem).pins
        counts[delta] = (len(pins), sum(pin.bytes or 0 for pin in pins))
    (files, size), (all_files, all_size) = counts[True], counts[False]
    print(f"delta: {files} files, {size / 1e6:.0f} MB", end="; ")
    print(f"complete: {all_files} files, {all_size / 1e6:.0f} MB", end="; ")
    print(f"{all_files / files:.1f} times the files, {all_size / size:.1f} times the bytes")


# --- what happens ten times a day ---


def quick(folder: Path, path: Path, runs: int) -> None:
    """Time a run without changes, and a resolution beside uv's own; interleaved, medians."""
    libs = command(path, folder / "libs", "--no-install-test")
    lock = path.with_suffix(".lock")
    call(libs)
    none = [timed(libs) for _ in range(runs)]
    compile_it = uv_compile(path)
    call(compile_it)
    warm, alone = [], []
    for _ in range(runs):
        warm.append(timed(libs, before=lock.unlink))
        alone.append(timed(compile_it))
    print(f"nothing changed: {statistics.median(none):.2f} s")
    ratio = statistics.median(warm) / statistics.median(alone)
    print(f"resolved anew, caches warm: {statistics.median(warm):.2f} s", end="; ")
    print(f"uv pip compile alone: {statistics.median(alone):.2f} s; ratio {ratio:.2f}")


def uv_compile(path: Path) -> list[str]:
    """Return uv's own command for the target: the same answer without delta, lock and checks."""
    target = targets.load(TARGET)
    return [
        str(uv.executable()),
        "pip",
        "compile",
        str(path),
        "--quiet",
        "--no-config",
        "--no-python-downloads",
        f"--python={sys.executable}",
        f"--python-version={target.python}",
        f"--python-platform={uv.platform(target)}",
        "--only-binary=:all:",
        "--format=pylock.toml",
        f"--output-file={path.with_name('pylock.toml')}",
    ]


# --- the first time ---


def cold(folder: Path, path: Path, rounds: int) -> None:
    """Time builds with empty caches beside `pip download` of the same wheels, by turns.

    Each command has a cache of its own that is empty. What a build does more than pip: it
    resolves, it checks each wheel and what they close over, and it writes the bundle beside the
    cache. By default it then also tests the bundle, which is timed apart, too.
    """
    lock = locks.read(path.with_suffix(".lock"))
    assert lock is not None
    pinned = folder / "pinned.txt"
    pinned.write_text("".join(f"{pin.line}\n" for pin in lock.pins), encoding="utf-8")
    turns: dict[str, Callable[[Path], list[str]]] = {
        "pip": lambda own: pip_download(pinned, own),
        "build": lambda own: command(copied(path, own), own / "libs", "--no-install-test"),
        "default": lambda own: command(copied(path, own), own / "libs"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for turn in range(rounds):
        for name in sorted(turns, reverse=turn % 2 == 0):  # A B C C B A …: a drift hits all alike
            with tempfile.TemporaryDirectory(dir=folder) as own:
                caches = ("RSNA_BUNDLE_CACHE", "UV_CACHE_DIR", "PIP_CACHE_DIR")
                empty = {cache: f"{own}/{cache}" for cache in caches}
                arguments = turns[name](Path(own))
                seconds[name].append(timed(arguments, env=empty))
    pip, build, default = (statistics.median(seconds[name]) for name in turns)
    size = sum(pin.bytes or 0 for pin in lock.pins)
    print(f"cold, {len(lock.pins)} wheels of {size / 1e6:.0f} MB, medians of {rounds} rounds:")
    print(f"  pip download of them: {pip:.1f} s ({size / 1e6 / pip:.0f} MB/s)")
    print(f"  resolved, fetched, checked, bundled: {build:.1f} s; ratio {build / pip:.2f}")
    print(f"  and installed and imported offline, which is the default: {default:.1f} s", end="; ")
    print(f"ratio {default / pip:.2f}, the install test's share {default - build:.1f} s")
    for name in turns:
        print(f"  {name}: {', '.join(f'{value:.2f}' for value in seconds[name])} s")


def pip_download(pinned: Path, folder: Path) -> list[str]:
    """Return pip's own command to fetch pinned wheels for the target."""
    target = targets.load(TARGET)
    platforms = [text for name in target.platforms for text in ("--platform", name)]
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    download += ["--disable-pip-version-check", "--only-binary=:all:", "--require-hashes"]
    download += ["--python-version", target.python, *platforms]
    return [*download, "--dest", str(folder / "pip"), "--requirement", str(pinned)]


def copied(path: Path, folder: Path) -> Path:
    """Copy the requirements to where no lock lies beside them."""
    return Path(shutil.copy(path, folder))


def command(path: Path, out: Path, *more: str) -> list[str]:
    """Return the command line of one build."""
    libs = [sys.executable, "-m", "bundler.cli", "libs", "--quiet", "--target", TARGET]
    return [*libs, "--requirements", str(path), "--out", str(out), *more]


def call(arguments: list[str], env: dict[str, str] | None = None) -> None:
    """Run a command to its end."""
    subprocess.run(arguments, check=True, cwd=ROOT, env={**os.environ, **(env or {})})


def timed(
    arguments: list[str],
    env: dict[str, str] | None = None,
    before: Callable[[], None] | None = None,
) -> float:
    """Return the seconds that a command takes."""
    if before:
        before()
    start = time.perf_counter()
    call(arguments, env)
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
