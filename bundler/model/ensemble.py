"""Which folds become one ONNX file: all merged into their mean, or each apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bundler.errors import InputError
from bundler.model import architecture, checkpoint, recipe
from bundler.model.adopted.origin import OnnxOrigin
from bundler.model.checkpoint import Checkpoint
from bundler.model.network import Folds
from bundler.model.options import ModelOptions
from bundler.model.origin import Origin
from bundler.model.recipe import Recipe
from bundler.model.torch_origin import TorchOrigin
from inference.pixels.preprocess import PreprocessConfig
from train.checkpoint import Normalize


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Folds that become one ONNX file, and the prevalence of each one's validation set."""

    file: str
    recipe: Recipe
    folds: Sequence[Checkpoint]
    prevalences: Sequence[float]

    def assemble(self, *, half: bool = False) -> Folds:
        """Build the network from the folds' weights; with `half` it computes in float16."""
        how = self.recipe
        nets = [
            architecture.build(
                one,
                how.arch,
                how.model_kwargs,
                how.metadata_columns,
                factory=how.factory,
                ignore=how.ignored,
            )
            for one in self.folds
        ]
        network = Folds(
            nets, normalize=how.normalize, channels=how.channels, head=how.head, half=half
        )
        return network.eval()

    def open(self) -> Origin:
        """Return what the folds are exported from. Raises InputError where they do not fit."""
        how = self.recipe
        width = architecture.metadata_width(how.metadata_columns)
        graphs = [one.graph for one in self.folds if one.graph is not None]
        if graphs:
            return OnnxOrigin(files=graphs, recipe=how, metadata_width=width)
        return TorchOrigin(network=self.assemble(), recipe=how, metadata_width=width)


def group(checkpoints: Sequence[Checkpoint], options: ModelOptions) -> list[Ensemble]:
    """Return what becomes one file each. Raises InputError, and UsageError for what is unknown."""
    _check_distinct(checkpoints)
    resolved = [recipe.resolve(one, options.training) for one in checkpoints]
    recipes, prevalences = zip(*resolved, strict=True)
    if options.export.ensemble == "merge":
        _check_alike(checkpoints, recipes)
        file = "model.onnx"
        return [Ensemble(file=file, recipe=recipes[0], folds=checkpoints, prevalences=prevalences)]
    return [
        Ensemble(file=f"model{number}.onnx", recipe=how, folds=(one,), prevalences=(share,))
        for number, (one, how, share) in enumerate(
            zip(checkpoints, recipes, prevalences, strict=True)
        )
    ]


def _check_distinct(checkpoints: Sequence[Checkpoint]) -> None:
    """Refuse a checkpoint that was named twice, or that exists under two names."""
    known: dict[str, Checkpoint] = {}
    for one in checkpoints:
        other = known.setdefault(checkpoint.digest(one), one)
        if other is not one:
            raise InputError(
                f"{one.path} and {other.path} are the same checkpoint: it would count twice in "
                "the mean. Leave one out."
            )


def _check_alike(checkpoints: Sequence[Checkpoint], recipes: Sequence[Recipe]) -> None:
    for one, how in zip(checkpoints, recipes, strict=True):
        if names := how.differences(recipes[0]):
            parts = "; ".join(
                f"{name} {' and '.join(_contrast(getattr(how, name), getattr(recipes[0], name)))}"
                for name in names
            )
            raise InputError(
                f"{one.path.name} and {checkpoints[0].path.name} cannot be merged: they differ in "
                f"{parts}. Choose folds of one training, or use --ensemble separate."
            )


def _contrast(one: object, other: object) -> tuple[str, str]:
    """Return two values as text: of several items only those that differ."""
    items = [_items(each) for each in (one, other)]
    if not (items[0] and items[1]):
        return str(one), str(other)
    names = [name for name in {**items[0], **items[1]} if items[0].get(name) != items[1].get(name)]
    texts = [", ".join(f"{name} {each.get(name)}" for name in names) for each in items]
    return texts[0], texts[1]


def _items(value: object) -> Mapping[str, object]:
    """Return the items that a part of a recipe consists of; none where it is one value."""
    if isinstance(value, (PreprocessConfig, Normalize)):
        return value.as_dict()
    return value if isinstance(value, Mapping) else {}
