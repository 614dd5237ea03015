"""What a model says of itself, on the command line."""

import json
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner

from bundler.cli import cli
from bundler.errors import InputError
from bundler.model import card, export
from bundler.model.remarks import remarks
from inference.boot import bundle as reader
from inference.boot.fields import plain
from inference.errors import BundleError
from tests.bundler.model.checkpoints import options, save
from tests.bundler.model.test_thresholds import drawn, write
from tests.recorder import Recorder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose checkpoint was validated on half positives, with its out-of-fold rows."""
    folder = tmp_path_factory.mktemp("card")
    path = save(folder / "fold0_epoch02_vpfbeta0.504.pt", prevalence=0.5, dirty=True)
    oof = write(folder / "oof.csv", drawn())
    built = export.build(options(path, oof=(oof,), threshold=None), folder / "bundle")
    return built.bundle.folder


def show(path: Path, *more: str) -> str:
    result = CliRunner().invoke(cli, ["model", "show", str(path), *more], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_shows_where_a_model_comes_from(place: Path) -> None:
    for path in (place, place / "bundle.json", place / "model.onnx"):
        text = show(path)
        assert "test_resnet, fp32, 1 channel" in text
        assert "fold0_epoch02_vpfbeta0.504.pt" in text
        assert "fold 0, epoch 2, pfbeta 0.504, per breast at prevalence 50.00%" in text
        assert "commit 0123456789ab (dirty)" in text
        assert "out of fold, mean  pF1 0." in text
        assert "proof              none" in text
        assert "cross-fitted F1 0." in text
        assert "which is optimistic" in text
        assert "out of fold, max   pF1 0." in text
        assert "plateau" in text
        assert "billion floating-point operations an image; 16 golden images replayed" in text


def test_an_unnatural_prevalence_is_a_warning_in_red(place: Path) -> None:
    (only,) = card.read(place)
    red = [line for line in card.render(only).splitlines() if card.RED in line]
    assert "validated at a prevalence of 50.00%; naturally it is 2 %" in red[0]
    assert "rows have a prevalence of 9.50%, but the model's validation set" in red[1]
    assert "rows have a prevalence of 9.50% (38 of 400 breasts); the competition's is 2 %" in red[2]
    assert card.RED not in show(place)  # no colours where nobody sees them
    first = replace(only.checkpoints[0], prevalence=0.0206)
    natural = replace(only, checkpoints=(first,), out_of_fold=None)
    assert not any(remark.serious for remark in remarks(natural))


def test_unknown_measures_are_said_to_be_unknown(place: Path) -> None:
    (only,) = card.read(place)
    stranger = replace(only, checkpoints=(replace(only.checkpoints[0], metrics_per=None),))
    lines = "".join(remark.text for remark in remarks(stranger))
    assert "does not say whether its metrics are per breast or per image" in lines


def test_the_threshold_is_the_best_out_of_fold(place: Path) -> None:
    bundle = reader.verify(place)
    (only,) = bundle.model.models
    assert only.out_of_fold is not None
    (mean, highest) = only.out_of_fold.curves
    assert only.threshold == mean.threshold
    assert only.out_of_fold.pf1_at_threshold == pytest.approx(mean.pf1, abs=1e-3)
    assert highest.aggregation == "max"
    assert "threshold.png" in {file.name for file in bundle.files}


def test_json_is_the_card(place: Path) -> None:
    assert json.loads(show(place / "model.onnx", "--json"))["models"] == plain(card.read(place))


def test_what_is_no_model_is_refused(place: Path, tmp_path: Path) -> None:
    (tmp_path / "html.onnx").write_text("<html></html>")
    with pytest.raises(InputError, match=r"html\.onnx is not an ONNX file, or is cut short"):
        card.read(tmp_path / "html.onnx")
    model = onnx.load(place / "model.onnx")
    model.metadata_props[0].value = "{no json"
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(InputError, match="no readable rsna-bundle metadata"):
        card.read(tmp_path / "other.onnx")
    (tmp_path / "some.json").write_text("{}")
    for name in ("some.json", "weights.pth"):
        (tmp_path / name).touch()
        with pytest.raises(InputError, match=r"is not an ONNX file .* --dry-run --ckpt"):
            card.read(tmp_path / name)
    with pytest.raises(InputError, match="There is no"):
        card.read(tmp_path / "none.onnx")
    with pytest.raises(BundleError, match="cannot be read"):
        card.read(tmp_path)


def test_the_out_of_fold_rows_beside_a_checkpoint_are_used_if_they_are_its_own(
    tmp_path: Path,
) -> None:
    from bundler.model import checkpoint, decision, out_of_fold, thresholds

    oof = write(tmp_path / "fold0.oof.csv", drawn())
    own = thresholds.curve(out_of_fold.read([oof]), "mean").probabilistic
    progress = Recorder()
    for pfbeta, used in ((own, True), (own + 0.05, False)):
        path = save(tmp_path / "fold0.pt", metrics={"pfbeta": pfbeta})
        chosen = [checkpoint.read(path)]
        decided = decision.decide(options(path, threshold=0.3).export, chosen, progress)
        assert (len(decided.curves) == 2) is used
        assert decided.threshold == 0.3
    assert len(progress.texts) == 1
    assert "it is not this checkpoint's" in progress.texts[0]


def test_a_report_says_the_same_without_colours(place: Path) -> None:
    (only,) = card.read(place)
    progress = Recorder()
    card.report(only, progress)
    assert progress.texts[0] == card.tabulate(only)
    assert progress.texts[1:] == [remark.text for remark in remarks(only)]
    assert "\x1b" not in "".join(progress.texts)
