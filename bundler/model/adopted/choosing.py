"""The ONNX files that the command line names, as checkpoints that hold a whole network."""

from bundler.errors import UsageError
from bundler.model import naming
from bundler.model.adopted import reading
from bundler.model.checkpoint import Checkpoint
from bundler.model.options import Choice, Training
from bundler.model.selection import Selection
from train.checkpoint import Normalize

SOURCE = "onnx"  # what stands in the card for the key of a checkpoint's weights
UNCHANGED = Normalize(mean=(0.0,), std=(1.0,), scale=1.0)


def select(choice: Choice, training: Training) -> Selection:
    """Read the ONNX files that were named, all of them. Raises InputError, UsageError."""
    if choice.checkpoints or choice.run or choice.best:
        raise UsageError(
            "--onnx adopts whole networks, so --ckpt, --run and --best cannot be used with it."
        )
    files = [reading.read(path, training.onnx_output) for path in choice.onnx]
    notes = []
    for file in files:
        if file.normalises:
            notes.append(
                f"note: {file.path.name} scales or shifts the pixels itself; --mean, --std and "
                "--scale come before that. If it takes the pixels as they are, give --mean 0 "
                "--std 1 --scale 1."
            )
        if file.image.batch is not None:
            notes.append(
                f"note: {file.path.name} takes batches of {file.image.batch} alone, so each image "
                "is predicted by itself; export it with a dynamic batch to be faster on a GPU."
            )
    chosen = [_describe(file) for file in files]
    return Selection(candidates=chosen, chosen=chosen, notes=notes, by=None)


def _describe(file: reading.OnnxFile) -> Checkpoint:
    named = naming.parse(file.path.stem)
    return Checkpoint(
        path=file.path,
        state={},
        graph=file,
        source=SOURCE,
        when=file.path.stat().st_mtime,
        # Of bytes the network makes floats itself.
        normalize=UNCHANGED if file.image.element == "uint8" else None,
        fold=named.fold,
        epoch=named.epoch,
        metrics=named.metrics,
    )
