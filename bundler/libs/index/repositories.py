"""Projects in git repositories: a revision becomes a commit, and a commit the project's files."""

import hashlib
import os
from pathlib import Path

from bundler import atomic, cache, git_tree, process
from bundler.errors import CommandError, InputError, NetworkError
from bundler.libs.index import trees, web
from bundler.libs.index.references import COMMIT, GIT, Reference


def commit_of(reference: Reference) -> str:
    """Return the commit that a revision is now, which the repository is asked for.

    Raises NetworkError, InputError.
    """
    revision = reference.revision
    if COMMIT.fullmatch(revision):
        return revision
    # An annotated tag is an object of its own: `^{}` is the commit that it names.
    wanted = [revision, f"{revision}^{{}}"] if revision else ["HEAD"]
    lines = _ask(reference, "ls-remote", "--", _plain(reference), *wanted).splitlines()
    commits = {name: commit for commit, _, name in (line.partition("\t") for line in lines)}
    if not revision:
        names = ["HEAD"]
    else:
        names = [f"refs/tags/{revision}^{{}}", f"refs/tags/{revision}", f"refs/heads/{revision}"]
        names.append(revision)
    for name in names:
        if name in commits:
            return commits[name]
    raise InputError(
        f"{GIT}{web.shown(reference.location)} has no branch or tag {revision or 'HEAD'!r}. "
        "Require one that it has, or a commit by its 40 digits."
    )


def files(reference: Reference, commit: str) -> dict[str, bytes]:
    """Return the files of a project at a commit, fetched where the cache lacks it.

    Raises NetworkError, InputError.
    """
    repository = _mirror(reference, commit)
    tree = git_tree.read(repository, commit)
    if tree.missing_submodules:
        with cache.scratch("checkout") as folder:
            checkout = folder / "checkout"
            _ask(reference, "clone", "--quiet", "--no-checkout", str(repository), str(checkout))
            _ask(reference, "remote", "set-url", "origin", _plain(reference), cwd=checkout)
            _ask(reference, "checkout", "--quiet", commit, cwd=checkout)
            _ask(reference, "submodule", "update", "--quiet", "--init", "--recursive", cwd=checkout)
            tree = git_tree.read(checkout, commit)
    top = f"{reference.subdirectory.strip('/')}/" if reference.subdirectory else ""
    found = {
        name.removeprefix(top): content
        for name, content in tree.files.items()
        if name.startswith(top)
    }
    if "pyproject.toml" not in found and "setup.py" not in found:
        where = f"The folder {top} of {reference.shown}" if top else reference.shown
        raise InputError(
            f"{where} is no project at {commit[:12]}: it has neither pyproject.toml nor setup.py."
        )
    return trees.with_version(found, repository, commit)


def _mirror(reference: Reference, commit: str) -> Path:
    """Return a bare repository in the cache that holds a commit; its address is not kept in it."""
    name = hashlib.sha256(_plain(reference).encode()).hexdigest()[:32]
    folder = cache.folder("git") / name
    folder.mkdir(exist_ok=True)
    with atomic.locked(folder / "lock"):  # two runs at once may want the same
        repository = folder / "repository"
        if not (repository / "HEAD").is_file():
            process.run(["git", "init", "--quiet", "--bare", str(repository)])
        if not _holds(repository, commit):
            branches = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
            _ask(reference, "fetch", "--quiet", "--", _plain(reference), *branches, cwd=repository)
        if not _holds(repository, commit):  # of no branch: a pull request's, or one that was moved
            _ask(reference, "fetch", "--quiet", "--", _plain(reference), commit, cwd=repository)
    return repository


def _plain(reference: Reference) -> str:
    return web.remember(reference.location)


def _holds(repository: Path, commit: str) -> bool:
    command = ["git", "cat-file", "-e", f"{commit}^{{commit}}"]
    return process.run(command, cwd=repository, check=False).returncode == 0


def _ask(reference: Reference, *arguments: str, cwd: Path | None = None) -> str:
    """Return what a git command prints that may need the network. Raises NetworkError."""
    try:
        return process.run(["git", *arguments], cwd=cwd, env=_environment(reference)).stdout
    except CommandError as error:
        output = " ".join(str(error).splitlines()[1:]).strip()
        raise NetworkError(f"git cannot read {reference.shown}: {output}") from error


def _environment(reference: Reference) -> dict[str, str]:
    """Return an environment for git with the credentials of the repository's server.

    Not in the address: git would write it to FETCH_HEAD, and repeat it in its errors.
    """
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    plain = _plain(reference)
    if plain.startswith(("http://", "https://")) and (header := web.authorization(plain)):
        number = int(environment.get("GIT_CONFIG_COUNT") or 0)
        server = "/".join(plain.split("/")[:3])
        environment |= {
            "GIT_CONFIG_COUNT": str(number + 1),
            f"GIT_CONFIG_KEY_{number}": f"http.{server}/.extraHeader",
            f"GIT_CONFIG_VALUE_{number}": f"Authorization: {header}",
        }
    return environment
