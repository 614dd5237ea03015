"""Execute a notebook with a given Python, as `python -m bundler.notebook.execute`."""

import argparse
import json
import os
import sys
import tempfile
from collections import defaultdict, deque
from pathlib import Path
from typing import Any

KERNEL = "rsna-bundle"
HEAD, TAIL = 1 << 18, 1 << 20  # characters of what a cell prints that are kept


def execute(notebook: Path, executed: Path, python: str) -> None:
    """Execute `notebook` in the working folder, print its output, and save it as `executed`.

    `python` needs ipykernel. Raises nbclient's CellExecutionError where a cell fails; what
    was executed until then is saved all the same.
    """
    import nbformat
    from nbclient import NotebookClient

    printed: defaultdict[int, Printed] = defaultdict(Printed)

    class Client(NotebookClient):
        """A client that does not keep all that a cell prints."""

        def output(self, outs: list[Any], msg: Any, display_id: Any, cell_index: int) -> Any:
            made = super().output(outs, msg, display_id, cell_index)
            if made and made["output_type"] == "stream":
                printed[cell_index].shorten(outs, made)
            return made

    document = nbformat.read(notebook, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        _write_kernel(Path(folder), python)
        os.environ["JUPYTER_PATH"] = folder
        client: Any = Client(
            document,
            kernel_name=KERNEL,
            timeout=None,
            # What was printed may still be on its way when a cell has ended: 4 s, the default, lose
            # the end of a long output on a busy machine.
            iopub_timeout=600,
            on_cell_executed=_show,
        )
        try:
            client.execute(cwd=os.getcwd())
        finally:
            nbformat.write(document, executed)


class Printed:
    """What one cell printed: its beginning and its end; of the middle, how much there was."""

    def __init__(self) -> None:
        self._head = self._size = self._left_out = 0  # characters
        self._tail: deque[Any] = deque()
        self._note: Any = None  # the output that stands for the middle

    def shorten(self, outputs: list[Any], latest: Any) -> None:
        """Drop from a cell's outputs, in place, what the latest one pushes out of the end."""
        if self._head < HEAD:
            self._head += len(latest["text"])
            if self._head <= HEAD:
                return
            # Jupyter gathers prints: one output may hold beginning, middle and end.
            rest = dict(latest, text=latest["text"][HEAD - self._head :])
            latest["text"] = latest["text"][: HEAD - self._head]
            latest = type(latest)(rest)
            outputs.append(latest)
        self._tail.append(latest)
        self._size += len(latest["text"])
        while self._size > TAIL:
            dropped = min(self._size - TAIL, len(self._tail[0]["text"]))
            self._drop(outputs, dropped)

    def _drop(self, outputs: list[Any], count: int) -> None:
        """Drop the first characters of the end."""
        first = self._tail[0]
        if self._note is None:
            self._note = type(first)(dict(first))
            outputs.insert(_index(outputs, first), self._note)
        first["text"] = first["text"][count:]
        self._size -= count
        self._left_out += count
        self._note["text"] = f"\n[{self._left_out / 1e6:.1f} MB left out]\n"
        if not first["text"]:
            self._tail.popleft()
            del outputs[_index(outputs, first)]


def _index(outputs: list[Any], wanted: Any) -> int:
    """Return where an output is, by identity: two of the same text are equal."""
    return next(number for number, one in enumerate(outputs) if one is wanted)


def _write_kernel(folder: Path, python: str) -> None:
    kernel = folder / "kernels" / KERNEL
    kernel.mkdir(parents=True)
    # Frozen modules would make the kernel's debugger print a warning into the notebook.
    options = ["-X", "frozen_modules=off"]
    arguments = [python, *options, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": arguments, "display_name": KERNEL, "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))


def _show(cell: Any, execute_reply: Any, **_: Any) -> None:
    for output in cell.get("outputs", ()):
        if output["output_type"] == "stream":
            print(output["text"], end="", flush=True)


def main() -> int:
    """Parse the command line, execute, and turn a failed cell into exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m bundler.notebook.execute", description=__doc__)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("executed", type=Path, help="where the executed notebook goes")
    parser.add_argument("--python", default=sys.executable, help="the Python of the kernel")
    options = parser.parse_args()
    from nbclient.exceptions import CellExecutionError

    try:
        execute(options.notebook, options.executed, options.python)
    except CellExecutionError as error:
        print(f"{options.notebook}: a cell failed: {error.ename}: {error.evalue}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
