"""Texts that come from elsewhere, made safe for a terminal."""

import re

# CSI and OSC sequences, other escapes of two characters, and what is left of control characters.
SEQUENCES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -~]?")
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """Return a text without colours, moves of the cursor, titles, or reversed writing.

    Of a line that was overwritten, as by a progress bar, the last state is kept.
    """
    lines = SEQUENCES.sub("", text).split("\n")
    return "\n".join(CONTROLS.sub("", line.rstrip("\r").rpartition("\r")[2]) for line in lines)
