"""What a rehearsal may ask of one of its runs, by an environment variable that nothing else sets.

With a binary output most decisions are 0, so that answers which went to other breasts would look
like the right ones. A run with a threshold in the middle of the probabilities shows them. The
first run of a rehearsal never has the variable: it is as on Kaggle.
"""

import os
from dataclasses import dataclass

from inference.boot.fields import load_json, parse_as
from inference.errors import UsageError

VARIABLE = "RSNA_BUNDLE_REHEARSAL"


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """`threshold` takes the place of the model's own."""

    threshold: float

    def announcement(self) -> str:
        """Return the line of the log that says so."""
        return (
            f"*** REHEARSAL: {VARIABLE} is set. The threshold is {self.threshold:g}, not the "
            "model's: this submission is a test of the runner, and is not to be scored. ***"
        )


def read() -> Rehearsal | None:
    """Return what this run's rehearsal asks for; None where there is none. Raises UsageError."""
    text = os.environ.get(VARIABLE)
    if text is None:
        return None
    try:
        return parse_as(Rehearsal, load_json(text))
    except ValueError as error:
        raise UsageError(
            f"{VARIABLE} is {text[:80]!r}, which is nothing that `rsna-bundle rehearse` sets "
            f"({error}). Unset it."
        ) from error
