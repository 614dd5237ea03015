"""Planted mistakes: models that were trained one way and are exported another.

Each is a mistake that a competitor made. An export that says nothing of it fails its test; sound
models must not be refused.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import nn

from bundler.errors import CheckError, InputError
from bundler.model import checkpoint, export, out_of_fold, proof, sanity
from bundler.model.agreement import Limits
from bundler.model.checkpoint import Checkpoint
from bundler.model.ensemble import Ensemble, group
from bundler.model.options import ModelOptions
from bundler.model.proof import Proven
from bundler.notebook import submission
from bundler.progress import SILENT
from bundler.rehearse.report import provenance
from inference.boot import bundle as reader
from inference.pixels.loading import load
from inference.pixels.preprocess import PreprocessConfig
from tests.bundler.model.checkpoints import net, options, save
from tests.recorder import Recorder
from train import phantom
from train.checkpoint import Normalize

SIZE = (64, 48)
IMAGES = 8  # of each fold
FOLDS = (0, 1)
CONFIG = PreprocessConfig(size=SIZE)
IMAGENET = Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), scale=1 / 255)
KWARGS = {"num_classes": 2, "in_chans": 3}
HEADER = "image_id,patient_id,prediction_id,machine_id,fold,target,probability"


@dataclass(frozen=True, kw_only=True)
class Truth:
    """How the user's own model was trained and predicted."""

    config: PreprocessConfig = CONFIG
    normalize: Normalize = IMAGENET
    arch: str = "test_resnet"
    pooling: Literal["avg", "max", "gem"] = "avg"
    mirrored: bool = False  # the mean of an image and its mirror image
    inverted: bool = False
    output: int = 0
    weights: Literal["model", "ema"] = "ema"
    shift: int = 0  # of the folds' numbers
    calibrated: bool = False


@dataclass(frozen=True, kw_only=True)
class World:
    """Two folds of phantoms, and a member of each that did not train on them, exported."""

    images: Path
    members: Sequence[Path]
    ensemble: Ensemble
    onnx: Path


def draw_images(folder: Path) -> None:
    for number in range(IMAGES * len(FOLDS)):
        side = "LR"[number % 2]
        path = folder / str(number // 2) / f"{number}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn = phantom.draw(
            number, (128, 96), laterality=side, density=0.2 + 0.6 * (number % 5) / 4, contrast=0.3
        )
        photometric = ("MONOCHROME1", "MONOCHROME2")[number % 2]
        phantom.write_dicom(path, drawn, laterality=side, photometric=photometric)


