"""Decoding beside predicting, in bounded memory.

Worker processes load the images; this process gathers them into batches and hands these to one
thread per copy of the models (a GPU each, or the CPU). At any time there are a few images with
each worker and two batches with each copy, however many images there are.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from inference.deadline import Deadline
from inference.interrupts import Interrupted
from inference.journal import Journal
from inference.order import Agenda
from inference.outcome import Outcome
from inference.pixels.errors import ImageError
from inference.pixels.loading import Loaded
from inference.pixels.preprocess import PreprocessConfig
from inference.predict import Replica
from inference.predictor import Batch, Item, Predictor
from inference.submission import TestImage
from inference.workers import WORTH_A_SECOND_TRY, Result, Task, Workers, load_all

COARSE_MARGIN = 0.5  # of the input's size is decoded where time is short; the rest is enlarged
# Second tries in a row that fail before the others are not made: the fault is no accident then.
HOPELESS = 20


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How the images are predicted; `order` is theirs, by index (None: the table's)."""

    batch_size: int
    flip: bool = False  # average each image with its mirror image
    order: Sequence[int] | None = None
    progress: Callable[[Outcome], None] = lambda outcome: None


def run(
    images: Sequence[TestImage],
    replicas: Sequence[Replica],
    workers: Workers,
    settings: Settings,
    *,
    deadline: Deadline | None = None,
) -> Outcome:
    """Predict every image with every model and average the models' probabilities.

    Each file is read once, whatever the number of models. Where `deadline` is over, the images
    that are left are in `skipped`.
    """
    outcome = attempt(images, replicas, workers, settings, deadline=deadline)
    if outcome.error:
        raise outcome.error
    return outcome


def attempt(
    images: Sequence[TestImage],
    replicas: Sequence[Replica],
    workers: Workers,
    settings: Settings,
    *,
    deadline: Deadline | None = None,
    journal: Journal | None = None,
) -> Outcome:
    """Do what `run` does, but keep what was predicted before an error or a signal, in `error`.

    What the journal holds is not predicted again, and what is predicted goes into it.
    """
    outcome = Outcome(total=len(images), workers=workers.count)
    try:
        _Run(
            images=images,
            replicas=replicas,
            workers=workers,
            settings=settings,
            outcome=outcome,
            deadline=deadline or Deadline(),
            journal=journal,
        ).predict()
    except (Exception, Interrupted) as error:  # noqa: BLE001 - whatever it is, what was predicted stays
        outcome.end_early(error)
    outcome.peak_rss_bytes = workers.peak_rss
    return outcome


@dataclass(frozen=True, kw_only=True)
class _Run:
    """The parts of one run."""

    images: Sequence[TestImage]
    replicas: Sequence[Replica]
    workers: Workers
    settings: Settings
    outcome: Outcome
    deadline: Deadline
    journal: Journal | None

    def predict(self) -> None:
        """Resume what the journal holds, and load and predict the rest."""
        for prediction in self.journal.predictions if self.journal else ():
            self.outcome.add(prediction)
        self.outcome.resumed = self.outcome.seen
        self.deadline.begin(self.outcome.resumed)
        order = self.settings.order
        keys = range(self.outcome.total) if order is None else order
        resumed = set(self.outcome.probabilities)
        agenda = Agenda(self.images, (key for key in keys if key not in resumed), resumed)
        batches: dict[bool, Batch] = {}
        with Predictor(
            self.images, self.replicas, self.outcome, self.journal, self.settings.flip
        ) as predictor:
            for item in self._load(agenda):
                coarse = item.key in self.outcome.coarse
                batch = batches.setdefault(coarse, Batch(coarse=coarse))
                batch.items.append(item)
                if len(batch.items) >= self.settings.batch_size:
                    predictor.submit(batches.pop(coarse))
            for batch in batches.values():
                predictor.submit(batch)
        self.settings.progress(self.outcome)

    def _load(self, agenda: Agenda) -> Iterator[Item]:
        """Load images, beside each other and then, where that failed by accident, one by one."""
        again: list[Result] = []
        for result in load_all(self.workers, self._tasks(agenda)):
            self.settings.progress(self.outcome)
            if isinstance(result.loaded, Loaded):
                agenda.note_loaded(result.key)
                yield self._item(result, result.loaded)
                continue
            agenda.note_failed(result.key)
            if result.loaded.kind in WORTH_A_SECOND_TRY:
                again.append(result)
            else:
                self.outcome.failures[result.key] = result.loaded
        failed = 0
        again.sort(key=lambda result: _kind(result) == "timeout")  # which take longest, come last
        for result in again:
            if failed < HOPELESS and self._pace() != "over":
                result = self.workers.load_alone(self._task(result.key))
            self.settings.progress(self.outcome)
            if isinstance(result.loaded, Loaded):
                failed = 0
                yield self._item(result, result.loaded)
            else:
                failed += 1
                self.outcome.failures[result.key] = result.loaded

    def _tasks(self, agenda: Agenda) -> Iterator[Task]:
        """Yield a task an image, as fine as the time that is left allows when it is drawn."""
        for key in agenda:
            pace = self._pace()
            if pace == "over":
                self.outcome.skipped += [key, *agenda]
                return
            if pace == "coarse":
                self.outcome.coarse.add(key)
            yield self._task(key)

    def _task(self, key: int) -> Task:
        configs = tuple(model.preprocess for model in self.replicas[0])
        if key in self.outcome.coarse:
            coarse: PreprocessConfig = replace(configs[0], decode_margin=COARSE_MARGIN)
            configs = (coarse,)
        return Task(key=key, path=self.images[key].path, configs=configs)

    def _pace(self) -> str:
        return self.deadline.pace(self.outcome.seen, self.outcome.total)

    def _item(self, result: Result, loaded: Loaded) -> Item:
        for stage, seconds in loaded.seconds.items():
            self.outcome.seconds[stage] += seconds
        return Item(key=result.key, loaded=loaded, file=result.file)


def _kind(result: Result) -> str:
    return result.loaded.kind if isinstance(result.loaded, ImageError) else ""
