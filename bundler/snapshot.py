"""A git commit → the code bundle: its files and, in an archive beside them, the runner."""

import io
import os
import tarfile
import tempfile
import zipfile
from pathlib import Path

import inference
from bundler import bundle, committed_weights, process, secrets
from bundler.bundle import Built
from bundler.errors import CommandError, InputError
from bundler.progress import SILENT, Progress
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
    root = _repository(root)
    commit = _git(root, "rev-parse", "--verify", f"{rev}^{{commit}}")
    changed = _changed(root) if rev == "HEAD" else []
    if changed and not allow_dirty:
        listed = "\n".join(f"  {line}" for line in changed[:10])
        more = f"\n  and {len(changed) - 10} more" if len(changed) > 10 else ""
        raise InputError(
            f"The working tree of {root} differs from the commit {commit[:12]}:\n{listed}{more}\n"
            "Commit or stash the changes, or bundle them as they are with --allow-dirty."
        )
    files = _tree(root, _dirty_tree(root) if changed else commit)
    if not files:
        raise InputError(
            f"The commit {commit[:12]} of {root} has no files. Commit your code first."
        )
    secrets.check(files, f"The commit {commit[:12]}" if not changed else "The working tree")
    if hint := committed_weights.hint(files):
        progress.note(hint)
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


def _changed(root: Path) -> list[str]:
    """Return git's lines on what differs from HEAD; the table of submissions may grow."""
    table = ":(exclude)submissions.csv"
    return _git(root, "status", "--porcelain", "--", ".", table).splitlines()


def _repository(root: Path) -> Path:
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


def _git(root: Path, *arguments: str, env: dict[str, str] | None = None) -> str:
    try:
        return process.run(["git", *arguments], cwd=root, env=env).stdout.strip()
    except CommandError as error:
        raise InputError(f"git refuses in {root}: {error}") from error


def _branch(root: Path) -> str | None:
    name = _git(root, "rev-parse", "--abbrev-ref", "HEAD")
    return None if name == "HEAD" else name  # a detached HEAD is on no branch


def _dirty_tree(root: Path) -> str:
    """Return a git tree of the working tree as it is, leaving the user's index untouched.

    Its objects stay in the repository, unnamed, until git's own clean-up drops them.
    """
    with tempfile.TemporaryDirectory() as scratch:
        env = os.environ | {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        _git(root, "read-tree", "HEAD", env=env)
        _git(root, "add", "--all", env=env)
        return _git(root, "write-tree", env=env)


def _tree(root: Path, tree: str) -> dict[str, bytes]:
    """Return the files of a commit or tree by their path, as `git archive` gives them."""
    if not _git(root, "ls-tree", "--name-only", tree):
        return {}  # git writes a tar of it that Python cannot read
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "tree.tar"
        _git(root, "archive", "--format=tar", f"--output={path}", tree)
        with tarfile.open(path) as tar:
            members = {member.name: member for member in tar}
            return {
                name: _content(tar, member, members)
                for name, member in members.items()
                if not member.isdir()
            }


def _content(
    tar: tarfile.TarFile, member: tarfile.TarInfo, members: dict[str, tarfile.TarInfo]
) -> bytes:
    """Return a file's bytes; a link becomes a copy of what it points to inside the tree."""
    seen = set()
    while member.issym():
        seen.add(member.name)
        path = os.path.normpath(os.path.join(os.path.dirname(member.name), member.linkname))
        if path in seen or path not in members or members[path].isdir():
            raise InputError(
                f"{member.name} is a link to {member.linkname}, which is no file of the commit; "
                "the notebook would not have it. Commit the file itself instead."
            )
        member = members[path]
    stream = tar.extractfile(member)
    assert stream is not None  # git archives hold files, folders and links only
    return stream.read()


def _runner() -> dict[str, bytes]:
    """Return this package's `inference`, which the notebook runs."""
    package = Path(inference.__file__).parent
    return {
        f"{RUNNER}/{path.relative_to(package).as_posix()}": path.read_bytes()
        for path in package.rglob("*.py")
    }


def _zip(files: dict[str, bytes], folder: str) -> bytes:
    """Return a zip of files in a folder; equal files, equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            info = zipfile.ZipInfo(f"{folder}/{name}", EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)
    return buffer.getvalue()
