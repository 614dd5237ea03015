"""Which folds become one ONNX file: all merged into their mean, or each apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from bundler.errors import InputError, UsageError
from bundler.model import architecture, checkpoint, recipe
from bundler.model.adopted.origin import OnnxOrigin
from bundler.model.checkpoint import Checkpoint
from bundler.model.network import Folds
from bundler.model.options import ExportOptions, Member
from bundler.model.origin import Origin
from bundler.model.recipe import Recipe
from bundler.model.torch_origin import TorchOrigin
from inference.pixels.preprocess import PreprocessConfig
from train.checkpoint import Normalize


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Folds that become one ONNX file, and the prevalence of each one's validation set.

    `weight` is the file's in the mean over the bundle's, `prevalence` the mean over all folds of
    the bundle: the runner takes one number for all its files.
    """

    file: str
    recipe: Recipe
    folds: Sequence[Checkpoint]
    prevalences: Sequence[float]
    prevalence: float
    weight: float = 1.0

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


Chosen = Sequence[tuple[Member, Sequence[Checkpoint]]]  # what each member is made of


def group(chosen: Chosen, options: ExportOptions) -> list[Ensemble]:
    """Return what becomes one file each. Raises InputError, and UsageError for what is unknown."""
    if len(chosen) > 1 and options.ensemble == "separate":
        raise UsageError(
            "Each member becomes a file of its own, so `separate` (ensemble) cannot be used with "
            "several. Leave it out, or make a member of each checkpoint."
        )
    _check_distinct(chosen)
    ensembles = []
    for member, checkpoints in chosen:
        resolved = [recipe.resolve(one, member.training) for one in checkpoints]
        merged = options.ensemble == "merge"
        if merged:
            _check_alike(checkpoints, [how for how, _ in resolved])
        for some in [range(len(resolved))] if merged else [[at] for at in range(len(resolved))]:
            prevalences = [resolved[at][1] for at in some]
            ensembles.append(
                Ensemble(
                    file="model.onnx",
                    recipe=resolved[some[0]][0],
                    folds=[checkpoints[at] for at in some],
                    prevalences=prevalences,
                    prevalence=fmean(prevalences),
                    weight=member.weight,
                )
            )
    return _number(ensembles, options)


def _number(ensembles: Sequence[Ensemble], options: ExportOptions) -> list[Ensemble]:
    """Return ensembles with a file name each, and with what is one number for all of them."""
    prevalence = fmean(share for one in ensembles for share in one.prevalences)
    apart = len(ensembles) > 1 or options.ensemble == "separate"
    return [
        replace(one, file=f"model{number}.onnx" if apart else one.file, prevalence=prevalence)
        for number, one in enumerate(ensembles)
    ]


def _check_distinct(chosen: Chosen) -> None:
    """Refuse a checkpoint that was named twice, or that exists under two names."""
    known: dict[str, tuple[Checkpoint, str]] = {}
    for one, name in ((one, member.name) for member, some in chosen for one in some):
        other, owner = known.setdefault(checkpoint.digest(one), (one, name))
        if other is not one:
            of = [f" ({label})" if label else "" for label in (name, owner)]
            raise InputError(
                f"{one.path}{of[0]} and {other.path}{of[1]} are the same checkpoint: it would "
                "count twice in the mean. Leave one out."
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
