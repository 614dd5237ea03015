"""Files that hold secrets by their very name, whatever stands in them."""

import re
from pathlib import PurePosixPath

EXACT = {
    "kaggle.json": "Kaggle's key",
    "access_token": "Kaggle's token",
    ".netrc": "passwords",
    "_netrc": "passwords",
    ".pgpass": "a database's password",
    ".my.cnf": "a database's password",
    ".pypirc": "a package registry's password",
    ".git-credentials": "git's passwords",
    ".dockercfg": "a container registry's password",
    ".vault-token": "a token",
    ".s3cfg": "a bucket's key",
    ".boto": "a bucket's key",
    "application_default_credentials.json": "Google's credentials",
}
PATTERNS = {
    "settings of an environment": re.compile(r"\.env(\..+|rc)?|\.flaskenv|[\w-]+\.env"),
    "a private key": re.compile(r"id_(rsa|dsa|ecdsa|ed25519)(_sk)?|.+\.(ppk|kdbx)"),
}
FOLDERS = {  # file, in its folder
    ".aws/credentials": "an AWS secret",
    ".docker/config.json": "a container registry's password",
    ".kaggle/credentials.json": "Kaggle's token",
    ".streamlit/secrets.toml": "secrets",
}
TEMPLATES = (".example", ".sample", ".template", ".dist", ".tpl")
LONGEST_TOKEN = 200  # bytes: a longer `access_token` is somebody's module of that name


def named(path: str, size: int) -> str | None:
    """Return what a file of this name holds; None for an ordinary name."""
    parts = PurePosixPath(path.replace("!", "/")).parts
    name = parts[-1].lower() if parts else ""
    if name.endswith(TEMPLATES):
        return None
    if name == "access_token" and size > LONGEST_TOKEN:
        return None
    if what := EXACT.get(name) or FOLDERS.get("/".join(parts[-2:]).lower()):
        return what
    return next((what for what, rule in PATTERNS.items() if rule.fullmatch(name)), None)
