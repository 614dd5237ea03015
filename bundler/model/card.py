"""A model's card: where it comes from and how to read it, in the ONNX and in bundle.json."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundler.errors import InputError
from bundler.model import checkpoint, graph, metrics
from bundler.model.checkpoint import Checkpoint
from bundler.model.decision import Decision
from bundler.model.ensemble import Ensemble
from bundler.model.options import ExportOptions
from bundler.model.parity import rank_text
from bundler.model.remarks import remarks
from bundler.model.table import align, text
from bundler.progress import Progress
from bundler.result import Json
from inference.boot import bundle as bundles
from inference.boot.card import Card, Curve, OnnxModel, OutOfFold, Parity, Proof
from inference.boot.card import Checkpoint as Fold
from inference.boot.fields import plain
from inference.boot.manifest import MANIFEST

RED, YELLOW, PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[0m"  # click removes them where none is shown


def describe(
    ensemble: Ensemble,
    decided: Decision,
    options: ExportOptions,
    *,
    operations: int,
    golden_images: int,
    compared: Parity,
    proof: Proof | None,
    warnings: Sequence[str],
) -> Card:
    """Return what a file says of itself."""
    how = ensemble.recipe
    folds = zip(ensemble.folds, ensemble.prevalences, strict=True)
    return Card(
        checkpoints=tuple(_describe_fold(one, prevalence) for one, prevalence in folds),
        arch=how.arch,
        factory=None if how.factory is None else how.factory.name,
        ignored=how.ignored,
        model_kwargs=dict(how.model_kwargs),
        precision=options.precision,
        preprocess=how.preprocess,
        normalize=how.normalize,
        head=how.head,
        metadata_columns=tuple(how.metadata_columns),
        output=options.predict,
        aggregation=decided.aggregation,
        threshold=decided.threshold,
        prevalence=ensemble.prevalence,
        weight=ensemble.weight,
        average=options.average,
        out_of_fold=decided.out_of_fold,
        operations=operations,
        golden_images=golden_images,
        parity=compared,
        proof=proof,
        warnings=(*decided.warnings, *warnings),
    )


def _describe_fold(one: Checkpoint, prevalence: float) -> Fold:
    return Fold(
        name=one.path.name,
        sha256=checkpoint.digest(one),
        weights=one.source,
        fold=one.fold,
        epoch=one.epoch,
        metrics={name: float(value) for name, value in sorted(one.metrics.items())},
        # How they were computed: this project's training measures breast by breast.
        metrics_per="breast" if one.ours else None,
        prevalence=prevalence,
        run_id=one.run_id,
        commit=one.commit,
        dirty=one.dirty,
    )


def read(path: Path) -> tuple[OnnxModel, ...]:
    """Return the cards in an ONNX file, or in a model bundle's folder."""
    if not path.exists():
        raise InputError(f"There is no {path}. Name an ONNX file or a model bundle's folder.")
    if path.name == MANIFEST:
        path = path.parent
    if path.is_file():
        if path.suffix != ".onnx":  # another ending makes onnx read another format
            raise InputError(
                f"{path} is not an ONNX file (*.onnx). Name one, or a model bundle's folder. To "
                f"see what a checkpoint holds, run `rsna-bundle model --dry-run --ckpt {path}`."
            )
        return (of_file(path.name, graph.read_card(path)),)
    return bundles.read(path).model.models


def of_file(name: str, card: Card) -> OnnxModel:
    """Return a card as that of a file of the bundle."""
    return OnnxModel(file=name, **vars(card))


@dataclass(frozen=True, kw_only=True)
class Cards:
    """The cards of one ONNX file, or of all in a bundle."""

    cards: Sequence[OnnxModel]

    def as_dict(self) -> Mapping[str, Json]:
        """Return what `--json` prints."""
        return {"models": plain(self.cards)}

    def summary(self) -> str:
        """Return the cards for people."""
        return "\n\n".join(map(render, self.cards))


def show(path: Path) -> Cards:
    """Return what `rsna-bundle model show` prints. Raises InputError."""
    return Cards(cards=read(path))


def render(card: OnnxModel) -> str:
    """Return a card as a table for people, the remarks on it in colour."""
    lines = [
        f"{RED}warning: {remark.text}{PLAIN}"
        if remark.serious
        else f"{YELLOW}note: {remark.text}{PLAIN}"
        for remark in remarks(card)
    ]
    return "\n".join([tabulate(card), *lines])


def report(card: OnnxModel, progress: Progress) -> None:
    """Show a card while a command runs."""
    progress.note(tabulate(card))
    for remark in remarks(card):
        (progress.alert if remark.serious else progress.note)(remark.text)


def tabulate(card: OnnxModel) -> str:
    """Return a card as a table."""
    preprocess = plain(card.preprocess)
    rows = [
        ["file", card.file],
        ["architecture", f"{card.arch}, {card.precision}, {_channels(card)}"],
        ["input", f"{'×'.join(map(str, card.preprocess.size))}, {_items(preprocess, 'size')}"],
        ["pixels", f"{_items(plain(card.normalize))}; head {card.head}"],
        *([["metadata", ", ".join(card.metadata_columns)]] if card.metadata_columns else []),
        *_fold_rows(card.checkpoints),
        *([["left out", ", ".join(card.ignored)]] if card.ignored else []),
        ["output", _output(card)],
        *_curve_rows(card.out_of_fold),
        *_parity_rows(card.parity),
        ["proof", card.proof_line.removeprefix("proof: ")],
        *_cost_rows(card),
    ]
    return "\n".join(align(rows))


