"""Whether what a rule of ours matched is a secret, or a placeholder and code that looks like one.

An engine that reads gigabytes a second knows no look-ahead; what is left for Python are a few
matches.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping

# What documentation and tests write where a secret would stand.
PLACEHOLDER = re.compile(
    r"your|example|change.?me|placeholder|dummy|insert|replace|redact|todo|fake|sample|mock"
    r"|password|passwd|secret|s3cr3t|token|credential|undefined|default|x{4}|\*{3}|\.{3}|-{3}|_{3}"
    r"|(?:api|access|auth).?key|12345|abcdef",
    re.IGNORECASE,
)
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z_]*(?:[.\-/:][A-Za-z_]+)*")  # words: nothing random
REST_OF_LINE = re.compile(r"[ \t]*(?:$|[\n\r\v#,])")
HEX = re.compile(r"[0-9a-fA-F-]+")
RANDOM_HEX, RANDOM = 3.0, 3.5  # bits for each character, of 16 or more
# A path, an address, a variable of the shell.
PATHS = re.compile(r"(?:\$|\.{0,2}/|~/|[A-Za-z]:\\|https?:|s3:|gs:|file:)")


def entropy(text: str) -> float:
    """Return Shannon's entropy in bits for each character."""
    counts = Counter(text).values()
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts)


def is_token(value: str) -> bool:
    """Say whether a literal may be a key: letters and digits as if at random."""
    if PLACEHOLDER.search(value) or PATHS.match(value) or IDENTIFIER.fullmatch(value):
        return False
    if HEX.fullmatch(value):  # a UUID, too: many services take one for a key
        return len(value) >= 24 and entropy(value) >= RANDOM_HEX
    digits = sum(map(str.isdigit, value))
    letters = sum(map(str.isalpha, value))
    return digits >= 2 and letters >= 4 and entropy(value) >= RANDOM


def is_password(value: str) -> bool:
    """Say whether a literal may be a password: at least three kinds of characters, no word."""
    if PLACEHOLDER.search(value) or PATHS.match(value) or IDENTIFIER.fullmatch(value):
        return False
    kinds = (r"[a-z]", r"[A-Z]", r"\d", r"[^A-Za-z\d]")
    used = sum(bool(re.search(kind, value)) for kind in kinds)
    return (used >= 3 or (used == 2 and len(value) >= 10)) and entropy(value) >= 2.5


def is_varied(value: str) -> bool:
    """Say whether what stands where a password does may be one: no word for it, no `aaaa`."""
    is_word = PLACEHOLDER.search(value) or re.search(r"(?i)^pass|^pwd|pass$", value)
    return not is_word and len(set(value)) >= 5


def _bare(check: Callable[[str], bool]) -> Callable[[str], bool]:
    # Without quotes, an attribute, a call's name or a path of the code looks much the same.
    return lambda value: check(value) and not re.fullmatch(r"[a-z_.]+\d{0,2}[a-z_.]*", value)


# Rule → what its match must be; other rules' matches say enough by themselves.
CHECKS: Mapping[str, Callable[[str], bool]] = {
    "quoted-token": is_token,
    "quoted-password": is_password,
    "bare-token": _bare(is_token),
    "bare-password": _bare(is_password),
    "authorization-header": is_token,
    "docker-auth": is_token,
    "netrc-password": is_varied,
    "password-in-address": lambda value: (
        is_varied(value) and not re.fullmatch(r"[A-Z_]+|.*%[sdr]", value)
    ),
    "aws-access-key-id": lambda value: not value.endswith("EXAMPLE"),
    "kaggle-key": lambda value: entropy(value) > 2.0,
}


def is_secret(rule: str, text: bytes, start: int, end: int) -> bool:
    """Say whether a match of one of our rules is a secret; `start` and `end` are its bytes."""
    check = CHECKS.get(rule)
    if check is None:
        return True
    if rule.startswith("bare-"):
        after = text[end : end + 80].decode("utf-8", "replace")
        if not REST_OF_LINE.match(after):
            return False
    return check(text[start:end].decode("utf-8", "replace"))
