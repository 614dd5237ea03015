"""A table of mammograms → a submission: what the runner does once the wheels are installed."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from inference import (
    averaging,
    console,
    golden,
    order,
    pipeline,
    rehearsal,
    report,
    submission,
    workers,
)
from inference import predict as sessions
from inference.boot import competition
from inference.boot.card import Card
from inference.boot.prepare import Prepared
from inference.deadline import Deadline
from inference.errors import RunError
from inference.interrupts import Interrupted
from inference.journal import Journal, Key, open_journal
from inference.log import say
from inference.options import FINISH_ANYWAY, STRICT, Options, is_rerun
from inference.outcome import Outcome
from inference.output import FALLBACKS, PARTIAL, Output, digest_of
from inference.predict import Replica
from inference.rehearsal import Rehearsal
from inference.report import Report
from inference.submission import Table
from inference.verdict import Rule, Verdict, judge

REPORT_SPACE = 1 << 16  # bytes for what submission.json says at the end, but for names of images
NAME_SPACE = 16  # bytes beside an image's name
UNFINISHED = RunError("The run has not come to its end.")


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What is predicted, with what, and by which rules."""

    options: Options
    prepared: Prepared
    table: Table
    card: Card
    deadline: Deadline
    start: float
    rehearsal: Rehearsal | None  # what its rehearsal asks of this run


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """What became of the images; without models where these could not be opened."""

    outcome: Outcome
    models: Replica = ()
    journal: Journal | None = None


@dataclass(frozen=True, kw_only=True)
class Composed:
    """What the two files say, and whether that is a submission."""

    csv: bytes
    report: Report
    verdict: Verdict


def set_up(options: Options, prepared: Prepared, start: float) -> Setup:
    """Read the table, and how the models want to be used. Raises RunError."""
    card = sessions.agreed(prepared.require_model().model.models)
    if asked := rehearsal.read():
        say(asked.announcement())
        card = replace(card, threshold=asked.threshold)
    return Setup(
        options=options,
        prepared=prepared,
        table=submission.read_table(competition.find(options.input, options.competition)),
        card=card,
        deadline=Deadline(limit=options.time_limit, at=options.at_deadline, start=start),
        start=start,
        rehearsal=asked,
    )


def begin(setup: Setup, files: Output) -> None:
    """Reserve the submission's space, and write it with the fallback for every row."""
    seed = _compose(setup, Predicted(outcome=_nothing(setup)), UNFINISHED)
    text = submission.json_text(seed.report)
    images = setup.table.images
    fallbacks = dict.fromkeys((image.prediction_id for image in images), 0.0)
    names = sum(len(image.image_id) + NAME_SPACE for image in images)
    files.reserve(submission.csv_size(fallbacks), len(text) + REPORT_SPACE + names)
    if setup.options.seed:
        files.seed(seed.csv, text)


def predict(setup: Setup, files: Output, installed: float) -> Predicted:
    """Predict all images that time allows; what ends it early is in the outcome's `error`."""
    models: Replica = ()
    journal, replayed = None, 0.0
    progress = console.Progress(setup.deadline)
    try:
        with workers.Workers(setup.options.workers or workers.default_count()) as decoding:
            model = setup.prepared.require_model()
            replicas = sessions.load(model, setup.options.device)
            models = replicas[0]
            opened = time.monotonic()
            say(golden.replay(model, models, decoding).summary())
            replayed = time.monotonic() - opened
            say(console.banner(setup.prepared, replicas, setup.table))
            journal = _open_journal(setup, files, models)
            outcome = pipeline.attempt(
                setup.table.images,
                replicas,
                decoding,
                pipeline.Settings(
                    batch_size=models[0].batch_size,
                    flip=setup.options.flip,
                    order=order.by_breast(setup.table.images),
                    progress=progress,
                ),
                deadline=setup.deadline,
                journal=journal,
            )
    except (Exception, Interrupted) as error:  # noqa: BLE001 - `conclude` judges it
        outcome = _nothing(setup)
        outcome.end_early(error)
    progress.close()
    outcome.seconds |= {"install": installed, "replay": replayed}
    return Predicted(outcome=outcome, models=models, journal=journal)