def _parity_rows(parity: Parity | None) -> list[list[str]]:
    if parity is None:
        return []
    return [
        [
            "parity",
            f"{parity.probability_max:.0e} in probability at most (mean "
            f"{parity.probability_mean:.0e}), {parity.logit_max:.0e} in logits (mean "
            f"{parity.logit_mean:.0e}), {rank_text(parity.rank_agreement)}, over "
            f"{parity.images} images ({parity.real} real); "
            f"{parity.tolerance:.0e} is allowed",
        ],
        ["", _reference(parity)],
    ]


def _reference(parity: Parity) -> str:
    """Return what an export was compared with, and how far that is off by itself."""
    names = {
        "float64": "torch in float64",
        "float32": "torch in float32",
        "onnx": "the file that was adopted",
    }
    text = f"compared with {names[parity.reference]}"
    if parity.noise is None:
        return text
    return f"{text}, which differs from its own float32 by {parity.noise:.0e}"


def _fold_rows(folds: Sequence[Fold]) -> list[list[str]]:
    rows = []
    for one in folds:
        numbers = (("fold", one.fold), ("epoch", one.epoch))
        parts = [f"{name} {text(number)}" for name, number in numbers if number is not None]
        shown = metrics.most_telling(list(one.metrics))
        parts += [f"{name} {text(one.metrics[name])}" for name in shown]
        parts.append(f"per {one.metrics_per or '?'} at prevalence {one.prevalence:.2%}")
        if one.run_id:
            parts.append(f"run {one.run_id[:12]}")
        if one.commit:
            parts.append(f"commit {one.commit[:12]}{' (dirty)' if one.dirty else ''}")
        rows += [["checkpoint", f"{one.name}  sha256 {one.sha256[:12]}"]]
        rows += [["", ", ".join(parts)]]
    return rows


def _curve_rows(out_of_fold: OutOfFold | None) -> list[list[str]]:
    if out_of_fold is None:
        return []
    rows = []
    for one in out_of_fold.curves:
        best = (
            f"pF1 {one.pf1:.3f} ({one.low:.3f} to {one.high:.3f}) at {one.threshold:.3g}, the best "
            f"on these very rows; plateau {one.plateau[0]:.3g} to {one.plateau[1]:.3g} "
            f"(width {one.plateau[1] - one.plateau[0]:.2g}); without a threshold "
            f"{one.probabilistic:.3f}; {one.breasts} breasts, {one.positives} positive"
        )
        rows += [[f"out of fold, {one.aggregation}", best], ["", _cross_fit(one)]]
    return rows


def _cross_fit(curve: Curve) -> str:
    """Return F1 by thresholds that were chosen on other rows, or why there is none."""
    fit = curve.cross_fit
    if fit is None:
        return "cross-fitted: not known, since some folds hold all of the positives"
    parts = "fold" if fit.by == "fold" else "fifth of the patients"
    return (
        f"cross-fitted F1 {fit.f1:.3f}: each {parts} by the threshold of the others, "
        f"{min(fit.thresholds):.3g} to {max(fit.thresholds):.3g}"
    )


def _output(card: Card) -> str:
    line = f"{card.output}, {card.aggregation} over a breast's images"
    if card.threshold is None:
        return line
    return f"{line}, threshold {card.threshold:.4g}{_scores(card)}"


def _scores(card: Card) -> str:
    """Return F1 out of fold: optimistic where the threshold was chosen on the same rows."""
    if card.out_of_fold is None or card.out_of_fold.pf1_at_threshold is None:
        return ""
    score = f"pF1 {card.out_of_fold.pf1_at_threshold:.3f}"
    (own,) = (one for one in card.out_of_fold.curves if one.aggregation == card.aggregation)
    if own.threshold != card.threshold:
        return f" ({score} out of fold)"
    fit = own.cross_fit
    fitted = f"cross-fitted {fit.f1:.3f}" if fit else "not cross-fitted"
    return f" ({fitted}; {score} on the rows that it was chosen on, which is optimistic)"


def _channels(card: Card) -> str:
    channels = card.model_kwargs.get("in_chans", 3)
    return _count(channels if isinstance(channels, int) else 3, "channel")


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"


def _cost_rows(card: Card) -> list[list[str]]:
    """Return what an image costs, where its operations were counted."""
    if card.operations is None:
        return []
    replayed = _count(card.golden_images, "golden image")
    cost = f"{card.operations / 1e9:.3g} billion floating-point operations an image"
    return [["cost", f"{cost}; {replayed} replayed before the first"]]


def _items(values: Mapping[str, object], *left_out: str) -> str:
    pairs = ((key, value) for key, value in values.items() if key not in left_out)
    return ", ".join(
        f"{key} {value:.6g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in pairs
    )
