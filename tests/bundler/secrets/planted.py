"""Secrets of many kinds, as they get into a repository: made up anew, so that no file holds one."""

import base64
import bz2
import gzip
import io
import json
import lzma
import random
import string
import tarfile
import zipfile
from collections.abc import Mapping

LETTERS = string.ascii_letters
MIXED = LETTERS + string.digits
HEX = "0123456789abcdef"
random_one = random.Random(20)


def word(length: int, alphabet: str = MIXED) -> str:
    """Return random characters."""
    return "".join(random_one.choices(alphabet, k=length))


def key() -> str:
    """Return what a key of Kaggle looks like."""
    return word(32, HEX)


def notebook(source: str | list[str], output: str = "", **metadata: str) -> bytes:
    """Return a notebook of one cell, on one line, as some tools write it."""
    cell = {
        "cell_type": "code",
        "metadata": {},
        "outputs": [{"output_type": "stream", "text": output}],
        "source": source,
    }
    return json.dumps({"cells": [cell], "metadata": metadata, "nbformat": 4}).encode()


def zipped(members: Mapping[str, bytes]) -> bytes:
    """Return a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(members: Mapping[str, bytes], mode: str = "w:gz") -> bytes:
    """Return a tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def environ() -> str:
    """Return the line that a notebook begins with."""
    return f'os.environ["KAGGLE_KEY"] = "{key()}"\n'


def pem(kind: str = "RSA ") -> str:
    """Return something of the shape of a private key."""
    lines = [f"-----BEGIN {kind}PRIVATE KEY-----", *(word(64) for _ in range(6))]
    return "\n".join([*lines, f"-----END {kind}PRIVATE KEY-----", ""])


def filler(megabytes: int) -> bytes:
    """Return so much of ordinary text."""
    return b"an ordinary line of text, many times over\n" * (megabytes * 25_000)


