"""Which bundle of this machine goes to which dataset."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundler import bundle
from bundler.errors import UsageError
from bundler.notebook import folders, submission
from bundler.progress import Progress
from bundler.publish import cache, dataset, slugs
from bundler.publish.client import Client, connect
from bundler.publish.dataset import Published
from bundler.publish.slugs import Ref
from bundler.result import Json
from bundler.settings import Settings
from inference.boot import bundle as reader

KINDS = ("libs", "model", "code")


@dataclass(frozen=True, kw_only=True)
class PublishOptions:
    """What to publish; a cache is bundled first, from a folder or from a notebook's output."""

    kinds: tuple[str, ...] = ()  # none named: those that the notebook is made for
    cache: Path | None = None
    from_kernel: str | None = None


@dataclass(frozen=True, kw_only=True)
class Publication:
    """The bundles that were published."""

    datasets: tuple[Published, ...]

    def as_dict(self) -> dict[str, Json]:
        """Return what `--json` prints."""
        return {"datasets": [published.as_dict() for published in self.datasets]}

    def summary(self) -> str:
        """Return one line for each dataset."""
        return "\n".join(published.summary() for published in self.datasets)


def refs(client: Client, settings: Settings, kinds: Sequence[str] = KINDS) -> dict[str, Ref]:
    """Return the dataset of each kind of bundle. Raises UsageError."""
    owner = slugs.owner(client, settings.owner)
    return {kind: slugs.reference(owner, getattr(settings.datasets, kind)) for kind in kinds}


def parse(words: Sequence[str], from_kernel: str | None = None) -> PublishOptions:
    """Return the options of a command line: kinds of bundles, or `cache DIR`. Raises UsageError."""
    if from_kernel or "cache" in words:
        if len(words) != (1 if from_kernel else 2) or words[0] != "cache":
            raise UsageError(
                "Give a cache's folder, `publish cache DIR`, or a notebook that left one in its "
                "output, `publish cache --from-kernel OWNER/NAME`."
            )
        folder = None if from_kernel else Path(words[1])
        return PublishOptions(kinds=("cache",), cache=folder, from_kernel=from_kernel)
    if unknown := set(words) - set(KINDS):
        raise UsageError(
            f"Unknown bundle {min(unknown)!r}. Choose from {', '.join(KINDS)} and cache."
        )
    return PublishOptions(kinds=tuple(words))


def publish(
    settings: Settings, dist: Path, options: PublishOptions, progress: Progress
) -> Publication:
    """Publish bundles that lie in `dist`."""
    if options.from_kernel:
        built = cache.from_kernel(settings, options.from_kernel, dist / "cache", progress)
        progress.note(built.summary())
    elif options.cache:
        progress.step(f"Bundling the cache in {options.cache}")
        progress.note(cache.build(options.cache, dist / "cache").summary())
    kinds = options.kinds or submission.kinds(dist, submission.plan(settings))
    places = {kind: folders.folder(dist, kind, settings.target) for kind in kinds}
    check(places, settings)
    client = connect(progress)
    return Publication(datasets=tuple(publish_all(client, settings, places)))


def publish_folder(settings: Settings, folder: Path, progress: Progress) -> Published:
    """Publish the bundle in a folder, whatever its kind."""
    kind = reader.read(folder).kind
    check({kind: folder}, settings)
    (published,) = publish_all(connect(progress), settings, {kind: folder})
    return published


def publish_all(
    client: Client, settings: Settings, places: Mapping[str, Path]
) -> Iterator[Published]:
    """Publish folders by their kind, in order."""
    datasets = refs(client, settings, tuple(places))
    for kind, folder in places.items():
        yield dataset.publish(client, folder, datasets[kind])


def check(places: Mapping[str, Path], settings: Settings) -> None:
    """Check that each folder holds a bundle of its kind, before anything is sent.

    Raises InputError, and CheckError for libs that were made for other targets.
    """
    held = {kind: bundle.read(folder, kind) for kind, folder in places.items()}
    if "libs" in held:
        folders.check(held["libs"], settings)
