"""Are the bundles whole, and would they survive an upload?"""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from bundler import cache
from bundler.competition.check import Check
from bundler.model import sources
from bundler.rehearse.run import upload
from inference.boot import bundle as reader
from inference.boot.bundle import Bundle
from inference.errors import BundleError

UPLOADS = 2  # the version of what `upload` does; another number tries it anew


def altered(bundles: Mapping[str, Bundle]) -> Iterator[str]:
    """Yield which files are not as their manifest says."""
    for bundle in bundles.values():
        try:
            reader.verify(bundle.folder)
        except BundleError as error:
            yield str(error)


def changed_files(model: Bundle) -> Iterator[Check]:
    """Warn of weights that changed since they were bundled: what is rehearsed works all the same.

    Of bundles that were made on another machine, and of ONNX models, nothing is known.
    """
    if warning := sources.warning(model):
        yield Check(name="model files", status="unproven", message=warning)


def lost_by_upload(bundles: Mapping[str, Bundle], scratch: Path) -> Iterator[str]:
    """Yield what an upload would refuse, drop or change; tries it in folders below `scratch`."""
    for kind, bundle in bundles.items():
        problems = list(upload.complaints(bundle.folder))
        yield from problems
        # What an upload does follows from the content, which was verified: once is enough.
        known = cache.folder("uploads") / f"{bundle.id[:32]}-{UPLOADS}"
        if not problems and not known.exists():
            with tempfile.TemporaryDirectory(prefix=".upload-", dir=scratch) as folder:
                lost = [f"{kind}: {line}" for line in upload.lost(bundle.folder, Path(folder))]
            yield from lost
            if not lost:
                known.touch()
