"""Who builds the network: timm by a name, the user's function, or nobody (an ONNX file is one)."""

from bundler.errors import InputError, UsageError
from bundler.model import architecture, hints
from bundler.model import factory as factories
from bundler.model.checkpoint import Checkpoint
from bundler.model.factory import Factory
from bundler.model.options import Training
from bundler.model.questions import Questions

ONNX = "onnx"  # the architecture of an adopted file


def settle(
    questions: Questions, checkpoint: Checkpoint, training: Training
) -> tuple[str, Factory | None]:
    """Return the network's name, and the factory that builds it where timm does not."""
    if checkpoint.graph is not None:
        _refuse_beside_onnx(training)
        return ONNX, None
    if training.factory is not None:
        if training.arch is not None:
            raise UsageError(
                "--factory builds the network, so --arch names nothing. Leave one of them out."
            )
        if checkpoint.ours:
            raise UsageError(
                f"{checkpoint.path} was written by this project's training, which records its own "
                "training. Leave out --factory."
            )
        made = factories.parse(training.factory, training.root)
        return made.name, made
    if checkpoint.arch is None and training.arch is None:
        hint = hints.write(checkpoint.state, checkpoint.others)
        if hint is not None:
            raise InputError(f"The weights in {checkpoint.path} are not timm's alone. {hint}")
    likely = architecture.name_likely(checkpoint.state) if checkpoint.arch is None else ""
    question = f"the timm model{likely}, or --factory module:function for a network of your own"
    return questions.settle("--arch", checkpoint.arch, training.arch, question), None


def _refuse_beside_onnx(training: Training) -> None:
    given = {
        "--arch": training.arch,
        "--factory": training.factory,
        "--model-kwarg": training.model_kwargs,
        "--ignore": training.ignore,
    }
    if names := [name for name, value in given.items() if value]:
        raise UsageError(
            f"An ONNX file is a whole network, so {', '.join(names)} cannot be used with --onnx."
        )


def settle_columns(
    questions: Questions, checkpoint: Checkpoint, training: Training
) -> tuple[str, ...]:
    """Return the columns that the network gets beside the pixels; none where nobody names any."""
    if not checkpoint.ours and checkpoint.graph is None:
        return training.metadata_columns or ()
    recorded = checkpoint.metadata_columns if checkpoint.ours else None
    takes_none = checkpoint.graph is not None and checkpoint.graph.metadata is None
    if takes_none and not training.metadata_columns:
        return ()
    return questions.settle(
        "--metadata-columns",
        recorded,
        training.metadata_columns,
        "the table's columns, in the order of the network's second input",
    )
