"""How often the search for secrets is wrong about ordinary code, and how fast it is.

    python -m benchmarks secrets REPOSITORY…

Repositories of git, bare ones too, at their newest commit. Every finding is printed and counts as
a false alarm, though some are true: a person judges. Without a repository, only the speed is
measured: 20,000 files of code, and `--gigabytes` of weights.
"""

import argparse
import io
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bundler.secrets import values
from bundler.secrets.check import check_files, check_paths
from bundler.secrets.scan import Scan, Source, scan

FILES = 20_000
BLOCK = 64 << 20


def main(arguments: Sequence[str]) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks secrets", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("repositories", nargs="*", type=Path, metavar="REPOSITORY")
    parser.add_argument("--gigabytes", type=float, default=2.0, help="of weights (default: 2)")
    options = parser.parse_args(arguments)
    if options.repositories:
        false_alarms(options.repositories)
    else:
        speed(options.gigabytes)
    return 0


def false_alarms(repositories: Sequence[Path]) -> None:
    """Print each finding, and how many there are in so many lines."""
    total = alarms = 0
    print("| repository | files | lines | findings | in 10,000 lines |\n|---|---|---|---|---|")
    for path in repositories:
        files = read(path)
        lines = sum(content.count(b"\n") for content in files.values() if b"\0" not in content)
        result = look(files)
        found = len(result.findings)
        rate = 10_000 * found / max(lines, 1)
        print(f"| {path} | {len(files):,} | {lines:,} | {found} | {rate:.2f} |")
        for finding in result.findings:
            print(f"  {finding}")
        total, alarms = total + lines, alarms + found
    print(f"{alarms} findings in {total:,} lines: {10_000 * alarms / max(total, 1):.2f} in 10,000")


def look(files: Mapping[str, bytes]) -> Scan:
    """Search files as `rsna-bundle code` does."""
    sources = [
        Source(path=name, size=len(content), open=lambda content=content: io.BytesIO(content))
        for name, content in files.items()
    ]
    return scan(sources, values.load({}))


def read(repository: Path) -> dict[str, bytes]:
    """Return the files of a repository's newest commit; a snapshot may lack some."""
    git = ["git", "-C", str(repository)]
    tree = subprocess.run([*git, "ls-tree", "-rz", "HEAD"], check=True, capture_output=True).stdout
    entries = [line.split(b"\t") for line in tree.split(b"\0") if line]
    objects = {path.decode(): about.split()[2] for about, path in entries if b" blob " in about}
    command = [*git, "cat-file", "--batch", "--buffer"]
    wanted = b"".join(name + b"\n" for name in objects.values())
    answer = subprocess.run(command, input=wanted, check=True, capture_output=True).stdout
    files, stream = {}, io.BytesIO(answer)
    for path in objects:
        head = stream.readline().split()
        if head[-1] != b"missing":
            files[path] = stream.read(int(head[2]))
            stream.read(1)
    return files


def speed(gigabytes: float) -> None:
    """Print the seconds that many small files and a few large ones take."""
    text = Path(__file__).read_bytes()
    check_files({"warm-up.py": text}, "")  # the rules are loaded
    start = time.perf_counter()
    check_files({f"code/{number}.py": text for number in range(FILES)}, "")
    seconds = time.perf_counter() - start
    print(f"{FILES:,} files of {len(text) / 1e3:.1f} kB: {seconds:.1f} s")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        with path.open("wb") as stream:
            for _ in range(round(gigabytes * 1e9 / BLOCK)):
                stream.write(os.urandom(BLOCK))
        size = path.stat().st_size
        start = time.perf_counter()
        check_paths({path.name: path}, "")
        seconds = time.perf_counter() - start
    print(f"{size / 1e9:.1f} GB of weights: {seconds:.1f} s ({size / seconds / 1e9:.2f} GB/s)")
