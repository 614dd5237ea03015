"""Progress that a test can read afterwards."""

import contextlib
from collections.abc import Iterator

from bundler.progress import Advance, Progress


class Recorder(Progress):
    """Keeps every text, and the units that each bar came to."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.bars: dict[str, int] = {}
        self.closed = False

    def step(self, text: str) -> None:
        self.texts.append(text)

    def note(self, text: str) -> None:
        self.texts.append(text)

    def warn(self, text: str) -> None:
        self.texts.append(text)

    @contextlib.contextmanager
    def bar(self, text: str, total: int | None, unit: str = "B") -> Iterator[Advance]:
        self.texts.append(text)
        self.bars.setdefault(text, 0)

        def advance(count: int) -> None:
            self.bars[text] += count

        yield advance

    def close(self) -> None:
        self.closed = True
