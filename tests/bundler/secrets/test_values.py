"""The very credentials of this machine are found in every byte, and never printed."""

import base64
import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler.errors import InputError
from bundler.secrets import values
from bundler.secrets.check import check_files

VALUE = "kX9_w2Lq.unusual/Vz7+Rt"  # of no service's shape
FORMS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "base64": base64.b64encode,
    "base64 for addresses": base64.urlsafe_b64encode,
    "base64 after one byte": lambda value: base64.b64encode(b"u" + value + b"xyz"),
    "base64 after two bytes": lambda value: base64.b64encode(b"u:" + value + b"x"),
    "base64 in lines": lambda value: base64.encodebytes(b"z" * 50 + value + b"z" * 50),
    "UTF-16": lambda value: value.decode().encode("utf-16-le"),
    "UTF-16, the other byte order": lambda value: value.decode().encode("utf-16-be"),
    "packed": gzip.compress,
}


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home folder that is empty."""
    for name in list(os.environ):
        if name.startswith("KAGGLE") or values.VARIABLE.search(name):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("form", FORMS)
def test_in_every_form(form: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", VALUE)
    content = bytes(range(256)) * 20 + b"\n" + FORMS[form](VALUE.encode()) + b"\n"
    if form in ("base64 in lines", "packed"):
        content = FORMS[form](VALUE.encode())
    with pytest.raises(InputError, match="the very value of KAGGLE_API_TOKEN") as caught:
        check_files({"weights.bin": content}, "The model")
    assert VALUE not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (".kaggle/kaggle.json", '{{"username":"rosa","key":"{}"}}'),
        (".kaggle/access_token", "{}\n"),
        (".kaggle/credentials.json", '{{"refresh_token": "{}"}}'),
        (".netrc", "machine api.wandb.ai\n  login user\n  password {}\n"),
        (".cache/huggingface/token", "{}"),
        (".pypirc", "[pypi]\nusername = __token__\npassword = {}\n"),
        (".aws/credentials", "[default]\naws_secret_access_key = {}\n"),
        (".config/gh/hosts.yml", "github.com:\n    oauth_token: {}\n"),
    ],
)
def test_from_every_file(file: str, text: str, home: Path) -> None:
    path = home / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.format(VALUE))
    with pytest.raises(InputError, match=path.name) as caught:
        check_files({"a.py": f"x = '{VALUE}'  # not a secret".encode()}, "The commit")
    assert VALUE not in str(caught.value)
    check_files({"a.py": VALUE[:-1].encode()}, "The commit")


def test_a_password_in_an_address(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://me:" + "correct-horse-battery@host/simple")
    with pytest.raises(InputError, match="PIP_EXTRA_INDEX_URL"):
        check_files({"a.txt": b"correct-horse-battery"}, "The commit")


def test_a_name_with_the_value_is_masked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "an-unusual-token-of-mine")
    with pytest.raises(InputError, match=r"data/\*\*\*\.txt: the very value of HF_TOKEN") as caught:
        check_files({"data/an-unusual-token-of-mine.txt": b"x"}, "The commit")
    assert "an-unusual-token-of-mine" not in str(caught.value)


def test_what_is_no_secret_is_not_looked_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "true")
    monkeypatch.setenv("B_TOKEN", "aaaaaaaaaaaaaaaaaaaa")
    monkeypatch.setenv("GOOGLE_API_KEY", str(home))
    check_files({"a.txt": f"true aaaaaaaaaaaaaaaaaaaa {home}".encode()}, "The commit")


def test_the_values_are_not_in_the_repr() -> None:
    assert VALUE not in repr(values.load({"KAGGLE_KEY": VALUE, "HOME": "/nowhere"}))


@pytest.mark.parametrize("value", ["0123456789abcdef", "abcdefghijklmnop", "0123456789012"])
def test_a_placeholder_is_no_secret(
    value: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables of digits and letters stand in any program: a bundle would be refused for each."""
    monkeypatch.setenv("KAGGLE_KEY", value)
    check_files({"table.bin": b"\x00digits:" + value.encode() + b"\x00"}, "The model")
