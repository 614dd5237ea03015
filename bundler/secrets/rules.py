"""The rules: Kingfisher's for the known services, and ours beside them, in one pass.

`kingfisher_sdk` (MongoDB, Apache-2.0) holds the rules of Betterleaks, the successor of gitleaks,
and an engine that looks for all at once. It is used for looking alone: nothing is sent anywhere.
"""

import functools
import importlib.resources
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler import cache
from bundler.errors import BundlerError
from bundler.secrets import refine

if TYPE_CHECKING:
    from kingfisher_sdk import Rules, Scanner

OWN = "custom."  # how the engine begins the ids of our rules
# Rules that match ordinary text: ours for addresses is stricter, and words begin like the other's.
IGNORED = {"betterleaks.generic-credential-uri", "betterleaks.brave-search-api-key"}


@dataclass(frozen=True, kw_only=True)
class Match:
    """What a rule found in some bytes: what it looks like, and where it begins."""

    what: str
    start: int
    is_own: bool


def find(text: bytes, *, encoded: bool) -> Iterator[Match]:
    """Yield what looks like a secret; with `encoded`, in base64 too. Raises BundlerError.

    The engine ignores comments such as `gitleaks:allow`: only our own marker exempts a line.
    """
    try:
        found = _scanner(encoded).scan(text)
    except (RuntimeError, TimeoutError, ValueError, MemoryError) as error:
        # Its message may repeat what it read.
        raise BundlerError(
            f"The search for secrets failed ({type(error).__name__}). Nothing was bundled or "
            "sent; run it again, and report this if it fails again."
        ) from None
    for one in found:
        # What is not visible is a part of a pair, such as a user name, and no secret alone.
        if not one.visible or one.rule_id in IGNORED:
            continue
        start, end = one.location["start_offset"], one.location["end_offset"]
        is_own = one.rule_id.startswith(OWN)
        rule = one.rule_id.removeprefix(OWN)
        if is_own and not one.is_base64_encoded and not refine.is_secret(rule, text, start, end):
            continue
        yield Match(what=one.rule_name if is_own else _name(rule), start=start, is_own=is_own)


def _name(rule: str) -> str:
    """Return a rule's id as words: `betterleaks.github-pat.1` → `github pat`."""
    words = rule.rpartition("/")[2].removeprefix("betterleaks.").rstrip(".0123456789")
    return words.replace("-", " ").replace(".", " ")


@functools.cache
def _rules() -> "Rules":
    from kingfisher_sdk import Rules

    # Compiled once for each version of the rules, which takes seconds; kept beside the wheels.
    own = os.environ.get("KF_RULE_CACHE_DIR")
    folder = None if own else cache.root() / "rules"
    source = importlib.resources.files("bundler.secrets") / "rules.toml"
    with importlib.resources.as_file(source) as path:
        return Rules([path], cache_dir=folder)


@functools.cache
def _scanner(encoded: bool) -> "Scanner":
    from kingfisher_sdk import DetectionPolicy, Scanner

    policy = DetectionPolicy(
        inline_ignores=False,
        markup_context=False,
        base64_max_depth=2,
        base64_max_input_bytes=None,
    )
    return Scanner(_rules(), base64=encoded, policy=policy)