# Kind → path and content.
TEXTS: Mapping[str, tuple[str, str | bytes]] = {
    # Kaggle's own
    "kaggle.json by name": ("a/kaggle.json", "{}"),
    "kaggle.json under another name": ("a.txt", f'{{"username":"a","key":"{key()}"}}'),
    "kaggle.json in yaml": ("a.yaml", f"username: rosa\nkey: {key()}\n"),
    "os.environ": ("a.py", environ()),
    "os.environ.setdefault": ("a.py", f"os.environ.setdefault('KAGGLE_KEY', '{key()}')"),
    "monkeypatch": ("a.py", f'monkeypatch.setenv("KAGGLE_KEY", "{key()}")'),
    "export": ("run.sh", f"export KAGGLE_KEY={key()}"),
    "docker -e": ("run.sh", f"docker run -e KAGGLE_KEY={key()} image"),
    "Dockerfile": ("Dockerfile", f"FROM python\nENV KAGGLE_KEY {key()}\n"),
    "GitHub workflow": (".github/workflows/a.yml", f"env:\n  KAGGLE_KEY: {key()}\n"),
    "%env": ("a.ipynb", notebook(f"%env KAGGLE_KEY={key()}\n")),
    "KAGGLE_API_TOKEN": ("a.py", f"TOKEN = 'KGAT_{word(32, HEX)}'"),
    # notebooks
    "notebook, one line": ("a.ipynb", notebook(f"import os\n{environ()}x = 1")),
    "notebook, lines": ("a.ipynb", notebook(["import os\n", environ()])),
    "notebook output": ("a.ipynb", notebook("", f"ghp_{word(36)}\n")),
    "notebook metadata": ("a.ipynb", notebook("", api_key=word(32))),
    # environments and configuration
    ".env": (".env", "A=1"),
    ".env.local": ("web/.env.local", "A=1"),
    "prod.env": ("prod.env", "A=1"),
    ".env under any name": ("settings.txt", f"DEBUG=1\nNEPTUNE_API_TOKEN={word(40)}\n"),
    ".env after a placeholder": ("a.txt", f"A_TOKEN=your-token-goes-here\nB_TOKEN={word(24)}\n"),
    "netrc by name": ("_netrc", ""),
    "netrc in a script": (
        "a.sh",
        f'echo "machine api.wandb.ai login user password {word(40, HEX)}" >> ~/.netrc',
    ),
    "json": ("a.json", json.dumps({"service": {"api_key": word(32)}})),
    "yaml": ("a.yml", f"service:\n  secret_key: {word(40)}\n"),
    "toml": ("a.toml", f'[service]\ntoken = "{word(40)}"\n'),
    "ini": ("a.ini", f"[db]\npassword = {word(9)}7x!\n"),
    "keyword argument": ("a.py", f'client = Client(token="{word(32)}")'),
    "annotated": ("a.py", f"API_KEY: str = '{word(32)}'"),
    "password": ("a.py", f'connect(user="me", password="{word(10)}4$")'),
    "pypirc": (".pypirc", "[pypi]"),
    "git-credentials": ("x/.git-credentials", ""),
    "docker config": ("a.json", json.dumps({"auths": {"x": {"auth": word(40) + "1a="}}})),
    # services
    "GitHub": ("a.py", f"x = 'ghp_{word(36)}'"),
    "GitHub, fine-grained": ("a.py", f"x = 'github_pat_{word(22)}_{word(59)}'"),
    "GitLab": ("a.py", f"x = 'glpat-{word(20)}'"),
    "Hugging Face": ("a.py", f"x = 'hf_{word(34, LETTERS)}'"),
    "Weights & Biases": ("a.py", f"wandb.login(key='{word(40, HEX)}')"),
    "OpenAI": ("a.py", f"x = 'sk-proj-{word(74)}T3BlbkFJ{word(74)}'"),
    "Anthropic": ("a.py", f"x = 'sk-ant-api03-{word(93)}AA'"),
    "AWS": ("a.py", "x = 'AKIA" + word(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") + "'"),
    "AWS secret": ("a.cfg", f"aws_secret_access_key = {word(40)}"),
    "Google API key": ("a.js", f"const x = 'AIza{word(35)}'"),
    "Google service account": ("a.json", f'{{"private_key_id": "{word(40, HEX)}"}}'),
    "Slack": ("a.py", f"x = 'xoxb-{word(12, '123456789')}-{word(13, '123456789')}-{word(24)}'"),
    "Stripe": ("a.py", f"x = 'sk_live_{word(24)}'"),
    "PyPI": ("a.sh", f"twine upload -p pypi-AgEIcHlwaS5vcmc{word(80)}"),
    "npm": (".npmrc", f"//registry.npmjs.org/:_authToken=npm_{word(36)}"),
    "JWT": (
        "a.py",
        f"x = 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTYifQ.{word(43)}'",
    ),
    "authorization header": ("a.py", f'headers = {{"Authorization": "Bearer {word(40)}"}}'),
    "address": ("a.cfg", f"url = postgres://me:{word(12)}@db.internal/x"),
    "index with a password": (
        "pip.conf",
        f"extra-index-url = https://me:{word(12)}@pypi.me/simple",
    ),
    "private key": ("x.pem", pem()),
    "private key in a string": ("a.py", repr(pem(""))),
    "ssh key by name": ("keys/id_ed25519", ""),
    # other encodings, archives, sizes
    "base64": ("a.py", base64.b64encode(environ().encode())),
    "base64 twice": ("a.py", base64.b64encode(base64.b64encode(f"ghp_{word(36)}".encode()))),
    "UTF-16": ("a.txt", environ().encode("utf-16")),
    "UTF-16 without a mark": ("a.txt", environ().encode("utf-16-be")),
    "UTF-8 with a mark": ("a.txt", environ().encode("utf-8-sig")),
    "zip": ("a.bin", zipped({"b/c.py": environ().encode()})),
    "zip in a zip": ("a.pth", zipped({"b": zipped({"c.py": environ().encode()})})),
    "tar.gz": ("a.dat", tarred({"b/c.py": environ().encode()})),
    "tar.xz in a zip": ("a", zipped({"b": tarred({"c.py": environ().encode()}, "w:xz")})),
    "gz": ("a", gzip.compress(environ().encode())),
    "bz2": ("a", bz2.compress(environ().encode())),
    "xz": ("a", lzma.compress(environ().encode())),
    "a name within a zip": ("a.zip", zipped({"home/.netrc": b"x"})),
    "beyond 4 MB": ("a.txt", filler(5) + environ().encode()),
    "across two chunks": ("a.txt", filler(8)[: (8 << 20) - 30] + b"\n" + environ().encode()),
    "in a binary file": ("a.bin", bytes(range(256)) * 9000 + f"ghp_{word(36)}".encode()),
    "after an exempted line": ("a.py", f"{environ().strip()}  # not a secret\n{environ()}"),
    "an exemption in another line of the string": (
        "a.ipynb",
        notebook(f"# this is not a secret\n{environ()}# not a secret either"),
    ),
    "somebody else's exemption": ("a.py", f"x = 'ghp_{word(36)}'  # gitleaks:allow"),
    "in a file's name": (f"ghp_{word(36)}.txt", "x"),
}


def content(value: str | bytes) -> bytes:
    """Return the bytes of a text."""
    return value.encode() if isinstance(value, str) else value
