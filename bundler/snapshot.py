"""A git commit → the code bundle: its files and, in an archive beside them, the runner."""

import io
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import inference
from bundler import bundle, commit_remarks, git_tree, process
from bundler.bundle import Built
from bundler.errors import CommandError, InputError
from bundler.git_tree import git
from bundler.progress import SILENT, Progress
from bundler.secrets.check import check_files
from inference.boot.manifest import Code

TREE = "tree.zip"
RUNNER = "inference"
RUNNER_ARCHIVE = "runner.zip"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold: same tree, same bytes


def build(
    root: Path,
    out: Path,
    *,
    rev: str = "HEAD",
    allow_dirty: bool = False,
    run: str | None = None,
    progress: Progress = SILENT,
) -> Built:
    """Write the code bundle of a commit of the repository at `root` to `out`.

    A dirty working tree is refused, or bundled as it is (untracked files too, ignored ones not)
    where `allow_dirty` says so; the manifest then says so, too. `run` is the settings' command.
    """
    root = repository(root)
    commit = git(root, "rev-parse", "--verify", f"{rev}^{{commit}}")
    changed = uncommitted(root) if rev == "HEAD" else []
    if changed and not allow_dirty:
        listed = "\n".join(f"  {line}" for line in changed[:10])
        more = f"\n  and {len(changed) - 10} more" if len(changed) > 10 else ""
        raise InputError(
            f"The working tree of {root} differs from the commit {commit[:12]}:\n{listed}{more}\n"
            "Commit or stash the changes, or bundle them as they are with --allow-dirty."
        )
    tree = git_tree.read(root, _dirty_tree(root) if changed else commit)
    files = tree.files
    if not files:
        raise InputError(
            f"The commit {commit[:12]} of {root} has no files to bundle. Commit your code first. "
            + " ".join(commit_remarks.losses(tree))
        )
    where = f"The commit {commit[:12]}" if not changed else "The working tree"
    check_files(files, where, progress=progress)
    for text in commit_remarks.losses(tree):
        progress.warn(text)
    for text in commit_remarks.hints(files):
        progress.note(text)
    part = Code(
        commit=commit,
        dirty=bool(changed),
        branch=_branch(root),
        runner=inference.__version__,
        run=run,
    )
    with tempfile.TemporaryDirectory() as folder:
        # Two archives, never one: the tree may have an `inference` of its own.
        archives = {TREE: Path(folder) / TREE, RUNNER_ARCHIVE: Path(folder) / RUNNER_ARCHIVE}
        archives[TREE].write_bytes(_zip(files, "tree"))
        archives[RUNNER_ARCHIVE].write_bytes(_zip(_runner(), "runner"))
        return bundle.write(out, archives, part)


def uncommitted(root: Path) -> list[str]:
    """Return git's lines on what differs from HEAD; the table of submissions may grow."""
    table = ":(exclude)submissions.csv"
    return git(root, "status", "--porcelain", "--", ".", table).splitlines()


def repository(root: Path) -> Path:
    """Return the root of the repository around a folder. Raises InputError without a commit."""
    try:
        top = process.run(["git", "rev-parse", "--show-toplevel"], cwd=root).stdout.strip()
        process.run(["git", "rev-parse", "--verify", "HEAD"], cwd=root)
    except CommandError as error:
        raise InputError(
            f"{root} is in no git repository with a commit, so there is nothing to take a "
            f"snapshot of. Run `git init && git add -A && git commit`, or go to the repository. "
            f"({str(error).splitlines()[-1].strip()})"
        ) from error
    return Path(top)


def _branch(root: Path) -> str | None:
    name = git(root, "rev-parse", "--abbrev-ref", "HEAD")
    return None if name == "HEAD" else name  # a detached HEAD is on no branch


def _dirty_tree(root: Path) -> str:
    """Return a git tree of the working tree as it is, leaving the user's index untouched.

    Its objects stay in the repository, unnamed, until git's own clean-up drops them.
    """
    with tempfile.TemporaryDirectory() as scratch:
        env = os.environ | {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        git(root, "read-tree", "HEAD", env=env)
        git(root, "add", "--all", env=env)
        return git(root, "write-tree", env=env)


def _runner() -> dict[str, bytes]:
    """Return this package's `inference`, which the notebook runs."""
    package = Path(inference.__file__).parent
    return {
        f"{RUNNER}/{path.relative_to(package).as_posix()}": path.read_bytes()
        for path in package.rglob("*.py")
    }


def _zip(files: Mapping[str, bytes], folder: str) -> bytes:
    """Return a zip of files in a folder; equal files, equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            info = zipfile.ZipInfo(f"{folder}/{name}", EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)
    return buffer.getvalue()
