"""result.json: how the gateway's run ended, and what each kind of failure means."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

NAME = "result.json"
CONNECTION = "SERVER_CONNECTION_FAILED"  # a kind of failure
NEVER_STARTED = "SERVER_NEVER_STARTED"


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a gateway says of its run."""

    succeeded: bool
    error: str = ""  # the kind of failure
    details: str = ""  # which Kaggle shows to the host alone


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of failure: what Kaggle's page says of it, what causes it, and what to change."""

    shown: str
    cause: str
    change: str


KINDS: Mapping[str, Kind] = {
    NEVER_STARTED: Kind(
        shown="the inference server never started",
        cause="No server answered in time, or the notebook had ended.",
        change=(
            "Call serve() on the rerun (KAGGLE_IS_COMPETITION_RERUN is set), before anything slow: "
            "load models in the first call, which has no deadline."
        ),
    ),
    CONNECTION: Kind(
        shown="the connection to the inference server failed",
        cause="The server's process ended between two calls, or was killed for its memory.",
        change="Keep the notebook in serve(); look at its log and its memory above.",
    ),
    "SERVER_RAISED_EXCEPTION": Kind(
        shown="the inference server raised an exception",
        cause="The function that was called raised, or returned what cannot be sent.",
        change="Catch what one row can cause, and answer that row all the same.",
    ),
    "SERVER_MISSING_ENDPOINT": Kind(
        shown="the inference server lacks an endpoint",
        cause="The gateway calls a function by a name that the server was not given.",
        change="Give the server a function of that very name (its __name__ counts).",
    ),
    "GATEWAY_RAISED_EXCEPTION": Kind(
        shown="the gateway raised an exception",
        cause="The host's own code failed, on an answer that it did not expect or on its data.",
        change="Look at the last line of its details, and answer with the type that it expects.",
    ),
    "INVALID_SUBMISSION": Kind(
        shown="the submission is invalid",
        cause="An answer is not what the gateway takes: its type, its rows or its columns.",
        change="Answer each call with a row for each row id, in the columns that are asked for.",
    ),
    "GRPC_DEADLINE_EXCEEDED": Kind(
        shown="a call exceeded its deadline",
        cause="One answer took longer than the host allows; the first call alone may.",
        change="Do less in a call, or move what is done once into the first one.",
    ),
    "UNSPECIFIED": Kind(
        shown="an unspecified error",
        cause="The gateway says nothing more.",
        change="Look at what it printed.",
    ),
}


def read(folder: Path) -> Result | None:
    """Read the result in a gateway's working folder; None where it left none."""
    try:
        content = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict):
        return None
    return Result(
        succeeded=content.get("Succeeded") is True,
        error=str(content.get("ErrorName") or ""),
        details=str(content.get("ErrorDetails") or ""),
    )


def explain(result: Result) -> str:
    """Say what a failure means: what Kaggle would show, the likely cause, what to change."""
    kind = KINDS.get(result.error)
    if kind is None:
        return f"The gateway ended with {result.error or 'an error'}: {result.details[:500]}"
    lines = [
        f"{result.error}. Kaggle's page says no more than that {kind.shown}; the details below are "
        "the host's alone there.",
        f"Likely cause: {kind.cause} {kind.change}",
    ]
    if details := result.details.strip():
        last = details.splitlines()[-1] if "Traceback" in details else details
        lines.append(f"Details: {last[:500]}")
    return "\n".join(lines)


def named_path(result: Result) -> str:
    """Return the path below /kaggle/shared that a failure is about; "" where it names none."""
    found = re.search(r"/kaggle/shared/[^\s'\"]*", result.details)
    return found.group().rstrip(".,:)") if found else ""
