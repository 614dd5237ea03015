"""No key travels in a code bundle, and no honest file is held back."""

import subprocess
from pathlib import Path

import pytest

from bundler import secrets, snapshot
from bundler.errors import InputError

KEY = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("path", "content", "what"),
    [
        ("a/kaggle.json", "{}", "Kaggle's key"),
        (".env", "A=1", "settings of an environment"),
        (".env.local", "A=1", "settings of an environment"),
        ("keys/id_ed25519", "", "a private key"),
        ("x.pem", "-----BEGIN RSA PRIVATE KEY-----\n", "a private key"),  # not a secret
        ("x.pem", "-----BEGIN PRIVATE KEY-----\n", "a private key"),  # not a secret
        ("n.ipynb", f'{{"username": "a", "key": "{KEY}"}}', "Kaggle's key"),
        ("run.sh", f"export KAGGLE_KEY={KEY}", "Kaggle's key"),
        ("run.sh", "export KAGGLE_API_TOKEN=KGAT_" + KEY, "Kaggle's token"),
        ("a.py", "token = 'ghp_" + "a1" * 18 + "'", "GitHub's token"),
        ("a.py", "token = 'hf_" + "a1" * 17 + "'", "Hugging Face's token"),
        ("gcp.json", '{"private_key_id": "' + "ab" * 20 + '"}', "Google's service account"),
        ("a.cfg", "url = https://me:" + "sesame99@host/x", "a password in an address"),
    ],
)
def test_what_is_found(path: str, content: str, what: str) -> None:
    found = list(secrets.scan({path: content.encode()}))
    assert [finding.what for finding in found] == [what]
    with pytest.raises(InputError, match="revoke") as caught:
        secrets.check({path: content.encode()}, "The tree")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        (".env.example", "KAGGLE_KEY=your-key-here"),
        ("a.py", f'key = "{KEY}"  # not a secret: a digest'),
        ("a.py", f'sha256 = "{KEY}{KEY}"'),
        ("a.py", f'cache_key = "{KEY}"'),
        ("a.py", 'os.environ["KAGGLE_KEY"]'),
        ("a.md", "git clone https://user:PASSWORD@example.org/a"),
        ("a.md", "https://${USER}:${PASSWORD}@host"),
    ],
)
def test_what_is_let_through(path: str, content: str) -> None:
    assert list(secrets.scan({path: content.encode()})) == []


def test_this_machines_own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_KEY", "an-unusual-key-of-mine")
    (finding,) = secrets.scan({"a.txt": b"\nkey is an-unusual-key-of-mine\n"})
    assert str(finding) == "a.txt:2: this machine's credentials"


def test_code_refuses(repository: Path) -> None:
    (repository / "notes.txt").write_text(f'{{"username": "a", "key": "{KEY}"}}')
    for words in (["add", "."], ["commit", "-qm", "Oops"]):
        subprocess.run(["git", *words], cwd=repository, check=True)
    with pytest.raises(InputError, match=r"notes.txt:1: Kaggle's key"):
        snapshot.build(repository, repository / "dist" / "code")
    assert not (repository / "dist" / "code").exists()


def test_this_repository_is_clean() -> None:
    root = Path(__file__).parents[2]
    listed = subprocess.run(
        ["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    files = {name: (root / name).read_bytes() for name in listed if (root / name).is_file()}
    assert [str(finding) for finding in secrets.scan(files)] == []
