"""The notebook's second cell: find → verify → install → run a command, and leave run.json.

`python -m inference.launch [OPTION…] -- COMMAND…`. The command is run in the working folder; it
finds the folders of the bundles and of the competition in `RSNA_BUNDLE_{MODEL,CODE,COMPETITION,
INPUT}`, the tree and the wheels on its `PYTHONPATH`. The standard library only.
"""

import argparse
import shlex
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.boot import bundle as bundles
from inference.boot import (
    command,
    competition,
    environment,
    hints,
    mount_options,
    prepare,
    processes,
)
from inference.boot.command import Ended, Signals
from inference.boot.environment import Surroundings
from inference.boot.prepare import Request
from inference.boot.record import Recorder
from inference.errors import OutOfTimeError, RunError, UsageError

RUNNER = ("python", "-m", "inference.run")  # the command where none is named
WORKING = Path("/kaggle/working")
FAULT_OF_OURS = 70
LAST_LINES = 12  # of the command's output that its error repeats
Seen = Mapping[Path, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says."""

    input: Path
    competition: str | None
    scratch: Path
    working: Path
    time_limit: float | None
    expected_ids: Mapping[str, str]
    command: tuple[str, ...]

    @property
    def is_runner(self) -> bool:
        """Say whether the command is the runner in the box, which wants a model bundle."""
        return self.command[: len(RUNNER)] == RUNNER


class CommandFailedError(RunError):
    """The command ended with an exit code of its own, which becomes this one's."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the notebook's command and return its exit code; expected errors become one message."""
    try:
        options = parse(arguments)
        with Signals().caught() as signals:
            return launch(options, signals)
    except RunError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return error.exit_code


def launch(options: Options, signals: Signals) -> int:
    """Prepare, run the command, and keep run.json true to what is going on."""
    recorder = Recorder(options.working, options.expected_ids, shlex.join(options.command))
    try:
        run(options, signals, recorder)
    except RunError as error:
        recorder.ended(error.exit_code, str(error))
        raise
    except Exception as error:  # noqa: BLE001 - a fault of ours, the one case with a traceback
        traceback.print_exc()
        recorder.ended(FAULT_OF_OURS, repr(error))
        return FAULT_OF_OURS
    recorder.ended(0)
    return 0


def run(options: Options, signals: Signals, recorder: Recorder) -> None:
    """Find, verify and install, run the command, and look at what it left."""
    start = prepare.started()  # of the first launch, where the notebook starts it once more
    end_orphans(options.scratch)
    around = find(options)
    recorder.prepared(around.prepared.ids, around.mounts())
    arguments = environment.resolve(options.command, around.code / "tree", options.working)
    print(f"+ {shlex.join(arguments)}  (after {time.monotonic() - start:.1f} s)", flush=True)
    before = submissions(options.working)
    # A `run` that the settings name is the tree's, even where it is called inference.run.
    runner_first = options.is_runner and around.prepared.code.code.run is None
    limit = options.time_limit  # it counts from the start, the install included
    ended = command.run(
        arguments,
        environment.variables(around, start=start, runner_first=runner_first),
        options.working,
        signals,
        mark=processes.mark(options.scratch),
        limit=None if limit is None else limit - (time.monotonic() - start),
        watch=recorder.refresh,
    )
    check_ended(ended, options, around.prepared.model_folder)
    check_submission(options, around, before, recorder)


# --- the steps ---


def end_orphans(scratch: Path) -> None:
    """End what a launch that was killed has left running: it would take memory and time."""
    if orphans := processes.end_orphans(scratch):
        print(f"note: ended {len(orphans)} processes that an earlier run had left.", flush=True)


def find(options: Options) -> Surroundings:
    """Verify the bundles, install the wheels, and find what the command needs. Raises RunError."""
    prepared = prepare.prepare(
        Request(
            input=options.input,
            scratch=options.scratch,
            expected_ids=options.expected_ids,
            needs_model=options.is_runner,
        )
    )
    code = bundles.code_folder(prepared.code, options.scratch)
    if not code.is_dir():  # in the notebook, the first cell has unpacked it
        bundles.unpack_code(prepared.code, options.scratch)
    held = competition.find(options.input, options.competition)
    return Surroundings(
        prepared=prepared,
        code=code,
        competition=held,
        input=options.input,
        scratch=options.scratch,
    )


def check_ended(ended: Ended, options: Options, model: Path | None) -> None:
    """Raise for a command that did not end well, with the last lines that it wrote."""
    if ended.leftovers:
        print(f"note: the command left {ended.leftovers} processes running; they were ended.")
    last = "".join(f"\n  {line}" for line in ended.tail.splitlines()[-LAST_LINES:])
    if ended.timed_out:
        raise OutOfTimeError(
            f"The command was ended after the time limit of {options.time_limit:.0f} s. "
            f"Its last lines:{last}"
        )
    if ended.interrupted_by is not None:
        raise command.InterruptedByError(ended.interrupted_by)
    if ended.exit_code:
        raise CommandFailedError(
            f"The command {reason(ended)}. Its last lines:{last}"
            f"{hints.missing_package(ended.tail)}{hints.misplaced_model_file(ended.tail, model)}",
            ended.exit_code,
        )


def reason(ended: Ended) -> str:
    """Return how a command failed, for people."""
    if ended.signal:
        return f"was ended by {hints.signal_name(ended.signal)}"
    # A shell in between (`bash run.sh`) says by 128 and its number which signal ended a program.
    by_signal = hints.signal_name(ended.exit_code - 128) if ended.exit_code > 128 else ""
    return f"ended with exit code {ended.exit_code}" + (f": {by_signal}" if by_signal else "")


def submissions(folder: Path) -> Seen:
    """Return the submission files in a folder, with what tells a new one from an old one."""
    seen = {}
    for path in folder.glob("submission.*"):
        if path.is_file():
            stat = path.stat()
            seen[path] = (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return seen


def check_submission(
    options: Options, around: Surroundings, before: Seen, recorder: Recorder
) -> None:
    """Note the submission that the command left; raise where it left none, or an old one only."""
    suffixes = competition.submission_suffixes(around.competition)
    after = submissions(options.working)
    written = [path for path, state in after.items() if before.get(path) != state]
    # No more than the suffix in common may be a backup, or a table of something else.
    names = [f"submission{suffix}" for suffix in suffixes]
    fitting = [path for name in names for path in written if path.name == name]
    if fitting:
        recorder.submitted(fitting[0])
        return
    if competition.has_gateway(around.competition):
        return  # on the rerun the competition's own gateway writes what counts
    folders = [around.code / "tree", options.working, options.scratch]
    wanted = " or ".join(names)
    raise RunError(
        f"The command ended with exit code 0, but wrote no {wanted} to {options.working}"
        + hints.written_elsewhere(suffixes, folders)
        + ". Write it to the folder in which the command is started."
    )


# --- the command line ---


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Parse the command line. Raises UsageError."""
    values = mount_options.parsed(vars(_parser().parse_args(arguments)))
    command = values.pop("command")
    values["command"] = tuple(command[1:] if command[:1] == ["--"] else command) or RUNNER
    limit = values["time_limit"]
    if limit is not None and not 0 < limit < float("inf"):
        raise UsageError(f"--time-limit {limit} is not a number of seconds above 0.")
    return Options(**values)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m inference.launch", description=__doc__, parents=[mount_options.parser()]
    )
    add: Any = parser.add_argument
    add(
        "--working",
        type=Path,
        metavar="DIR",
        default=WORKING if WORKING.is_dir() else Path.cwd(),
        help=f"where the command is run (default: {WORKING}, or else the current folder)",
    )
    add("--time-limit", type=float, metavar="SECONDS", help="after which the command is ended")
    add("command", nargs=argparse.REMAINDER, metavar="-- COMMAND…", help="what is run")
    return parser


if __name__ == "__main__":
    sys.exit(main())
