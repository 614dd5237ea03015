"""Keys and tokens that must not travel: a code bundle is shared with whoever sees the dataset."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from bundler.errors import InputError

ALLOWED = b"not a secret"  # on the same line: somebody looked
LARGEST = 4 << 20  # bytes of a file that are looked through; keys stand in small files
SHOWN = 10
NAMES = {
    "kaggle.json": "Kaggle's key",
    "access_token": "Kaggle's token",
    ".env": "settings of an environment",
    ".netrc": "passwords",
    ".pypirc": "a package registry's password",
    ".git-credentials": "git's passwords",
    "id_rsa": "a private key",
    "id_ed25519": "a private key",
}
PATTERNS = {
    "a private key": rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----",
    "Kaggle's token": rb"\bKGAT_[0-9a-zA-Z]{32,}",
    "Kaggle's key": rb"""(?:["']key|(?i:kaggle_?key))["']?\s*[:=]\s*["']?[0-9a-f]{32}\b""",
    "Google's service account": rb'"private_key_id"\s*:\s*"[0-9a-f]{40}"',
    "Google's API key": rb"\bAIza[0-9A-Za-z_-]{35}\b",
    "an AWS key": rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "an AWS secret": rb"(?i:aws_secret_access_key)[\"']?\s*[:=]\s*[\"']?[0-9A-Za-z/+]{40}\b",
    "GitHub's token": rb"\b(?:gh[pousr]_[0-9A-Za-z]{36}|github_pat_[0-9A-Za-z_]{50,})",
    "Hugging Face's token": rb"\bhf_[0-9A-Za-z]{30,}\b",
    "a Slack token": rb"\bxox[abprs]-[0-9A-Za-z-]{20,}",
    "a Weights & Biases key": rb"(?i:wandb_api_key)[\"']?\s*[:=]\s*[\"']?[0-9a-f]{40}\b",
    "a password in an address": (
        rb"\b[a-z][a-z0-9+.-]*://[^\s/:@'\"{}$<>]+:(?!(?i:password|token|secret|x+|\*+)@)"
        rb"[^\s/:@'\"{}$<>]{6,}@\w"
    ),
}
RULES = {what: re.compile(pattern) for what, pattern in PATTERNS.items()}
OWN = ("KAGGLE_KEY", "KAGGLE_API_TOKEN")  # this machine's own, which are certain


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A line that looks like a secret, by its path and number; its text is never repeated."""

    path: str
    line: int | None
    what: str

    def __str__(self) -> str:
        return f"{self.path}{f':{self.line}' if self.line else ''}: {self.what}"


def check(files: Mapping[str, bytes], where: str) -> None:
    """Raise InputError where files hold what looks like a secret."""
    findings = list(scan(files))
    if not findings:
        return
    listed = "".join(f"\n  {finding}" for finding in findings[:SHOWN])
    more = f"\n  and {len(findings) - SHOWN} more" if len(findings) > SHOWN else ""
    raise InputError(
        f"{where} holds what looks like secrets, which the bundle would show to whoever sees the "
        f"dataset:{listed}{more}\nTake them out of the commit (`git rm --cached FILE`, and a line "
        "in .gitignore), and revoke what was ever pushed. A line that only looks like one may say "
        f'so: "{ALLOWED.decode()}".'
    )


def scan(files: Mapping[str, bytes]) -> Iterator[Finding]:
    """Yield what looks like a secret in files, by their path."""
    own = [value.encode() for name in OWN if len(value := os.environ.get(name, "")) >= 12]
    for path, content in sorted(files.items()):
        name = PurePosixPath(path).name
        if what := _named(name, content):
            yield Finding(path=path, line=None, what=what)
        for number, line, kind in _lines(content, own):
            if ALLOWED not in line:
                yield Finding(path=path, line=number, what=kind)


def _named(name: str, content: bytes) -> str | None:
    if name.startswith(".env.") and not name.endswith((".example", ".sample", ".template")):
        return NAMES[".env"]
    if name == "access_token" and len(content) > 200:
        return None  # somebody's module of that name, no token
    return NAMES.get(name)


def _lines(content: bytes, own: list[bytes]) -> Iterator[tuple[int, bytes, str]]:
    """Yield the number and text of each line that matches a rule, and the rule."""
    text = content[:LARGEST]
    rules = [(what, rule) for what, rule in RULES.items() if rule.search(text)]
    rules += [("this machine's credentials", re.compile(re.escape(k))) for k in own if k in text]
    if not rules:
        return
    for number, line in enumerate(text.split(b"\n"), 1):
        for what, rule in rules:
            if rule.search(line):
                yield number, line, what
