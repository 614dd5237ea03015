"""`${VARIABLES}` of the environment, in which passwords belong that no file may hold."""

import os
import re

from bundler.errors import InputError

VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")


def expanded(text: str, where: str) -> str:
    """Return a text with its variables replaced, as pip has it. Raises InputError."""
    for name in VARIABLE.findall(text):
        if name not in os.environ:
            raise InputError(
                f"{where}: the environment variable {name} is not set. Set it, or remove it from "
                "the line."
            )
    return VARIABLE.sub(lambda match: os.environ[match[1]], text)
