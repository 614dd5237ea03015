"""Decide what is uncertain of a competition's profile, and keep it in the settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bundler import hidden, settings_file
from bundler.competition import profile
from bundler.competition.profile import Profile
from bundler.errors import UsageError
from bundler.hidden import MAPPINGS, Hidden

# Which tables there are and what ties their rows; the rest of the profile follows from these.
STRUCTURE = frozenset({"sample", "test", "train", "label_table", "id", "unit"})
FOLLOWING = ("sample", "targets", "labels", "row_id", "derived", "repeat", "tables", "files")
FOLLOWING_TOO = ("label_files", "order")


def apply(options: Sequence[str], own: Hidden) -> Hidden:
    """Return the settings with options of the form key=value; a list is separated by commas.

    An entry of a table is name:value (files=test/{id}.png:train/{id}.png), the values of `repeat`
    are separated by bars. Where an option changes the structure, what follows from it and is not
    set, too, is left out, so that it is inferred anew. Raises UsageError for an unknown key or a
    value of another type.
    """
    values = dict(profile.settings(own))
    given = {option.partition("=")[0] for option in options}
    if given & STRUCTURE:
        values = {
            key: value for key, value in values.items() if key not in (*FOLLOWING, *FOLLOWING_TOO)
        }
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            raise UsageError(f"--set {option}: give it as KEY=VALUE, such as --set id=image_id.")
        _check_value(key, value)
        if key in MAPPINGS:
            values[key] = dict(_pair(item, key) for item in value.split(",") if item)
        else:
            values[key] = _value(key, value)
    return hidden.parse(values, "--set:")


def _check_value(key: str, value: str) -> None:
    """Raise UsageError for an empty value that would bring the guess back without a word."""
    if not value and key != "unit" and key in (*STRUCTURE, *FOLLOWING, *FOLLOWING_TOO):
        raise UsageError(
            f"--set {key}=: a value is missing. What is empty is inferred; to have {key} inferred "
            "anew, use --again."
        )


def _value(key: str, value: str) -> str | list[str] | bool | float:
    default = getattr(Hidden(), key, "")
    if isinstance(default, tuple):
        return [item.strip() for item in value.split(",") if item.strip()]
    if isinstance(default, bool):
        return value.lower() in ("true", "yes", "1")
    if isinstance(default, float):
        try:
            return float(value)
        except ValueError as error:
            raise UsageError(f"--set {key}={value}: it must be a number.") from error
    return value


def _pair(item: str, key: str) -> tuple[str, str | list[str]]:
    name, _, value = item.partition(":")
    return name.strip(), value.split("|") if key == "repeat" else value.strip()


def keep(found: Profile, pyproject: Path) -> None:
    """Write the profile into the settings. Raises CheckError while it is uncertain."""
    found.require_certain()
    settings_file.write_table(pyproject, "hidden", profile.settings(found.hidden))


def choices(found: Profile) -> Mapping[str, Sequence[str]]:
    """Return what to choose from, for each key that is uncertain: what was taken comes first."""
    return {q.key: [option for option in (q.taken, *q.others) if option] for q in found.questions}
