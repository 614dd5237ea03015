"""Private indexes: passwords go nowhere, names are not taken over, hashes are honoured."""

import base64
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bundler import process
from bundler.errors import CommandError, InputError, NetworkError
from bundler.libs.index import web
from tests.bundler.libs.packages import wheel
from tests.bundler.libs.registry import Registry, serving

Libs = Callable[..., Any]
RESOLVERS = ("uv", "pip-tools")
SECRET = "s3cr3t-of-ours"


@pytest.fixture(autouse=True)
def _forgetful() -> Iterator[None]:
    web._REMEMBERED.clear()
    yield
    web._REMEMBERED.clear()


@pytest.fixture
def private() -> Iterator[Registry]:
    """A private index that wants a password."""
    with serving() as index:
        index.password = f"me:{SECRET}"
        index.add(wheel("ours", "1.0", ["tqdm"]))
        yield index


def with_user(registry: Registry, user: str) -> str:
    """Return the private index's URL with a user, and a password if one is given."""
    return registry.url.replace("http://", f"http://{user}@") + "/simple"


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_password_is_in_no_file_cache_or_message(
    libs: Libs,
    registry: Registry,
    private: Registry,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    resolver: str,
) -> None:
    url = with_user(private, "me:${INDEX_PASSWORD}")
    monkeypatch.setenv("INDEX_PASSWORD", SECRET)

    made = libs(f"--extra-index-url {url}", "ours", resolver=resolver)

    assert [pin.name for pin in made.lock.pins] == ["ours", "tqdm"]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    private.close()
    with pytest.raises(NetworkError) as caught:
        libs("ours", f"--extra-index-url {url}", "pydicom", resolver=resolver, upgrade=())
    assert SECRET not in str(caught.value)
    assert private.url.removeprefix("http://") in str(caught.value)  # the one that is dead


