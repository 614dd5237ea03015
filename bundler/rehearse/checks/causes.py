"""From what a failed run printed to why it failed, and how to fix it."""

import re

from bundler.rehearse.checks import missing
from bundler.rehearse.checks.missing import Surroundings

# How a connection fails where there is no network, in Python's words and requests'.
OFFLINE = (
    r"Temporary failure in name resolution|Network is unreachable|Name or service not known"
    r"|Max retries exceeded|No route to host"
)
# Where weights come from: hosts, and the functions that fetch them.
HUBS = r"huggingface\.co|hf_hub_download|download\.pytorch\.org|load_state_dict_from_url"

# The first match counts, so what is more specific stands above what is more general.
CAUSES: tuple[tuple[str, str], ...] = (
    (
        r"(?:setuptools|hatchling|flit_core|poetry-core|wheel)\S* \(from versions: none\)",
        "A source distribution (sdist) is in the bundle, and building it needs the network for "
        "its build requirements. Ship a wheel: `rsna-bundle libs` builds one beforehand.",
    ),
    (
        r"No matching distribution found for (?P<what>[^\s]+)",
        "{what} is needed, and neither the bundle nor the image has it (a transitive requirement "
        "was left out). Run `rsna-bundle libs` again.",
    ),
    (
        r"(?P<what>\S+\.whl) is not a supported wheel on this platform",
        "{what} was built for another Python or platform than the notebook's. Run `rsna-bundle "
        "libs` for the right --target.",
    ),
    (
        r"No space left on device",
        "The disk is full: /kaggle/working holds {working}. Write what is temporary to /tmp.",
    ),
    (
        r"Read-only file system: '(?P<what>/kaggle/input[^']*)'",
        "The run writes into the input ({what}), which is read-only on Kaggle. Write to "
        "/kaggle/working or /tmp.",
    ),
    (
        r"(?:No such file or directory|Permission denied): '(?P<what>(?:/home|/Users|/root|/work"
        r"|/mnt|/data|/media|[A-Z]:\\)[^']*)'",
        "{what} is an absolute path of the laptop; it does not exist on Kaggle. Take paths from "
        "--input and the bundles.",
    ),
    (
        r"--device cuda needs CUDA, but",
        "CUDA was requested, but the CPU would be used: see the message above.",
    ),
    (
        # A hub alone is no cause: a traceback may pass through it for a file that is missing here.
        rf"(?s)LocalEntryNotFoundError|(?=.*(?:{HUBS}))(?=.*(?:{OFFLINE}))",
        "The run downloads a pretrained model (`pretrained=True` or the hub), which fails without "
        "internet. The weights must come with the model bundle.",
    ),
    (OFFLINE, "The run needs the network, which is off."),
    (
        r"(?P<what>lib[\w+.-]+\.so[.\d]*): cannot open shared object file",
        "The system library {what} is not there. Where a package of the bundle needs it, choose "
        "one that brings it along (opencv-python-headless needs no libGL).",
    ),
    (
        r"CUDA out of memory|CUDNN_STATUS_ALLOC_FAILED|Failed to allocate memory for requested",
        "The GPU's memory is full: use smaller batches, float16, or free what is not needed.",
    ),
    (r"exit code -9|DeadKernelError|Kernel died", "A process was killed from outside."),
    (r"exit code 6\b", "Too many images could not be read."),
    (r"exit code 7\b", "The time limit was passed."),
)

TRACEBACK = re.compile(r"^[ \t]*(?:Original )?Traceback \(most recent call last\):", re.MULTILINE)
# `inference.launch` repeats the last lines, indented and perhaps without their beginning.
REPEATED = re.compile(r"^error: The command .* Its last lines:\n(?:  .*\n?)*", re.MULTILINE)
# What Python prints between the tracebacks of one error: its cause first, then what it led to.
CHAINED = re.compile(
    r"During handling of the above exception|The above exception was the direct cause"
)


def explain(log: str, surroundings: Surroundings) -> str | None:
    """Return in a line why a run failed, by the last error that its log shows, or None."""
    error = last_error(log)
    for pattern, cause in CAUSES:
        if match := re.search(pattern, error):
            return cause.format(working=surroundings.working, **match.groupdict())
    return missing.explain(error, surroundings)


def last_error(log: str) -> str:
    """Return a log from its last traceback on, with those that led to it; all where it has none.

    What stands before was survived: a warning about a download, a traceback that was caught.
    """
    log = REPEATED.sub("", log)
    starts = [match.start() for match in TRACEBACK.finditer(log)]
    if not starts:
        return log
    first = starts.pop()
    while starts and CHAINED.search(log, starts[-1], first):
        first = starts.pop()
    return log[first:]
