"""Honest files are not held back."""

import subprocess
from pathlib import Path

import pytest

from bundler.secrets import values
from bundler.secrets.check import check_files
from bundler.secrets.scan import scan
from tests.bundler.secrets.planted import environ, key, pem, word

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (".env.example", "KAGGLE_KEY=your-key-here"),
        ("a.py", f"{environ().strip()}  # not a secret: of an account that is gone"),
        ("a.py", f'sha256 = "{key()}{key()}"'),
        ("a.py", f'cache_key = "{key()}"'),
        ("a.py", f'{{"md5": "{key()}"}}'),
        ("a.py", 'os.environ["KAGGLE_KEY"]'),
        ("a.py", "token = tokenizer.encode_plus(text2)"),
        ("a.py", 'pad_token = "<|endoftext|>"'),
        ("a.py", "password = getpass.getpass()"),
        ("a.py", 'api_key = os.environ["OPENAI_API_KEY_2"]'),
        ("a.py", "secret = UserSecretsClient().get_secret('wandb_api_key_1')"),
        ("a.py", f'commit = "{word(40, "0123456789abcdef")}"'),
        ("a.md", "git clone https://user:PASSWORD@example.org/a"),
        ("a.md", "https://${USER}:${PASSWORD}@host"),
        ("a.md", "machine host login aaaa password bbbb"),
        ("a.py", "-----BEGIN RSA PRIVATE KEY-----"),
        ("x.pem", pem().replace("RSA PRIVATE", "PUBLIC")),
        ("access_token", "a module of somebody's\n" * 20),
    ],
)
def test_passes(path: str, text: str) -> None:
    check_files({path: text.encode()}, "The commit")


def test_this_repository_is_clean() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    files = {name: (ROOT / name).read_bytes() for name in listed if (ROOT / name).is_file()}
    check_files(files, "This repository")


def test_nothing_is_found_in_nothing() -> None:
    assert scan([], values.load({})).findings == ()
