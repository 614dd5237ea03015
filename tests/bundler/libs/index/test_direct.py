"""Packages that are required from one place: git, a folder, a file, a URL become locked wheels."""

import base64
import hashlib
import io
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundler.errors import CheckError, InputError, NetworkError
from bundler.libs import locks
from bundler.libs.index import references, snapshots, trees, web
from tests.bundler.libs import git_server
from tests.bundler.libs.conftest import make_target
from tests.bundler.libs.packages import sdist, wheel
from tests.bundler.libs.registry import Registry

Libs = Callable[..., Any]
RESOLVERS = ("uv", "pip-tools")
SECRET = "s3cr3t-of-ours"


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(web, "_REMEMBERED", {})
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    for key in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{key}_NAME", "me")
        monkeypatch.setenv(f"GIT_{key}_EMAIL", "me@one.example")


def git(folder: Path, *arguments: str) -> str:
    """Return what a git command prints."""
    run = subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return run.stdout.strip()


PROJECT = """
[project]
name = "ours"
version = "{version}"
dependencies = [{needs}]
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


def project(folder: Path, version: str = "1.0", needs: str = '"tqdm"') -> Path:
    """Write a project with a build backend of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    requires = [text.strip('" ') for text in needs.split(",") if text]
    with tarfile.open(fileobj=io.BytesIO(sdist("ours", version, requires)[1])) as tar:
        backend = tar.extractfile(f"ours-{version}/backend.py")
        assert backend is not None
        (folder / "backend.py").write_bytes(backend.read())
    (folder / "pyproject.toml").write_text(PROJECT.format(version=version, needs=needs))
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with two releases of a project on its branch."""
    folder = project(tmp_path / "upstream" / "ours.git")
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "One")
    git(folder, "tag", "-a", "v1", "-m", "one")
    project(folder, "2.0")
    git(folder, "commit", "--quiet", "--all", "-m", "Two")
    return folder


def pins(made: Any) -> dict[str, Any]:
    """Return the pins by name."""
    return {pin.name: pin for pin in made.lock.pins}


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_branch_is_pinned_to_its_commit(
    libs: Libs, registry: Registry, repository: Path, folder: Path, resolver: str
) -> None:
    head = git(repository, "rev-parse", "HEAD")
    line = f"ours @ git+file://{repository}@main"

    made = libs(line, resolver=resolver)

    assert {name: pin.version for name, pin in pins(made).items()} == {"ours": "2.0", "tqdm": "4.0"}
    pin = pins(made)["ours"]
    assert (pin.file, pin.commit) == ("ours-2.0-py3-none-any.whl", head)
    assert pin.origin == f"git+file://{repository}@main"
    assert f'commit = "{head}"' in (folder / "wheelhouse.lock").read_text()
    assert locks.read(folder / "wheelhouse.lock") == made.lock
    # The branch moves on. The lock does not, until it is told to.
    project(repository, "3.0")
    git(repository, "commit", "--quiet", "--all", "-m", "Three")
    assert not libs(line, resolver=resolver).built.changed
    assert pins(libs(line, "pydicom", resolver=resolver))["ours"] == pin
    moved = pins(libs(line, "pydicom", resolver=resolver, upgrade=("ours",)))["ours"]
    assert moved.version == "3.0"
    assert moved.commit == git(repository, "rev-parse", "HEAD")


def test_tag_and_commit_are_what_they_say(libs: Libs, registry: Registry, repository: Path) -> None:
    first = git(repository, "rev-parse", "v1^{commit}")

    by_tag = pins(libs(f"ours @ git+file://{repository}@v1"))["ours"]
    by_commit = pins(libs(f"ours @ git+file://{repository}@{first}"))["ours"]

    assert by_tag.commit == by_commit.commit == first
    assert by_tag.version == by_commit.version == "1.0"
    assert by_tag.sha256 == by_commit.sha256  # equal files, equal wheels
    with pytest.raises(InputError, match="has no branch or tag 'v9'"):
        libs(f"ours @ git+file://{repository}@v9")


def test_git_wheel_is_built_again_where_the_cache_is_cold(
    libs: Libs, registry: Registry, repository: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = libs(f"ours @ git+file://{repository}@main")
    project(repository, "3.0")  # the branch has moved: the lock's commit counts
    git(repository, "commit", "--quiet", "--all", "-m", "Three")
    monkeypatch.setenv("RSNA_BUNDLE_CACHE", str(folder / "another-cache"))

    again = libs(out=folder / "elsewhere")

    assert again.built.bundle.id == first.built.bundle.id


def test_repository_that_is_gone_is_named(libs: Libs, registry: Registry, tmp_path: Path) -> None:
    url = "http://me:s3cr3t-of-ours@127.0.0.1:9/ours"

    with pytest.raises(
        NetworkError, match=r"git cannot read git\+http://127\.0\.0\.1:9/ours@main"
    ) as caught:
        libs(f"ours @ git+{url}@main")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("given", ["url", "netrc"])
def test_password_of_a_repository_is_in_no_file_cache_or_message(
    libs: Libs,
    registry: Registry,
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: str,
) -> None:
    with git_server.serving(repository.parent, f"me:{SECRET}") as host:
        if given == "netrc":
            (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
            monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        monkeypatch.setenv("TOKEN", f"me:{SECRET}@" if given == "url" else "")

        made = libs(f"ours @ git+http://${{TOKEN}}{host}/ours.git@main")

        (tmp_path / "netrc").unlink(missing_ok=True)
    assert pins(made)["ours"].origin == f"git+http://{host}/ours.git@main"
    leaks = [SECRET.encode(), base64.b64encode(f"me:{SECRET}".encode())]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert [path for path in files if any(leak in path.read_bytes() for leak in leaks)] == []


def test_wrong_password_is_not_repeated(
    libs: Libs, registry: Registry, repository: Path, tmp_path: Path
) -> None:
    with (
        git_server.serving(repository.parent, "me:another") as host,
        pytest.raises(NetworkError, match="git cannot read") as caught,
    ):
        libs(f"ours @ git+http://me:{SECRET}@{host}/ours.git@main")
    assert SECRET not in str(caught.value)


def test_version_that_is_taken_from_tags_is_right(
    libs: Libs, registry: Registry, repository: Path, folder: Path
) -> None:
    # What setuptools-scm and hatch-vcs read where there is no repository, as in an sdist.
    asks = "setuptools-scm"
    (repository / "setup.py").write_text(f"# {asks}\n")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "-m", "Three")
    head = git(repository, "rev-parse", "HEAD")

    made = direct_files(f"git+file://{repository}@main", folder)

    text = made[".git_archival.txt"].decode()
    assert f"node: {head}\n" in text
    assert f"describe-name: v1-2-g{head[:7]}" in text
    assert ".git_archival.txt" not in direct_files(f"git+file://{repository}@v1", folder)


def direct_files(text: str, base: Path) -> dict[str, bytes]:
    """Return the files that a reference leads to."""
    taken = snapshots.take(references.parse(text, base))
    assert taken.archive is not None
    with zipfile.ZipFile(taken.archive) as archive:
        return {name.removeprefix("project/"): archive.read(name) for name in archive.namelist()}


def test_submodule_and_subdirectory_are_followed(
    libs: Libs, registry: Registry, repository: Path, tmp_path: Path
) -> None:
    outer = tmp_path / "upstream" / "outer"
    outer.mkdir()
    (tmp_path / "gitconfig").write_text('[protocol "file"]\n\tallow = always\n')
    git(outer, "init", "--quiet", "--initial-branch=main")
    git(outer, "submodule", "--quiet", "add", f"file://{repository}", "libs/ours")
    git(outer, "commit", "--quiet", "-m", "One")

    made = libs(f"ours @ git+file://{outer}#subdirectory=libs/ours")

    assert pins(made)["ours"].version == "2.0"
    with pytest.raises(InputError, match=r"The folder docs/ of .* is no project"):
        libs(f"ours @ git+file://{outer}#subdirectory=docs")


def test_key_in_a_wheel_of_ones_own_is_refused(libs: Libs, folder: Path) -> None:
    key = "ghp_" + "".join(chr(97 + number * 7 % 26) for number in range(30)) + "4Xq9Zk"
    name, content = wheel("one", "1.0", body=f"TOKEN = '{key}'\n")
    (folder / name).write_bytes(content)

    with pytest.raises(InputError, match="secret") as caught:
        libs(f"./{name}")
    assert key not in str(caught.value)


# --- folders and files ---


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_folder_becomes_a_locked_wheel(
    libs: Libs, registry: Registry, folder: Path, resolver: str
) -> None:
    project(folder / "ours")

    made = libs("./ours", resolver=resolver)

    pin = pins(made)["ours"]
    assert (pin.version, pin.origin) == ("1.0", "./ours")
    assert set(pins(made)) == {"ours", "tqdm"}
    assert str(folder) not in (folder / "wheelhouse.lock").read_text()
    assert libs(check=True)
    # The folder is an input like the list.
    (folder / "ours" / "more.py").write_text("x = 1\n")
    with pytest.raises(CheckError, match="is stale"):
        libs(check=True)
    project(folder / "ours", "1.1")
    assert pins(libs(resolver=resolver))["ours"].version == "1.1"


def test_image_version_does_not_stand_for_ones_own(
    libs: Libs, registry: Registry, folder: Path
) -> None:
    project(folder / "ours")

    made = libs("./ours", target=make_target(installed={"ours": "0.9", "tqdm": "4.0"}))

    assert set(pins(made)) == {"ours"}
    assert made.built.bundle.libs.targets[0].shadowed == ("ours 0.9 → 1.0",)


def test_equal_folders_give_equal_bundles(
    libs: Libs, registry: Registry, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(folder / "ours")
    one = libs("./ours")
    monkeypatch.setenv("RSNA_BUNDLE_CACHE", str(folder / "another-cache"))
    for path in (folder / "ours").iterdir():
        os.utime(path, (1, 1))
        path.chmod(0o600)
    (folder / "ours" / "__pycache__").mkdir()
    (folder / "ours" / "__pycache__" / "x.pyc").write_bytes(b"of this machine")
    (folder / "wheelhouse.lock").unlink()

    two = libs("./ours", out=folder / "two")

    assert one.built.bundle.id == two.built.bundle.id


def test_what_git_ignores_is_no_input(libs: Libs, registry: Registry, folder: Path) -> None:
    project(folder / "ours")
    git(folder / "ours", "init", "--quiet")
    (folder / "ours" / ".gitignore").write_text("data/\n")
    first = libs("./ours")
    (folder / "ours" / "data").mkdir()
    (folder / "ours" / "data" / "large.bin").write_bytes(b"x" * 1000)

    assert libs("./ours").built.bundle.id == first.built.bundle.id
    assert libs(check=True)


def test_archives_of_a_folder_do_not_pile_up(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(folder / "ours")
    archives = []
    for number in range(3):
        (folder / "ours" / "x.py").write_text(f"x = {number}\n")
        archives.append(snapshots.local(references.parse("ours", folder)).archive)
        if number == 0:
            os.utime(archives[0], (1, 1))  # of long ago

    kept = {path for path in (tmp_path / "cache" / "trees").rglob("*") if path.is_file()}
    assert kept == {*archives[1:]}


def test_folder_of_data_is_refused(
    libs: Libs, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(folder / "ours")
    monkeypatch.setattr(trees, "LARGEST", 1000)

    with pytest.raises(InputError, match="too much for a package"):
        libs("./ours")


def test_local_wheel_and_sdist_are_locked_by_their_hash(
    libs: Libs, registry: Registry, folder: Path
) -> None:
    for name, content in (wheel("one", "1.0", ["two>=2"]), sdist("two", "2.0")):
        (folder / name).write_bytes(content)

    made = libs("./one-1.0-py3-none-any.whl", "two @ ./two-2.0.tar.gz")

    content = (folder / "one-1.0-py3-none-any.whl").read_bytes()
    one, two = pins(made)["one"], pins(made)["two"]
    assert one.sha256 == hashlib.sha256(content).hexdigest()
    assert one.origin == "./one-1.0-py3-none-any.whl"
    assert two.built_from.startswith("two-2.0.tar.gz ")
    assert registry.asked("/simple/one") == registry.asked("/simple/two") == []
    (folder / "one-1.0-py3-none-any.whl").write_bytes(wheel("one", "1.0", body="x = 2\n")[1])
    with pytest.raises(CheckError, match="is stale"):
        libs(check=True)


def test_wheel_of_a_url_is_locked(
    libs: Libs,
    registry: Registry,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry.add(wheel("one", "1.0", ["tqdm"]))
    registry.password = f"me:{SECRET}"
    name = "one-1.0-py3-none-any.whl"
    host = registry.url.removeprefix("http://")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://me:{SECRET}@{host}/simple")
    line = f"one @ http://me:{SECRET}@{host}/files/{name}"

    made = libs(line)

    assert pins(made)["one"].origin == f"{registry.url}/files/{name}"
    (folder / "wheelhouse.txt").unlink()  # which holds what the user wrote
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    # Its hash is the lock's: on another machine another file is refused.
    monkeypatch.setenv("RSNA_BUNDLE_CACHE", str(folder / "cold"))
    registry.faults[name] = "changed"
    with pytest.raises(InputError, match="is not the one that was locked") as caught:
        libs(line, out=folder / "elsewhere")
    assert SECRET not in str(caught.value)


def test_hash_of_a_url_is_honoured(libs: Libs, registry: Registry) -> None:
    registry.add(wheel("one", "1.0"))
    url = f"{registry.url}/files/one-1.0-py3-none-any.whl"
    digest = hashlib.sha256(registry.files["one-1.0-py3-none-any.whl"]).hexdigest()

    assert libs(f"one @ {url}#sha256={digest}")
    with pytest.raises(InputError, match="not the one that is required"):
        libs(f"one @ {url}#sha256={'0' * 64}")
    with pytest.raises(InputError):
        libs(f"one @ {url} --hash=sha256:{'0' * 64}")


def test_wheel_for_another_python_is_told(libs: Libs, registry: Registry, folder: Path) -> None:
    name, content = wheel("one", "1.0", tag="cp39-cp39-manylinux_2_17_x86_64")
    (folder / name).write_bytes(content)

    with pytest.raises(InputError, match=r"one has a wheel for Python 3\.13 .* 1\.0 has .*cp39"):
        libs(f"./{name}")


def test_name_that_is_not_the_projects_is_told(libs: Libs, folder: Path) -> None:
    project(folder / "ours")

    with pytest.raises(InputError, match=r"its project is named ours\. Require it as `ours @"):
        libs("theirs @ ./ours")


def test_metadata_that_name_a_url_are_refused_with_the_way_out(
    libs: Libs, registry: Registry, folder: Path
) -> None:
    project(folder / "ours", needs=f'"tqdm @ https://me:{SECRET}@one.example/tqdm-4.0.tar.gz"')

    with pytest.raises(InputError) as caught:
        libs("./ours")

    message = str(caught.value).partition("\nThe output of")[0]
    assert "ours 1.0 needs tqdm from https://one.example/tqdm-4.0.tar.gz" in message
    assert "[tool.uv.sources]" in message
    assert SECRET not in str(caught.value)
