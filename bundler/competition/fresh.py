"""New ids that look like those they replace."""

import random
import re
import string

from bundler.competition.units import rank

UID = re.compile(r"\d+(\.\d+){3,}")
HEXADECIMAL = re.compile(r"(?=.*\d)([0-9a-f]{6,}|[0-9A-F]{6,})")
ENOUGH_DIGITS = 4  # fewer would soon give an id that is taken
ADDED_DIGITS = 6


def like(value: str, seed: str, *, words: bool = False) -> str:
    """Return another id of the same form: digits for digits, hexadecimal for hexadecimal.

    The same value and seed give the same id. Words stay (`case12_day3`), unless `words` asks for
    other letters, since they may tell the answer.
    """
    draw = random.Random(rank(f"{value}\0{seed}", 0))
    if UID.fullmatch(value):
        root, _, last = value.rpartition(".")
        size = max(len(last), ADDED_DIGITS)
        return f"{root}.{draw.randrange(10 ** (size - 1), 10**size)}"
    if HEXADECIMAL.fullmatch(value) and not value.isdigit():
        return "".join(draw.choice("0123456789abcdef") for _ in value).translate(_case(value))
    form = _widened(value)
    return "".join(_character(form, at, draw, words=words) for at in range(len(form)))


def with_zeros(value: str, seed: str) -> str:
    """Return an id of digits that begins with zeros, which only text keeps whole."""
    draw = random.Random(rank(f"{value}\0{seed}", 0))
    return "00" + "".join(draw.choice("123456789") for _ in range(max(len(value), 5) - 2))


def _case(value: str) -> dict[int, int]:
    upper = value.upper() == value
    return str.maketrans("abcdef", "ABCDEF") if upper else {}


def _widened(value: str) -> str:
    """Return the value with more digits where it has few."""
    if sum(c.isdigit() for c in value) >= ENOUGH_DIGITS:
        return value
    runs = list(re.finditer(r"\d+", value))
    if not runs:
        return value + "9" * ADDED_DIGITS
    last = runs[-1]
    return value[: last.start()] + "9" * ADDED_DIGITS + value[last.end() :]


def _character(form: str, at: int, draw: random.Random, *, words: bool) -> str:
    old = form[at]
    if old.isdigit():
        first = at == 0 or not form[at - 1].isdigit()
        if first and old == "0":
            return "0"  # ids of fixed width stay so
        return draw.choice("123456789" if first else string.digits)
    if words and old in string.ascii_letters:
        return draw.choice(string.ascii_lowercase if old.islower() else string.ascii_uppercase)
    return old