def test_netrc_is_read(
    libs: Libs,
    registry: Registry,
    private: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
    line = f"--extra-index-url {private.url}/simple"
    with pytest.raises(NetworkError, match="answered 401"):
        libs(line, "ours")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    assert [pin.name for pin in libs(line, "ours").lock.pins] == ["ours", "tqdm"]


def test_keyring_is_asked(
    libs: Libs,
    registry: Registry,
    private: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = tmp_path / "keyring"
    host = private.url.removeprefix("http://")
    program.write_text(f'#!/bin/sh\n[ "$*" = "get {host} me" ] && echo {SECRET}\n')
    program.chmod(0o755)
    found = process.program
    monkeypatch.setattr(process, "program", lambda n: program if n == "keyring" else found(n))

    made = libs(f"--extra-index-url {with_user(private, 'me')}", "ours")

    assert [pin.name for pin in made.lock.pins] == ["ours", "tqdm"]


def test_keyring_is_asked_for_the_address_first(
    private: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "keyring"
    program.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/asked\n')
    program.chmod(0o755)
    monkeypatch.setattr(process, "program", lambda name: program)
    host = private.url.removeprefix("http://")

    web.remember(with_user(private, "me"))

    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == [f"get {private.url}/simple me", f"get {host} me"]


def test_each_index_of_a_server_has_its_own_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETRC", os.devnull)
    for team in ("one", "two"):
        web.remember(f"https://__token__:{team}@one.example/{team}/simple")

    header = "Basic " + base64.b64encode(b"__token__:two").decode()
    assert web.authorization("https://one.example/two/simple/tqdm/") == header
    assert web.authorization("https://one.example/one/simple/tqdm/") not in ("", header)
    assert web.authorization("https://one.example.org/two/simple/tqdm/") == ""
    assert web.authorization("https://two.example/two/simple/") == ""


def test_password_is_not_sent_on_to_another_server(
    libs: Libs, registry: Registry, private: Registry
) -> None:
    """An index of a company redirects to a store of files, which is somebody else's."""
    with serving() as store:
        store.files, store.about = private.files, private.about
        private.elsewhere = store.url

        made = libs(f"--extra-index-url {with_user(private, f'me:{SECRET}')}", "ours")

        assert [pin.name for pin in made.lock.pins] == ["ours", "tqdm"]
        assert store.log
        assert set(store.passwords) == {""}


def test_password_in_the_links_of_a_page_is_not_kept(
    libs: Libs,
    registry: Registry,
    private: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    private.user_of_files = f"me:{SECRET}@"
    monkeypatch.setenv("INDEX_PASSWORD", SECRET)

    libs(f"--extra-index-url {with_user(private, 'me:${INDEX_PASSWORD}')}", "ours")

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


def test_password_in_a_programs_error_is_not_repeated() -> None:
    """As of pip, uv or git, which repeat the address that they failed at."""
    url = f"https://me:{SECRET}@one.example/simple"
    code = f"import sys; sys.exit('ERROR: could not fetch {url} or https://{SECRET}@two.example')"

    with pytest.raises(CommandError) as caught:
        process.run([sys.executable, "-c", code, url])

    assert SECRET not in str(caught.value)
    assert "could not fetch https://one.example/simple or https://two.example" in str(caught.value)


def test_password_in_a_line_that_cannot_be_used_is_not_repeated(libs: Libs) -> None:
    for line in (
        f"--no-such-option https://me:{SECRET}@one.example",
        f"num py @ https://me:{SECRET}@one.example/x.whl",
        f"git+https://me:{SECRET}@one.example/x",
        f"--index-url 'https://me:{SECRET}@one.example",
        f"x @ ftp://me:{SECRET}@one.example/x.whl",
    ):
        with pytest.raises(InputError) as caught:
            libs(line)
        assert SECRET not in str(caught.value)


def test_origin_of_each_package_is_in_the_lock(
    libs: Libs, registry: Registry, private: Registry, folder: Path
) -> None:
    name, content = wheel("linked", "1.0")
    (folder / "wheels").mkdir()
    (folder / "wheels" / name).write_bytes(content)
    url = with_user(private, f"me:{SECRET}")

    made = libs(f"--extra-index-url {url}", "-f wheels", "ours", "linked")

    assert {pin.name: pin.origin for pin in made.lock.pins} == {
        "linked": "wheels",
        "ours": f"{private.url}/simple",
        "tqdm": f"{registry.url}/simple",
    }
    text = (folder / "wheelhouse.lock").read_text()
    assert f'origin = "{private.url}/simple"' in text
    assert SECRET not in text
    assert str(folder) not in text


def test_one_dead_index_is_named_and_nothing_is_locked(
    libs: Libs, registry: Registry, folder: Path
) -> None:
    with pytest.raises(NetworkError) as caught:
        libs("--extra-index-url http://127.0.0.1:9/own/simple", "pydicom")

    message = str(caught.value)
    assert "The index http://127.0.0.1:9/own/simple does not answer for pydicom: " in message
    assert "correct or remove it" in message
    assert not (folder / "wheelhouse.lock").exists()


def test_variable_that_is_not_set_is_named(libs: Libs, registry: Registry) -> None:
    assert "NO_SUCH_VARIABLE" not in os.environ
    with pytest.raises(InputError, match="line 1: the environment variable NO_SUCH_VARIABLE"):
        libs("--index-url https://${NO_SUCH_VARIABLE}@one.example/simple", "ours")


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_stranger_does_not_take_over_a_private_name(
    libs: Libs, registry: Registry, private: Registry, resolver: str
) -> None:
    registry.add(wheel("ours", "99.0", body="stolen = True\n"))
    url = with_user(private, f"me:{SECRET}")

    made = libs(f"--extra-index-url {url}", "ours", resolver=resolver)

    assert {pin.name: pin.version for pin in made.lock.pins}["ours"] == "1.0"
    (note,) = [note for note in made.lock.notes if note.startswith("ours is on ")]
    assert note.index(private.url) < note.index(registry.url)
    assert "tqdm" not in "".join(made.lock.notes)


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_hashes_of_the_requirements_are_honoured(
    libs: Libs, registry: Registry, resolver: str
) -> None:
    registry.add(wheel("pydicom", "3.1.0"))
    content = registry.files["pydicom-3.0.2-py3-none-any.whl"]
    digest = hashlib.sha256(content).hexdigest()

    made = libs(f"pydicom --hash=sha256:{digest}", resolver=resolver)

    assert [pin.version for pin in made.lock.pins] == ["3.0.2"]
    assert libs(f"pydicom --hash=sha256:{digest}", check=True)
    with pytest.raises(InputError):
        libs(f"pydicom==3.1.0 --hash=sha256:{digest}", resolver=resolver)
    with pytest.raises(InputError, match="is no sha256"):
        libs("pydicom --hash=md5:0123")
