"""The image that a notebook runs in: what the settings pin, and what the last run had."""

import json

from bundler.errors import UsageError
from bundler.image import target
from bundler.publish import kernel, outputs
from bundler.publish.client import Client
from bundler.publish.slugs import Ref
from bundler.settings import Settings
from inference.boot.record import NAME as RECORD


def pinned(settings: Settings) -> str | None:
    """Return the image that settings or targets name; None where neither does. Raises UsageError.

    Several targets are there to serve whichever image Kaggle takes.
    """
    wanted = settings.docker_image
    if wanted and wanted != kernel.LATEST and kernel.image(wanted) != wanted:
        raise UsageError(
            f"docker_image is {wanted!r}. Set it to an image with its digest, NAME@sha256:…, as "
            f'run.json of an earlier run names it, or to "{kernel.LATEST}".'
        )
    if wanted or len(settings.target) > 1:
        return wanted or None
    return kernel.image(target.load(settings.target[0], settings.root).source)


def choose(client: Client, settings: Settings, ref: Ref) -> str | None:
    """Return the image to ask for: the pinned one, or that of the last run that ended well."""
    if image := pinned(settings):
        return image
    if len(settings.target) > 1 or not kernel.current(client, ref):
        return None
    if kernel.state(client, ref) != "complete":
        return None
    last = used(outputs.read(client, ref, RECORD))
    if last:
        client.progress.note(f"The image is that of the last run, {last}")
    return last


def used(record: bytes | None) -> str | None:
    """Return the image that a run had by its run.json, if that names one by its digest."""
    try:
        return kernel.image(str(json.loads(record or b"{}").get("image") or ""))
    except (ValueError, AttributeError):
        return None


def difference(settings: Settings, record: bytes | None) -> str:
    """Return how the last run's image differs from the pinned one; "" where it does not."""
    wanted, last = pinned(settings), used(record)
    if not wanted or wanted == kernel.LATEST or not last:
        return ""
    ours, theirs = (one.rpartition("@sha256:")[2] for one in (wanted, last))
    if ours == theirs:
        return ""
    return (
        f"the last run had the image {theirs[:12]}, but {ours[:12]} is pinned. Capture it with "
        "`rsna-bundle target capture --push --out target.json`, or push again"
    )
