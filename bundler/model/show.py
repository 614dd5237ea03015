"""`rsna-bundle model show`: what a model is made of, whatever its kind."""

from pathlib import Path

from bundler.model import files_card
from bundler.result import Result
from inference.boot import bundle as bundles
from inference.boot.manifest import MANIFEST, ModelFiles


def show(path: Path) -> Result:
    """Return what is known of an ONNX file, or of a bundle's folder. Raises InputError."""
    folder = path.parent if path.name == MANIFEST else path
    if (folder / MANIFEST).is_file():
        bundle = bundles.read(folder)
        if isinstance(bundle.manifest.part, ModelFiles):
            return files_card.FilesCard(bundle=bundle)
    # Only here, since it needs onnx and torch, which a bundle of files does not.
    from bundler.model import card

    return card.show(path)
