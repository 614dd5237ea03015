"""Ensembles by a file: what is exported, how the runner averages it, and what is refused."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import torch
from click.testing import CliRunner, Result

from bundler.cli import cli, model_config
from bundler.errors import BundlerError, InputError, UsageError
from bundler.model import ensemble, export
from bundler.model.golden_dicoms import DRAWINGS, draw_dicom
from bundler.progress import SILENT
from bundler.settings import Settings
from inference import averaging, pipeline, predict
from inference.boot import bundle as reader
from inference.boot.bundle import Bundle
from inference.outcome import Outcome
from inference.pixels.loading import load
from inference.predict import Replica
from inference.submission import TestImage
from inference.workers import Workers
from tests.bundler.model.checkpoints import SIZE, net, options, save

OTHER_SIZE = (64, 48)
MEMBERS = """\
threshold = 0.4

[[member]]
ckpt = ["folds/*.pt"]

[[member]]
ckpt = ["other/best.pth"]
arch = "test_efficientnet"
preset = "baseline-512"
size = [64, 48]
mean = [0.4]
std = 0.2
scale = "1/255"
prevalence = 0.04
weight = 3.0
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two folds of one network, and a bare state_dict of another."""
    root = tmp_path_factory.mktemp("ensemble")
    for fold in range(2):
        save(root / "folds" / f"fold{fold}.pt", seed=fold, fold=fold)
    (root / "other").mkdir()
    torch.save(net("test_efficientnet", 5).state_dict(), root / "other" / "best.pth")
    return root


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Bundle:
    (folder / "model.toml").write_text(MEMBERS)
    return build(folder / "model.toml", folder / "bundle")


def build(path: Path, out: Path) -> Bundle:
    read = model_config.read(path, Settings(root=path.parent), SILENT)
    return reader.verify(export.build(read, out).bundle.folder)


def by_hand(bundle: Bundle, image: Path) -> npt.NDArray[np.float64]:
    """Return what each file of a bundle answers to one DICOM file, by ONNX Runtime alone."""
    answers = []
    for one in bundle.model.models:
        session = onnxruntime.InferenceSession(bundle.folder / one.file)
        config = predict.load(bundle, "cpu")[0][len(answers)].preprocess
        pixels = load(image, [config]).inputs[0][None, None]
        answers.append(session.run(["probability"], {"image": pixels})[0].item())
    return np.array(answers)


def by_runner(replicas: Sequence[Replica], paths: Sequence[Path], workers: Workers) -> Outcome:
    images = [
        TestImage(image_id=path.stem, patient_id="p", prediction_id="p_L", path=path, columns={})
        for path in paths
    ]
    return pipeline.run(images, replicas, workers, pipeline.Settings(batch_size=2))


def draw(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{number}.dcm" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(draw_dicom(number, DRAWINGS[0]))
    return paths


def test_each_member_is_one_file(bundle: Bundle) -> None:
    first, second = bundle.model.models
    assert (first.file, second.file) == ("model0.onnx", "model1.onnx")
    assert (first.arch, second.arch) == ("test_resnet", "test_efficientnet")
    assert (first.preprocess.size, second.preprocess.size) == (SIZE, OTHER_SIZE)
    assert [len(one.checkpoints) for one in (first, second)] == [2, 1]
    assert (first.weight, second.weight) == (1.0, 3.0)
    assert {one.average for one in (first, second)} == {"weighted"}
    assert {one.threshold for one in (first, second)} == {0.4}
    # The runner takes one number for all, whatever each member was validated at.
    assert first.prevalence == second.prevalence == pytest.approx((2 * 0.0206 + 0.04) / 3)


def test_the_runner_averages_by_the_weights(
    bundle: Bundle, decoding: Workers, tmp_path: Path
) -> None:
    paths = draw(tmp_path, 3)
    each = np.stack([by_hand(bundle, path) for path in paths])
    assert np.abs(each[:, 0] - each[:, 1]).min() > 1e-3  # else any weights would do
    replicas = predict.load(bundle, "cpu")
    outcome = by_runner(replicas, paths, decoding)
    expected = (each[:, 0] + 3 * each[:, 1]) / 4
    assert [outcome.probabilities[key] for key in range(3)] == pytest.approx(expected, abs=1e-5)
    ranked = [
        [replace(one, card=replace(one.card, average="rank")) for one in some] for some in replicas
    ]
    ranks = (each.argsort(axis=0).argsort(axis=0) + 0.5) / 3
    outcome = by_runner(ranked, paths, decoding)
    expected = (ranks[:, 0] + 3 * ranks[:, 1]) / 4
    means = averaging.rank(outcome.members, [one.card.weight for one in ranked[0]])
    assert [means[key] for key in range(3)] == pytest.approx(expected, abs=1e-6)


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, ["model", *map(str, words)])


def test_a_file_that_was_written_gives_an_equal_bundle(folder: Path, tmp_path: Path) -> None:
    given = ["--ckpt", folder / "folds" / "fold0.pt"]
    given += ["--scale", "1/255", "--mean", "0.4", "--size", *map(str, SIZE), "--threshold", "0.4"]
    given += ["--ensemble", "separate", "--average", "rank", "--weights", "raw"]
    path = tmp_path / "sub" / "model.toml"
    written = run(*given, "--write-config", path)
    assert written.exit_code == 0, written.output
    assert str(folder.parent) not in path.read_text()  # relative: it may move with its folder
    assert run(*given, "--write-config", path).exit_code == 0  # equal, so nothing is lost
    text = path.read_text()
    other = run("--ckpt", "x.pt", "--write-config", path)
    assert isinstance(other.exception, UsageError)
    assert "holds something else" in str(other.exception)
    assert path.read_text() == text
    done = [
        run(*given, "--out", tmp_path / "a"),
        run("--config", path, "--out", tmp_path / "b"),
    ]
    assert [one.exit_code for one in done] == [0, 0], done
    one, again = (reader.read(tmp_path / name) for name in "ab")
    assert one.id == again.id
    assert {model.average for model in again.model.models} == {"rank"}


FIRST, SECOND = '[[member]]\nckpt = ["folds/*.pt"]\n', '[[member]]\nckpt = ["other/*.pth"]\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FIRST + 'aggregation = "max"\n', "member 1: unknown key 'aggregation'. It belongs above"),
        ('arch = "x"\n' + FIRST, "top level: unknown key 'arch'. It belongs in a [[member]]"),
        (FIRST + SECOND + 'presett = "roi"\n', "member 2: unknown key 'presett'. Did you mean"),
        (FIRST + "in_chans = 3\n", "Did you mean 'in-chans'?"),
        ("threshhold = 0.3\n" + FIRST, "Did you mean 'threshold'?"),
        (FIRST + 'size = "512"\n', "member 1: size is '512'; it must be a number"),
        (FIRST + "size = [512]\n", "it must be a list of 2 values"),
        (FIRST + "prevalence = true\n", "prevalence is True; it must be a number"),
        (FIRST + 'head = ["sigmoid:0", "softmax"]\n', "it must be one value, not a list"),
        (FIRST + 'arch = ["a", "b"]\n', "it was given 2 times (a, b)"),
        (FIRST + "mean = [0.5, 2020-01-01]\n", "must be text or a number"),
        (FIRST + 'crop = "all"\n', "'--crop': 'all' is not one of"),
        ('strict = "yes"\n' + FIRST, "strict is 'yes'; it must be true or false"),
        ('average = "median"\n' + FIRST, "'--average': 'median' is not one of"),
        (FIRST + "weight = nan\n", "'--weight': nan is not a number above 0"),
        (FIRST + "weight = inf\n", "inf is not a number above 0"),
        (FIRST + "weight = 0\n", "0.0 is not a number above 0"),
        (FIRST + '[[member]]\nckpt = ["old/*.pt"]\n', "member 2: ckpt 'old/*.pt' matches no file"),
        (FIRST + '[[member]]\narch = "x"\n', "member 2 names no checkpoint"),
        ('threshold = 0.3\n[member]\nckpt = "a"\n', "no [[member]] table"),
        ("member = []\n", "an empty list of members"),
        ("[[member]\n", "cannot be read"),
    ],
)
def test_a_mistake_is_refused_by_file_and_key(text: str, message: str, folder: Path) -> None:
    path = folder / "wrong.toml"
    path.write_text(text)
    with pytest.raises((UsageError, InputError)) as refused:
        model_config.read(path, Settings(root=folder), SILENT)
    assert message in str(refused.value)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FIRST + '[[member]]\nckpt = ["folds/fold1.pt"]\n', "(member 2) and "),
        (FIRST + '[[member]]\nckpt = ["copy.pt"]\nfold = 1\n', "are the same checkpoint"),
        ('ensemble = "separate"\n' + FIRST + SECOND, "cannot be used with several"),
    ],
)
def test_members_that_cannot_be_averaged_are_refused(
    text: str, message: str, folder: Path, tmp_path: Path
) -> None:
    path = folder / "wrong.toml"
    (folder / "copy.pt").write_bytes((folder / "folds" / "fold1.pt").read_bytes())
    path.write_text("threshold = 0.3\n" + text)
    with pytest.raises(BundlerError) as refused:
        build(path, tmp_path / "bundle")
    assert message in str(refused.value)
    assert not (tmp_path / "bundle").exists()


def test_a_mean_of_ranks_has_no_threshold_of_probabilities(folder: Path, tmp_path: Path) -> None:
    path = folder / "ranks.toml"
    path.write_text('average = "rank"\noutput = "binary"\n' + FIRST)
    with pytest.raises(UsageError, match="needs its threshold from you"):
        build(path, tmp_path / "bundle")


def test_separate_folds_share_a_prevalence(tmp_path: Path) -> None:
    """The runner refuses a bundle whose files differ in it."""
    paths = [save(tmp_path / f"{n}.pt", seed=n, fold=n, prevalence=0.01 + n / 50) for n in (0, 1)]
    given = options(*paths, ensemble="separate")
    chosen = [(given.members[0], export.choose(given).chosen)]
    groups = ensemble.group(chosen, given.export)
    assert [one.prevalence for one in groups] == pytest.approx([0.02, 0.02])


def test_a_dry_run_shows_all_members(folder: Path) -> None:
    (folder / "dry.toml").write_text(MEMBERS)
    chosen = export.choose(model_config.read(folder / "dry.toml", Settings(root=folder), SILENT))
    assert [one.path.name for one in chosen.chosen] == ["fold0.pt", "fold1.pt", "best.pth"]