def pixels(images: Path, fold: int, config: PreprocessConfig) -> torch.Tensor:
    """Return float32 [N, 1, H, W] of 0 … 255: a fold's images as a training would prepare them."""
    numbers = range(fold * IMAGES, (fold + 1) * IMAGES)
    paths = [images / str(number // 2) / f"{number}.dcm" for number in numbers]
    return torch.from_numpy(np.stack([load(path, [config]).inputs[0] for path in paths])[:, None])


def normalized(values: torch.Tensor, how: Normalize) -> torch.Tensor:
    mean, std = (torch.tensor(numbers).reshape(1, -1, 1, 1) for numbers in (how.mean, how.std))
    return ((values.float() * how.scale - mean) / std).expand(-1, 3, -1, -1)


def train(images: Path, seed: int, arch: str) -> nn.Module:
    """Return a network whose logits on the images have a mean of -1 and a deviation of 1.5."""
    made = net(arch, seed, **KWARGS)
    head = made.get_classifier()  # type: ignore[operator]
    inputs = torch.cat([normalized(pixels(images, fold, CONFIG), IMAGENET) for fold in FOLDS])
    with torch.no_grad():
        answers = made(inputs)
        head.weight *= 1.5 / answers.std(0)[:, None]
        head.bias -= made(inputs).mean(0) + 1
    return made.eval()


def near(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the raw weights beside averaged ones: a few steps of the training further."""
    torch.manual_seed(9)
    return {
        key: value + 0.1 * value.std() * torch.randn_like(value)
        if value.ndim > 1
        else value.clone()
        for key, value in state.items()
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("planted"), "test_resnet")


def build_world(folder: Path, arch: str, folds: Sequence[int] = FOLDS) -> World:
    draw_images(folder / "images")
    members = []
    for fold in folds:
        averaged = train(folder / "images", fold, arch).state_dict()
        path = folder / f"fold{fold}.pt"
        changes = {"arch": arch, "model_kwargs": KWARGS, "preprocess": CONFIG}
        save(path, model=near(averaged), ema=averaged, fold=fold, normalize=IMAGENET, **changes)
        members.append(path)
    (ensemble,) = _group([checkpoint.read(path) for path in members], options(*members))
    export.build(options(*members), folder / "bundle")
    return World(
        images=folder / "images",
        members=members,
        ensemble=ensemble,
        onnx=folder / "bundle" / "model.onnx",
    )


class Gem(nn.Module):
    """A generalised mean of the power 3, or the maximum: poolings without weights."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        if self.kind == "max":
            return features.amax((2, 3))
        return features.clamp(min=1e-6).pow(3).mean((2, 3)).pow(1 / 3)


def predict(world: World, fold: int, truth: Truth) -> np.ndarray:
    """Return what the user's own model predicted for a fold, computed without the program."""
    from train import model

    made = model.build(truth.arch, KWARGS, ())
    content = torch.load(world.members[(fold + truth.shift) % len(FOLDS)], weights_only=True)
    made.load_state_dict(content[truth.weights])
    if truth.pooling != "avg":
        made.global_pool = Gem(truth.pooling)
    values = pixels(world.images, fold, truth.config)
    values = 255 - values if truth.inverted else values
    views = [values, values.flip(3)] if truth.mirrored else [values]
    with torch.inference_mode():
        answers = [made.eval()(normalized(view, truth.normalize)) for view in views]
    probability = torch.stack([torch.sigmoid(one[:, truth.output]) for one in answers]).mean(0)
    values = probability.double().numpy()
    return values**2 / (values**2 + 0.3 * (1 - values) ** 2) if truth.calibrated else values


def write_rows(world: World, path: Path, truth: Truth) -> Path:
    lines = [HEADER]
    for fold in FOLDS:
        for number, probability in enumerate(predict(world, fold, truth), fold * IMAGES):
            breast = f"{number // 2}_{'LR'[number % 2]}"
            target = int(number % 4 == 0)
            lines.append(f"{number},{number // 2},{breast},49,{fold},{target},{probability:.6f}")
    path.write_text("\n".join(lines) + "\n")
    return path


def replay(world: World, path: Path, truth: Truth) -> Proven:
    rows = out_of_fold.read([write_rows(world, path, truth)])
    limits = Limits(largest=0.05)
    return proof.prove(world.ensemble, world.onnx, rows, world.images, limits, SILENT)


# --- what only the user's own predictions show ---

NATIVE = replace(CONFIG, flip="none")
PLANTED = {
    "0 to 255 for 0 to 1": (
        Truth(normalize=replace(IMAGENET, scale=1.0)),
        r"the scale of the pixels.*--scale 1",
    ),
    "Inception's mean and std": (
        Truth(normalize=Normalize(mean=(0.5,), std=(0.5,), scale=1 / 255)),
        r"mean and std.*--mean 0\.5 --std 0\.5",
    ),
    "no mean and std": (
        Truth(normalize=Normalize(mean=(0.0,), std=(1.0,), scale=1 / 255)),
        r"mean and std.*--mean 0 --std 1",
    ),
    "BGR": (
        Truth(normalize=replace(IMAGENET, mean=IMAGENET.mean[::-1], std=IMAGENET.std[::-1])),
        r"order of the channels",
    ),
    "raw weights were validated": (
        Truth(weights="model"),
        r"averaged \(EMA\) weights were taken.*--weights raw",
    ),
    "maximum pooling": (Truth(pooling="max"), "the pooling.*global_pool=max"),
    "a fixed GeM": (Truth(pooling="gem"), r"the pooling.*GeM"),
    "another output": (Truth(output=1), "output that was taken for cancer.*--head sigmoid:1"),
    "not flipped": (Truth(config=NATIVE), "the flip of the images.*--flip none"),
    "test-time augmentation": (Truth(mirrored=True), "test-time augmentation.*mirror image"),
    "window by extremes": (
        Truth(config=replace(CONFIG, window="min-max")),
        "the window.*--window min-max",
    ),
    "inverted": (Truth(inverted=True), "the window.*black and white exchanged"),
    "not cropped": (Truth(config=replace(CONFIG, crop="none")), "the crop.*--crop none"),
    "stretched": (Truth(config=replace(CONFIG, fit="stretch")), "images are fitted.*--fit stretch"),
    "folds from one": (Truth(shift=1), r"cause is the fold: fold0\.pt, .* the rows of fold 1"),
    "calibrated": (Truth(calibrated=True), "changed after the model .calibrated"),
    "two at once": (
        Truth(
            normalize=Normalize(mean=(0.5,), std=(0.5,), scale=1 / 255),
            config=replace(CONFIG, crop="none"),
        ),
        r"(--std 0\.5 --scale 1/255 and --crop none|--crop none and --mean 0\.5)",
    ),
}


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_mistake_is_found_and_named(mistake: str, world: World, tmp_path: Path) -> None:
    truth, message = PLANTED[mistake]
    with pytest.raises(CheckError, match=rf"does not repeat(.|\n)*({message})"):
        replay(world, tmp_path / "oof.csv", truth)


def test_a_sound_model_is_proven_by_its_own_predictions(world: World, tmp_path: Path) -> None:
    proven = replay(world, tmp_path / "oof.csv", Truth()).proof
    assert proven is not None
    assert proven.predictions == IMAGES * len(FOLDS)
    assert proven.largest <= 1e-4
    assert [(one.fold, one.member, one.predictions) for one in proven.folds] == [
        ("0", "fold0.pt", IMAGES),
        ("1", "fold1.pt", IMAGES),
    ]
    assert proven.text.startswith("own predictions, n = 16 (off by ")


def test_an_export_that_disagrees_writes_nothing_and_a_sound_one_records_it(
    world: World, tmp_path: Path
) -> None:
    about = {"images": world.images, "threshold": 0.5}
    wrong = write_rows(world, tmp_path / "wrong.csv", Truth(pooling="max"))
    with pytest.raises(CheckError, match=r"fold 0 \(fold0\.pt\): 8 images, off by (.|\n)*pooling"):
        export.build(options(*world.members, oof=(wrong,), **about), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
    right = write_rows(world, tmp_path / "right.csv", Truth())
    built = export.build(options(*world.members, oof=(right,), **about), tmp_path / "bundle")
    (card,) = reader.read(built.bundle.folder).model.models
    assert card.proof_line.startswith("proof: own predictions, n = 16")
    # Who looks at the notebook or at the rehearsal's report reads the same.
    held = reader.read(built.bundle.folder)
    assert submission.describe(held).endswith(card.proof_line)
    assert provenance.of_models(held) == [f"model.onnx: {card.proof_line}"]


def test_the_rows_of_another_model_are_refused(world: World, tmp_path: Path) -> None:
    path = write_rows(world, tmp_path / "oof.csv", Truth())
    header, *lines = path.read_text().splitlines()
    values = np.random.default_rng(1).random(len(lines))
    mixed = [f"{line.rpartition(',')[0]},{v:.4f}" for line, v in zip(lines, values, strict=True)]
    path.write_text("\n".join([header, *mixed]))
    rows = out_of_fold.read([path])
    with pytest.raises(CheckError, match="Are these the predictions of this very checkpoint"):
        proof.prove(world.ensemble, world.onnx, rows, world.images, Limits(largest=0.05), SILENT)


def test_a_replay_that_is_not_possible_is_no_proof_and_said(world: World, tmp_path: Path) -> None:
    rows = out_of_fold.read([write_rows(world, tmp_path / "oof.csv", Truth())])
    limits = Limits(largest=0.05)
    (tmp_path / "empty").mkdir()
    without = proof.prove(world.ensemble, world.onnx, rows, tmp_path / "empty", limits, SILENT)
    assert without.proof is None
    assert "no image of the out-of-fold rows of fold 0 lies in" in without.warnings[0]
    few = replace(rows, rows=[*rows.rows[:3], *rows.rows[IMAGES:]])
    undecided = proof.prove(world.ensemble, world.onnx, few, world.images, limits, SILENT)
    assert undecided.proof is None
    assert "the 3 readable images of fold 0" in undecided.warnings[0]
    assert "too few or too alike to show anything" in undecided.warnings[0]
    nameless = replace(
        world.ensemble, folds=[replace(one, fold=None) for one in world.ensemble.folds]
    )
    unknown = proof.prove(nameless, world.onnx, rows, world.images, limits, SILENT)
    assert "does not say its fold" in unknown.warnings[0]
    blend = proof.prove(world.ensemble, world.onnx, rows, world.images, limits, SILENT, shared=[1])
    assert "several files of the bundle hold the fold 1" in blend.warnings[0]


def test_twin_weights_are_named_with_and_without_predictions(tmp_path: Path) -> None:
    """Group and layer norms have equal tensors: timm's pair of the kind tf_ and not."""
    world = build_world(tmp_path, "test_efficientnet_gn")
    with pytest.raises(CheckError, match=r"has a twin of equal tensors .test_efficientnet_ln"):
        replay(world, tmp_path / "oof.csv", Truth(arch="test_efficientnet_ln"))
    stranger = replace(
        world.ensemble, folds=[replace(one, arch=None) for one in world.ensemble.folds[:1]]
    )
    images = pixels(world.images, 0, CONFIG)[:, 0].numpy()
    (warning,) = sanity.twins(stranger, stranger.assemble(), images)
    assert "fit test_efficientnet_gn and test_efficientnet_ln alike" in warning
    own = world.ensemble  # its file records the architecture: there is nothing to guess
    assert list(sanity.twins(own, own.assemble(), images)) == []


def test_efficientnet_b0_has_its_twins() -> None:
    from bundler.model import architectures

    assert "tf_efficientnet_b0" in architectures.twins("efficientnet_b0")
    assert "efficientnet_b0" in architectures.twins("tf_efficientnet_b0.ns_jft_in1k")
    assert architectures.twins("none of timm's") == []


# --- what can be seen without any predictions ---


def dead(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return state | {"fc.weight": torch.zeros_like(state["fc.weight"])}


def faint(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return state | {"fc.weight": state["fc.weight"] * 1e-4}


def wild(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return state | {"fc.weight": state["fc.weight"] * 1e3}


def sure(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return state | {"fc.bias": state["fc.bias"] - 20}


def same(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return state


MEAN_255 = Normalize(mean=(123.675,), std=(58.395,), scale=1 / 255)
ABSURD: dict[str, tuple[Any, Normalize, str]] = {
    "a head of zeros": (dead, IMAGENET, "answers the same .*its head is constant"),
    "nearly constant": (faint, IMAGENET, "answers nearly the same"),
    "far logits": (wild, IMAGENET, "answers a mammogram with the logit"),
    "saturated": (sure, IMAGENET, "is sure of 100% of"),
    "no pair decides": (sure, IMAGENET, "says nothing about the order"),
    "mean 123.675 after 1/255": (same, MEAN_255, "after which no pixel is above 1"),
    "std 58 after 1/255": (
        same,
        Normalize(mean=(0.5,), std=(58.395,), scale=1 / 255),
        "Between black and white there is only",
    ),
    "0 to 255 with numbers for 0 to 1": (
        same,
        replace(IMAGENET, scale=1.0),
        "look like numbers for pixels from 0 to 1",
    ),
    "0 to 255 for 0 to 1, seen by a batch norm": (
        same,
        Normalize(mean=(0.0,), std=(1 / 8,), scale=1.0),
        "times as spread as in its training",
    ),
}


@pytest.mark.parametrize("mistake", ABSURD)
def test_what_is_absurd_is_warned_of_and_refused_when_strict(
    mistake: str, world: World, tmp_path: Path
) -> None:
    change, normalize, message = ABSURD[mistake]
    content = torch.load(world.members[0], weights_only=True)
    path = save(
        tmp_path / "fold0.pt",
        model=change(content["ema"]),
        model_kwargs=KWARGS,
        preprocess=CONFIG,
        normalize=normalize,
    )
    with pytest.raises(CheckError, match=f"--strict refuses model.onnx(.|\n)*{message}"):
        export.build(options(path, strict=True), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_warnings_are_said_and_recorded_and_a_sound_model_has_none(
    world: World, tmp_path: Path
) -> None:
    progress = Recorder()
    path = save(
        tmp_path / "fold0.pt",
        model=dead(torch.load(world.members[0], weights_only=True)["ema"]),
        model_kwargs=KWARGS,
        preprocess=CONFIG,
        normalize=IMAGENET,
    )
    built = export.build(options(path, progress=progress), tmp_path / "bundle")
    (card,) = reader.read(built.bundle.folder).model.models
    assert any("its head is constant" in text for text in card.warnings)
    assert any("its head is constant" in text for text in progress.texts)
    assert card.proof_line == "proof: none"
    sound = export.build(options(*world.members, strict=True), tmp_path / "sound")
    assert reader.read(sound.bundle.folder).model.models[0].warnings == ()


# --- thresholds ---


def rows(*lines: str) -> str:
    return "\n".join([HEADER, *lines]) + "\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            rows("7,1,1_L,49,0,1,0.8", "8,2,2_L,49,0,0,0.1", "7,1,1_L,49,1,1,0.3"),
            "image 7 has two rows that contradict each other: probability is 0.8 in the one",
        ),
        (
            rows("7,1,1_L,49,0,1,0.8", "8,2,2_L,49,0,0,0.1", "7,1,1_L,49,1,1,0.8"),
            "image 7 has two rows .* fold is 0 in the one and 1",
        ),
        (
            rows("7,1,1_L,49,0,1,0.8", "8,2,1_L,49,0,0,0.1"),
            "breast 1_L belongs to the patients 1 and 2",
        ),
    ],
)
def test_rows_that_contradict_each_other_are_refused(
    text: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "oof.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        out_of_fold.read([tmp_path / "oof.csv"])


def test_rows_that_are_there_twice_count_once(tmp_path: Path) -> None:
    once = rows("7,1,1_L,49,0,1,0.8", "8,2,2_L,49,0,0,0.1")
    (tmp_path / "oof.csv").write_text(once + "7,1,1_L,49,0,1,0.8\n")
    read = out_of_fold.read([tmp_path / "oof.csv"])
    assert (len(read.labels), read.repeated) == (2, 1)


def breasts(count: int, seed: int = 0) -> Iterator[tuple[int, int, float]]:
    """Yield breast, target and probability: 2 % of cancer, hard to tell."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        target = int(number % 50 == 0)
        yield number, target, float(np.clip(rng.normal(0.2 + 0.25 * target, 0.12), 0, 1))


def table(count: int) -> str:
    return rows(
        *(
            f"{n},{n // 2},{n}_X,49,{n // 2 % 7 % 5},{target},{p:.6f}"
            for n, target, p in breasts(count)
        )
    )


def test_a_cross_fitted_threshold_scores_less_than_the_one_of_its_own_rows(tmp_path: Path) -> None:
    from bundler.model import thresholds

    (tmp_path / "oof.csv").write_text(table(2000))
    curve = thresholds.curve(out_of_fold.read([tmp_path / "oof.csv"]), "mean")
    assert curve.cross_fit is not None
    assert (curve.cross_fit.by, len(curve.cross_fit.thresholds)) == ("fold", 5)
    assert curve.cross_fit.f1 < curve.pf1
    assert (curve.breasts, curve.positives) == (2000, 40)


def test_without_folds_the_parts_are_of_the_patients(tmp_path: Path) -> None:
    from bundler.model import thresholds

    lines = table(2000).splitlines()
    (tmp_path / "oof.csv").write_text(
        "\n".join(",".join(line.split(",")[:4] + line.split(",")[5:]) for line in lines)
    )
    fit = thresholds.curve(out_of_fold.read([tmp_path / "oof.csv"]), "mean").cross_fit
    assert fit is not None
    assert (fit.by, len(fit.thresholds)) == ("patients", 5)


def test_a_threshold_never_lies_on_a_tie(tmp_path: Path) -> None:
    """Two values that differ in the seventh digit: six digits of their middle are one of them."""
    from bundler.model import cuts, thresholds

    lines = ["1,1,1_L,49,0,1,0.5000001", "2,2,2_L,49,0,0,0.5000000", "3,3,3_L,49,1,0,0.1"]
    lines += ["4,4,4_L,49,1,1,0.9"]
    (tmp_path / "oof.csv").write_text(rows(*lines))
    read = out_of_fold.read([tmp_path / "oof.csv"])
    for aggregation in thresholds.AGGREGATIONS:
        threshold = thresholds.curve(read, aggregation).threshold
        assert cuts.count_ties(read.probabilities, threshold) == 0
    near = cuts.between(np.array([0.7000003, 0.7000001, 0.2]))
    assert near.last.tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("count", "changes", "message"),
    [
        (2000, {"prevalence": 0.08}, "prevalence of 2.00%, but the model's validation set"),
        (2000, {}, "have only 40 breasts with cancer"),
        (400, {}, "have only 8 breasts with cancer"),
        (2000, {"threshold": 0.999}, "calls no breast of the out-of-fold rows positive"),
        (2000, {"threshold": 0.5}, "lies on the probability of 1 of 2000 breasts"),
        (2000, {"leak": True}, "patients have out-of-fold rows in several folds"),
    ],
)
def test_what_makes_a_threshold_doubtful_is_said(
    count: int, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    from bundler.model import decision
    from bundler.model.remarks import remarks
    from inference.boot.card import Card

    lines = table(count).splitlines()
    if changes.get("threshold") == 0.5:
        lines[4] = lines[4].rpartition(",")[0] + ",0.5"
    if changes.get("leak"):
        lines[4] = lines[4].replace(",49,1,", ",49,4,")
    text = "\n".join(lines) + "\n"
    (tmp_path / "oof.csv").write_text(text)
    path = save(tmp_path / "fold0.pt", prevalence=changes.get("prevalence", 0.0206))
    given = options(path, oof=(tmp_path / "oof.csv",), threshold=changes.get("threshold")).export
    one = checkpoint.read(path)
    decided = decision.decide(given, [one], SILENT)
    (ensemble,) = _group([one], options(path))
    card = describe(ensemble, decided, given)
    assert isinstance(card, Card)
    assert any(message in remark.text for remark in remarks(card))


def describe(ensemble: Ensemble, decided: Any, given: Any) -> Any:
    from bundler.model import card
    from inference.boot.card import Parity

    parity = Parity(
        images=1,
        real=0,
        probability_max=0.0,
        probability_mean=0.0,
        logit_max=0.0,
        logit_mean=0.0,
        rank_agreement=1.0,
        tolerance=1e-4,
    )
    about = {"operations": 1, "golden_images": 1, "compared": parity, "proof": None}
    return card.describe(ensemble, decided, given, warnings=(), **about)


def _group(checkpoints: Sequence[Checkpoint], given: ModelOptions) -> list[Ensemble]:
    return group([(given.members[0], checkpoints)], given.export)