def conclude(setup: Setup, files: Output, predicted: Predicted) -> None:
    """Write what was predicted, whatever it is; raise where that is no submission."""
    composed = _compose(setup, predicted)
    text, reason = submission.json_text(composed.report), composed.verdict.reason
    if setup.options.seed and composed.verdict.state == FALLBACKS:
        files.discard(text)
    elif setup.options.seed or not reason:
        files.write(composed.csv, text)
        probabilities = _probabilities(predicted)
        files.write_images(submission.images_text(setup.table.images, probabilities))
        say(report.closing(composed.report, setup.options.output))
    if predicted.journal:
        predicted.journal.close(remove=not reason)
    if reason:
        raise reason
    for warning in composed.verdict.warnings:
        say(f"warning: {warning}", error=True)
    if predicted.outcome.error:
        say(f"warning: The run ended early: {composed.report.error}", error=True)


def _probabilities(predicted: Predicted) -> Mapping[int, float]:
    """Return each image's number: the models' mean, or of their ranks among all that there are."""
    outcome = predicted.outcome
    # By the files' own cards, as the predictor kept what the ranks are taken of.
    if not predicted.models or predicted.models[0].card.average == "weighted":
        return outcome.probabilities
    return averaging.rank(outcome.members, [model.card.weight for model in predicted.models])


def _compose(setup: Setup, predicted: Predicted, unfinished: RunError | None = None) -> Composed:
    """Return what the files say; `unfinished` while the run goes on."""
    images, outcome, card = setup.table.images, predicted.outcome, setup.card
    outcome.seconds["total"] = time.monotonic() - setup.start
    breasts = submission.aggregate(
        images, _probabilities(predicted), card.aggregation, outcome.suspicious
    )
    predictions, fallbacks = submission.decide(
        breasts, output=card.output, threshold=card.threshold, prevalence=card.prevalence
    )
    verdict = judge(images, outcome, fallbacks, _rule(setup.options), setup.deadline)
    if unfinished:
        state = FALLBACKS if verdict.state == FALLBACKS else PARTIAL
        verdict = replace(verdict, state=state, reason=unfinished)
    csv = submission.csv_text(predictions)
    is_written = unfinished or verdict.state != FALLBACKS
    built = report.build(
        report.Run(
            prepared=setup.prepared,
            images=images,
            deadline=setup.deadline,
            rehearsal=setup.rehearsal,
        ),
        predicted.models,
        outcome,
        verdict,
        predictions,
        fallbacks,
        csv_sha256=digest_of(csv) if is_written else None,
    )
    return Composed(csv=csv, report=built, verdict=verdict)


def _rule(options: Options) -> Rule:
    finish, given = options.on_failures == "finish", options.max_failures
    other = "" if finish else " or --on-failures finish"
    default = FINISH_ANYWAY if finish else STRICT
    return Rule(
        most=default if given is None else given,
        by_breast=is_rerun() and finish and given is None,
        rerun=is_rerun(),
        advice=f"Fix the files, or allow more with --max-failures{other}.",
    )


def _open_journal(setup: Setup, files: Output, models: Replica) -> Journal | None:
    """Return the journal; what an earlier run had predicted is said, and is in the submission."""
    images = setup.table.images
    key = Key(
        ids=setup.prepared.ids,
        table=setup.table.sha256,
        images=str(images[0].path.parents[1]),
        output=str(Path(setup.options.output).absolute()),
        flip=setup.options.flip,
        providers=tuple(",".join(model.providers) for model in models),
    )
    journal = open_journal(setup.options.scratch, key, images)
    if journal and journal.predictions:
        say(f"resume {len(journal.predictions)} of {len(images)} images were predicted before")
        outcome = _nothing(setup)
        for prediction in journal.predictions:
            outcome.add(prediction)
        outcome.resumed = outcome.seen
        composed = _compose(setup, Predicted(outcome=outcome, models=models), UNFINISHED)
        if setup.options.seed:
            files.seed(composed.csv, submission.json_text(composed.report))
    return journal


def _nothing(setup: Setup) -> Outcome:
    return Outcome(total=len(setup.table.images))
