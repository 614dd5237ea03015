"""The faults: each with what it needs, and what is to come of it."""

from collections.abc import Callable
from dataclasses import dataclass

from bundler.publish import bundles
from bundler.publish.bundles import PublishOptions
from tests.kaggle.server import COMPETITION
from tests.kaggle.world import LIBS, World, write_bundle

ALWAYS = 10_000


@dataclass(frozen=True, kw_only=True)
class Case:
    """A fault while something is done; `message` is in the error, "" for success."""

    name: str
    action: str
    arm: Callable[[World], object]
    message: str = ""


def refuse(call: str, **how: object) -> Callable[[World], object]:
    """Return what arms a refusal."""
    return lambda world: world.kaggle.faults.refuse(call, **how)


def arm(**faults: object) -> Callable[[World], object]:
    """Return what arms other faults."""

    def set_them(world: World) -> None:
        assert set(faults) <= set(vars(world.kaggle.faults))
        vars(world.kaggle.faults).update(faults)

    return set_them


def take_title(world: World) -> None:
    """Let the dataset's title belong to another dataset of the same owner."""
    dataset = world.kaggle.datasets.all.pop(LIBS)
    dataset.ref = "rosa/another-slug"
    dataset.title = "rsna bundle libs"
    world.kaggle.datasets.all[dataset.ref] = dataset


# The client is to make the dataset there, not a version of it.
TAKEN = "the title belongs to another dataset"


def drop_dataset(world: World) -> None:
    """Delete a dataset just before the push arrives."""
    original = world.kaggle.kernels.save

    def save(body: dict[str, object], user: str) -> dict[str, object]:
        kept = world.kaggle.datasets.all.pop(LIBS)
        try:
            return original(body, user)
        finally:
            world.kaggle.datasets.all[LIBS] = kept
            world.kaggle.kernels.save = original  # type: ignore[method-assign]

    world.kaggle.kernels.save = save  # type: ignore[method-assign]


def newer_code(world: World) -> None:
    """Publish newer code, and let the notebook be mounted with the older."""
    write_bundle(world.root, "code", b"newer")
    options = PublishOptions(kinds=("code",))
    bundles.publish(world.settings, world.settings.dist, options, world.progress)
    world.kaggle.faults.stale_mount = True


def push_before(world: World) -> None:
    """Push once; then let the next run take its time, and the status be the first one's."""
    world.push()
    world.kaggle.kernels.pace = 0.6
    world.kaggle.faults.stale_status = 3


def leave(world: World) -> None:
    """Take back that the rules were accepted."""
    world.kaggle.competitions.all[COMPETITION].entered = False


def use_up(world: World) -> None:
    """Use all submissions of the day."""
    world.kaggle.competitions.all[COMPETITION].daily = 0


def clock(world: World) -> None:
    """Let the machine's clock be an hour off, and the signature be refused for it."""
    world.kaggle.faults.clock = 3600
    world.kaggle.faults.refuse("", status=401, times=ALWAYS)


VERSION = "CreateDatasetVersion"
CASES = (
    Case(
        name="credentials expired",
        action="publish",
        arm=refuse("", status=401, times=ALWAYS),
        message="No valid Kaggle credentials",
    ),
    Case(name="the clock is an hour slow", action="publish", arm=clock, message="60 minutes slow"),
    Case(
        name="not allowed (403)",
        action="publish",
        arm=refuse(VERSION, status=403, message="Permission 'datasets.update' was denied"),
        message="Permission 'datasets.update' was denied",
    ),
    Case(
        name="changed by another at the same time (409)",
        action="publish",
        arm=refuse(VERSION, status=409, message="Conflict", times=ALWAYS),
        message="Something else is changing it",
    ),
    Case(
        name="too many requests (429), three times",
        action="publish",
        arm=refuse("StartBlobUpload", status=429, times=3, headers={"Retry-After": "0"}),
    ),
    Case(
        name="server error (500), once",
        action="publish",
        arm=refuse(VERSION, status=500),
    ),
    Case(
        name="server down (503), for ever",
        action="publish",
        arm=refuse("", status=503, times=ALWAYS),
        message="Kaggle has a problem",
    ),
    Case(
        name="connection cut before the answer",
        action="publish",
        arm=refuse("StartBlobUpload", cut="before", times=2),
    ),
    Case(
        name="connection cut in the middle of a file",
        action="publish",
        arm=arm(cut_blob_at=2000, cut_blob_times=1),
    ),
    Case(
        name="upload broken off (503), to be resumed",
        action="publish",
        arm=arm(cut_blob_at=2000, cut_blob_times=2, cut_blob_status=503),
    ),
    Case(
        name="a file refused (400)",
        action="publish",
        arm=arm(blob_status=400, blob_status_times=1),
    ),
    Case(
        name="a file lost after a good answer",
        action="publish",
        arm=arm(lose={"b.bin"}),
    ),
    Case(
        name="ready is said of the previous version",
        action="publish",
        arm=arm(stale=3),
    ),
    Case(name="processing takes long", action="publish", arm=arm(processing=4)),
    Case(
        name="processing fails",
        action="publish",
        arm=arm(processing_fails=True),
        message="could not process",
    ),
    Case(
        name="the answer to a new version is lost",
        action="publish",
        arm=refuse(VERSION, cut="after"),
    ),
    Case(
        name="the server falls silent",
        action="publish",
        arm=refuse("StartBlobUpload", stall=20.0),
    ),
    Case(
        name=TAKEN,
        action="publish",
        arm=take_title,
        message="already in use",
    ),
    Case(
        name="a push refused in a good answer",
        action="push",
        arm=arm(push_error="Maximum batch GPU session count of 2 reached."),
        message="Maximum batch GPU session count",
    ),
    Case(
        name="saved with the internet on",
        action="push",
        arm=arm(internet_on=True),
        message="its internet is on",
    ),
    Case(
        name="saved with another text",
        action="push",
        arm=arm(push_alters=True),
        message="its text differs",
    ),
    Case(
        name="a dataset left out",
        action="push",
        arm=drop_dataset,
        message="without the datasets",
    ),
    Case(
        name="the answer to a push is lost",
        action="push",
        arm=refuse("SaveKernel", cut="after"),
    ),
    Case(
        name="the notebook fails",
        action="push",
        arm=arm(kernel_fails="Your notebook tried to allocate more memory than is available."),
        message="more memory than is available",
    ),
    Case(
        name="complete, without an output",
        action="push",
        arm=arm(no_outputs=True),
        message="it left no run.json",
    ),
    Case(
        name="run with the previous versions mounted",
        action="push",
        arm=newer_code,
        message="another code bundle is mounted",
    ),
    Case(name="complete is said of the previous version", action="push", arm=push_before),
    Case(name="the log's stream breaks", action="push", arm=arm(cut_log_after=1)),
    Case(name="no submission left today", action="submit", arm=use_up, message="left today"),
    Case(name="rules not accepted", action="submit", arm=leave, message="Accept its rules"),
    Case(
        name="the answer to a submission is lost",
        action="submit",
        arm=refuse("CreateCodeSubmission", cut="after"),
    ),
    Case(
        name="not scored",
        action="submit",
        arm=arm(submission_fails="Notebook Timeout"),
        message="Notebook Timeout. Use a smaller preset",
    ),
)
