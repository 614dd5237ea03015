"""Which bundle of the laptop goes to which dataset."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundler.errors import InputError, UsageError
from bundler.publish import cache, dataset, slugs
from bundler.publish.client import Client, Say, connect
from bundler.publish.dataset import Published
from bundler.publish.slugs import Ref
from bundler.settings import Settings
from inference.boot import bundle as reader
from inference.boot.manifest import MANIFEST

KINDS = ("libs", "model", "code")


@dataclass(frozen=True, kw_only=True)
class Publication:
    """What was published."""

    datasets: tuple[Published, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {"datasets": [published.as_dict() for published in self.datasets]}

    def summary(self) -> str:
        """Return one line for each dataset."""
        return "\n".join(published.summary() for published in self.datasets)


def refs(client: Client, settings: Settings, kinds: Sequence[str] = KINDS) -> dict[str, Ref]:
    """Return the datasets of the kinds of bundles. Raises UsageError."""
    owner = slugs.owner(client, settings.owner)
    return {kind: slugs.reference(owner, getattr(settings.datasets, kind)) for kind in kinds}


def publish(settings: Settings, dist: Path, kinds: Sequence[str], say: Say) -> Publication:
    """Publish the bundles of these kinds that lie in `dist`."""
    folders = {kind: dist / kind for kind in kinds}
    check(folders)
    client = connect(say)
    return Publication(datasets=tuple(publish_all(client, settings, folders)))


def publish_folder(settings: Settings, folder: Path, say: Say) -> Published:
    """Publish the bundle in a folder, whatever its kind."""
    kind = reader.read(folder).kind
    (published,) = publish_all(connect(say), settings, {kind: folder})
    return published


def prepare(
    settings: Settings, dist: Path, what: Sequence[str], from_kernel: str | None, say: Say
) -> tuple[str, ...]:
    """Return the kinds to publish, of a command's words; a cache is built from its folder."""
    words = tuple(what)
    if from_kernel or "cache" in words:
        if len(words) != (1 if from_kernel else 2) or words[0] != "cache":
            raise UsageError(
                "A cache comes from a folder, `publish cache DIR`, or from a notebook's output, "
                "`publish cache --from-kernel OWNER/NAME`."
            )
        place = dist / "cache"
        if from_kernel:
            say(cache.from_kernel(settings, from_kernel, place, say).summary())
        else:
            say(cache.build(Path(words[1]), place).summary())
        return ("cache",)
    if unknown := set(words) - set(KINDS):
        raise UsageError(f"{min(unknown)!r} is none of {', '.join(KINDS)} and cache.")
    return words or KINDS


def publish_all(
    client: Client, settings: Settings, folders: dict[str, Path]
) -> Iterator[Published]:
    """Publish folders by their kind, in order."""
    places = refs(client, settings, tuple(folders))
    for kind, folder in folders.items():
        yield dataset.publish(client, folder, places[kind])


def check(folders: dict[str, Path]) -> None:
    """Raise for a folder that holds no bundle of its kind, before anything is sent."""
    for kind, folder in folders.items():
        if not (folder / MANIFEST).is_file():
            raise InputError(f"{folder} holds no bundle. Build it with `rsna-bundle {kind}` first.")
        if (found := reader.read(folder).kind) != kind:
            raise InputError(f"{folder} holds a {found} bundle, not a {kind} bundle.")
