"""Passwords in addresses: taken out of whatever is shown."""

import re

# A user alone is a token as often as not, but for the `git@` of an address for ssh.
IN_ADDRESS = re.compile(r"(\bhttps?://)[^\s/@'\"]+@|(?<=://)[^\s/@:'\"]+:[^\s/@'\"]+@")


def redacted(text: str) -> str:
    """Return a text for a message or a log, its addresses without users and passwords."""
    return IN_ADDRESS.sub(r"\1", text)
