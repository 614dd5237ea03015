"""The credentials that this machine has, looked for in every byte that leaves it.

Their values stay in memory and are never printed: a finding names where a value comes from.
"""

import base64
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

SHORTEST = 12  # characters of a value: a shorter one occurs by chance
DISTINCT = 6
SEQUENCES = "01234567890123456789 0123456789abcdefghijklmnopqrstuvwxyz0123456789"
# Variables that hold a secret by their name: KAGGLE_KEY, HF_TOKEN, UV_INDEX_X_PASSWORD, …
VARIABLE = re.compile(
    r"(?:TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY|SECRET_KEY|PRIVATE_KEY|KAGGLE_KEY)$",
    re.IGNORECASE,
)
ADDRESS = re.compile(r"://[^\s/:@]*:([^\s/@]+)@")  # a password in one
QUOTED = r"""["']?([^\s"',}\]]+)"""
# What stands for a secret in a file of credentials, by its key.
KEYED = re.compile(
    r"(?im)(?:key|token|secret|password|auth|identitytoken)[\"']?\s*[:=]\s*" + QUOTED
)
NETRC = re.compile(r"(?i)\bpassword\s+(\S+)")
WHOLE = re.compile(r"\A\s*(\S+)\s*\Z")


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Where this machine's secrets come from, and the bytes that each may appear as."""

    needles: Mapping[bytes, str] = field(repr=False)  # bytes → the source's name
    encoded: Mapping[bytes, str] = field(repr=False)  # those in base64, which breaks lines
    unread: tuple[str, ...] = ()  # files of credentials that cannot be read

    def find(self, data: bytes) -> Iterator[tuple[int, str]]:
        """Yield the place of each value's first occurrence in some bytes, and its source."""
        for needle, source in self.needles.items():
            if (start := data.find(needle)) >= 0:
                yield start, source

    def find_wrapped(self, text: bytes) -> Iterator[str]:
        """Yield the sources of values in base64 that is broken into lines, as in e-mails."""
        joined = text.translate(None, b"\r\n") if self.encoded else b""
        for needle, source in self.encoded.items():
            if needle in joined and needle not in text:
                yield source

    def masked(self, text: str) -> str:
        """Return a text, such as a file's name, without the values in it."""
        data = text.encode("utf-8", "surrogateescape")
        for needle in self.needles:
            data = data.replace(needle, b"***")
        return data.decode("utf-8", "replace")


def load(environment: Mapping[str, str] = os.environ) -> Credentials:
    """Return the credentials of this machine: variables, and the files of the usual programs."""
    values, unread = dict[str, str](), []
    for name, value in environment.items():
        if VARIABLE.search(name):
            values.setdefault(value.strip(), name)
        for password in ADDRESS.findall(value):  # PIP_INDEX_URL, DATABASE_URL, HTTPS_PROXY, …
            values.setdefault(password, name)
    for path, pattern in _files(environment):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            continue
        except OSError as error:
            unread.append(f"{path} ({error.strerror})")
            continue
        for value in pattern.findall(text):
            values.setdefault(value, str(path))
    known = {value: source for value, source in values.items() if _is_secret(value)}
    encoded = {form: source for value, source in known.items() for form in _encoded(value)}
    plain = {form: source for value, source in known.items() for form in _plain(value)}
    return Credentials(needles=plain | encoded, encoded=encoded, unread=tuple(unread))


def _files(environment: Mapping[str, str]) -> Iterator[tuple[Path, re.Pattern[str]]]:
    """Yield each file that may hold credentials, and what in it is one."""
    home = Path(environment.get("HOME") or Path.home())
    kaggle = Path(environment.get("KAGGLE_CONFIG_DIR") or home / ".kaggle")
    for name in ("kaggle.json", "credentials.json"):
        yield kaggle / name, KEYED
    yield kaggle / "access_token", WHOLE
    token = environment.get("KAGGLE_API_TOKEN", "")
    if os.sep in token:  # the variable may name a file instead
        yield Path(token).expanduser(), WHOLE
    for path in (Path(environment.get("NETRC") or home / ".netrc"), home / "_netrc"):
        yield path, NETRC
    faces = Path(environment.get("HF_HOME") or home / ".cache" / "huggingface")
    for folder in (faces, home / ".huggingface"):
        yield folder / "token", WHOLE
    for name in (".pypirc", ".aws/credentials", ".config/gh/hosts.yml", ".docker/config.json"):
        yield home / name, KEYED
    for name in (".git-credentials", ".config/pip/pip.conf", ".pip/pip.conf", ".config/uv/uv.toml"):
        yield home / name, ADDRESS


def _is_secret(value: str) -> bool:
    """Say whether a value is long and varied enough to be looked for, and no path."""
    is_path = value.startswith(("/", "~", "./")) and Path(value).expanduser().exists()
    # Digits and letters in a row stand for a key in examples, and in tables of any program.
    in_a_row = value.lower() in SEQUENCES
    return len(value) >= SHORTEST and len(set(value)) >= DISTINCT and not (is_path or in_a_row)


def _plain(value: str) -> Iterator[bytes]:
    yield value.encode()
    # What UTF-16 of either byte order has in common: a zero between any two characters.
    yield value.encode("utf-16-le").rstrip(b"\0")


def _encoded(value: str) -> Iterator[bytes]:
    """Yield the base64 of a value that stands anywhere in what was encoded.

    Three bytes become four characters, so it depends on what stood before: three forms, without
    the characters that the neighbours decide, too.
    """
    data = value.encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            text = encode(bytes(shift) + data).rstrip(b"=")
            first, last = (8 * shift + 5) // 6, 8 * (shift + len(data)) // 6
            yield text[first:last]
