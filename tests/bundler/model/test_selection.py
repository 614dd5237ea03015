"""Choosing among a folder's checkpoints, and saying what lies beside the chosen one."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from bundler.cli import cli
from bundler.errors import InputError, UsageError
from bundler.model import selection
from bundler.model.selection import Selection
from tests.bundler.model.checkpoints import net, options, save

# The wrong checkpoint that was once submitted: epoch 9, while epoch 49 lay beside it.
NAMES = (
    "model_fold0_epoch9_vacc0.910_vpfbeta0.412.pth",
    "model_fold0_epoch49_vacc0.545_vpfbeta0.504.pth",
    "model_fold1_epoch30_vacc0.800_vpfbeta0.480.pth",
    "model_fold1_epoch49_vacc0.545_vpfbeta0.450.pth",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("seed")
    state = net().state_dict()
    for name in NAMES:
        torch.save(state, place / name)
    return place


def select(*paths: Path, **changes: Any) -> Selection:
    return selection.select(options(*paths, **changes).choice)


def names(selected: Selection) -> list[str]:
    return [one.path.name for one in selected.chosen]


def test_takes_the_best_of_each_fold(folder: Path) -> None:
    assert names(select(folder)) == [NAMES[1], NAMES[2]]  # all record pfbeta: by that
    assert names(select(folder, by="vpfbeta")) == [NAMES[1], NAMES[2]]
    assert names(select(folder, by="vacc")) == [NAMES[0], NAMES[2]]
    assert names(select(folder, by="last")) == [NAMES[1], NAMES[3]]
    assert names(select(folder, folds=(1,))) == [NAMES[2]]


def test_prints_all_of_them_and_marks_the_chosen(folder: Path) -> None:
    table = select(folder).summary().splitlines()
    columns = ["file", "fold", "epoch", "vpfbeta", "vacc", "weights", "when", "(UTC)", "run"]
    assert table[0].split() == columns
    assert [line[0] for line in table[1:5]] == [" ", "→", "→", " "]
    assert "0.504" in table[2]


def test_says_that_a_better_and_later_one_lies_beside(folder: Path) -> None:
    notes = select(folder / NAMES[0]).notes
    assert len(notes) == 2
    assert f"{NAMES[1]} of the same run has a better pfbeta (0.504) than {NAMES[0]}" in notes[0]
    assert f"{NAMES[1]} of the same run is later (epoch 49)" in notes[1]
    assert select(folder / NAMES[1]).notes == []
    assert len(select(folder, by="last").notes) == 1  # fold 1's best is not its last


def test_an_unknown_metric_is_asked_about(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"records auc.* they record vacc, vpfbeta"):
        select(folder, by="auc")
    for name in ("a.pth", "b.pth"):
        shutil.copy(folder / NAMES[0], tmp_path / name)
    with pytest.raises(UsageError, match=r"no metric, neither inside nor in their names.* --by"):
        select(tmp_path)
    (tmp_path / "b.pth").unlink()
    assert names(select(tmp_path)) == ["a.pth"]  # nothing to choose


def test_runs_are_told_apart(tmp_path: Path) -> None:
    chosen = save(tmp_path / "a.pt", run_id="one", epoch=3)
    save(tmp_path / "b.pt", run_id="two", epoch=9, metrics={"pfbeta": 0.9})
    assert select(chosen).notes == []
    save(tmp_path / "c.pt", run_id="one", epoch=9, metrics={"pfbeta": 0.9})
    assert len(select(chosen).notes) == 2


def test_what_is_no_checkpoint_is_left_out_and_named(folder: Path, tmp_path: Path) -> None:
    for name in NAMES[:2]:
        shutil.copy(folder / name, tmp_path / name)
    (tmp_path / "broken.pth").write_bytes(b"PK\x03\x04 no zip")
    (tmp_path / "fold0.state").write_bytes(b"what a training resumes from")
    selected = select(tmp_path)
    assert names(selected) == [NAMES[1]]
    assert "left out: " in selected.summary()
    assert "broken.pth cannot be read" in selected.summary()
    assert ".state" not in selected.summary()


def test_nothing_to_choose_is_an_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no checkpoint in"):
        select(tmp_path)
    with pytest.raises(InputError, match="There is no checkpoint of fold 7 in"):
        select(folder, folds=(7,))
    with pytest.raises(InputError, match="There is no checkpoint of fold 1 in"):
        select(folder / NAMES[0], folds=(1,))  # a file is asked, too: this one is of fold 0


def test_several_runs_in_one_choice_are_said(tmp_path: Path) -> None:
    for fold, run_id in enumerate(("one", "two")):
        save(tmp_path / f"{run_id}.pt", run_id=run_id, fold=fold)
    (note,) = select(tmp_path).notes
    assert "is of 2 runs (one, two), whose folds may hold out other patients" in note
    assert select(tmp_path, folds=(1,)).notes == []


def test_losses_are_chosen_low(folder: Path, tmp_path: Path) -> None:
    for name in ("epoch=1-val_loss=0.5.ckpt", "epoch=2-val_loss=0.3.ckpt"):
        shutil.copy(folder / NAMES[0], tmp_path / name)
    shutil.copy(folder / NAMES[0], tmp_path / "epoch=3-val_loss=0.9.ckpt")
    assert names(select(tmp_path, by="loss")) == ["epoch=2-val_loss=0.3.ckpt"]


def test_a_script_reads_what_a_dry_run_would_choose(folder: Path) -> None:
    arguments = ["model", "--dry-run", "--json", "--ckpt", str(folder), "--by", "vacc"]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    said = json.loads(result.output)
    assert [one["file"] for one in said["chosen"]] == [str(folder / NAMES[i]) for i in (0, 2)]
    assert said["chosen"][0]["metrics"] == {"vacc": 0.91, "vpfbeta": 0.412}
    assert "is later (epoch 49)" in said["notes"][0]


# --- folds, and what is no fold ---


def write(folder: Path, *names: str, **content: Any) -> Path:
    """Write small files of weights; `content` lies beside them."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        number = float(sum(map(ord, name)))
        torch.save({"state_dict": {"fc.weight": torch.full((2, 2), number)}, **content}, path)
    return folder


@pytest.mark.parametrize(
    "pattern", ["m_f{}.pth", "fold_{}/best.pth", "kfold={}/best.pth", "f{}/a.pth", "{}/best.pth"]
)
def test_folds_are_known_by_names_and_folders(pattern: str, tmp_path: Path) -> None:
    write(tmp_path, *(pattern.format(fold) for fold in range(3)))
    selected = select(tmp_path)
    assert [one.fold for one in selected.chosen] == [0, 1, 2]
    assert ("taken for folds" in str(selected.notes)) == (pattern == "{}/best.pth")
    one = tmp_path / pattern.format(1)
    if pattern != "{}/best.pth":
        assert [one.fold for one in select(one).chosen] == [1]


def test_f1_alone_is_no_fold(tmp_path: Path) -> None:
    assert [one.fold for one in select(write(tmp_path / "a" / "b", "m_f1.pth")).chosen] == [None]


def test_a_last_state_is_no_second_fold(tmp_path: Path) -> None:
    write(tmp_path, "fold0_best.pth", "last.pth")
    for paths in ([tmp_path], [tmp_path / "fold0_best.pth", tmp_path / "last.pth"]):
        selected = select(*paths)
        assert names(selected) == ["fold0_best.pth"]
        assert "note: last.pth is left out: it is the last state of" in str(selected.notes)
    assert names(select(tmp_path / "last.pth")) == ["last.pth"]  # where it is meant


def test_the_best_is_known_by_its_name_where_no_metric_is(tmp_path: Path) -> None:
    selected = select(write(tmp_path, "best.pth", "last.pth"))
    assert names(selected) == ["best.pth"]
    assert "best.pth was chosen by its name" in str(selected.notes)
    assert len(names(select(tmp_path, by="last"))) == 1


def test_a_last_state_that_carries_the_best_score_is_not_the_best(tmp_path: Path) -> None:
    """As many trainings save it: `best_auc` is the run's so far, in every file."""
    write(tmp_path, "best.pth", best_auc=0.9, epoch=3)
    write(tmp_path, "last.pth", best_auc=0.9, epoch=9)
    assert names(select(tmp_path)) == ["best.pth"]


def test_an_unknown_fold_beside_known_ones_is_asked_about(tmp_path: Path) -> None:
    write(tmp_path, "fold0.pth", "fold1.pth", "other.pth")
    with pytest.raises(UsageError, match=r"Which fold is .*other\.pth of\?"):
        select(tmp_path)
    assert names(select(tmp_path, folds=(0, 1))) == ["fold0.pth", "fold1.pth"]
    write(tmp_path / "runs", "a/best.pth", "b/best.pth")
    with pytest.raises(UsageError, match=r"Which fold is .*best\.pth, .*best\.pth of\?"):
        select(tmp_path / "runs")


@pytest.mark.parametrize("metric", ["lr", "best_threshold", "seed", "epoch", "img_size"])
def test_what_is_no_quality_is_never_ranked(metric: str, tmp_path: Path) -> None:
    for name, value in (("a.pth", 1.0), ("b.pth", 2.0)):
        write(tmp_path, name, metrics={metric: value})
    with pytest.raises(
        UsageError, match=f"{metric} is a setting or a count, no measure of quality"
    ):
        select(tmp_path, by=metric)
    with pytest.raises(UsageError, match="Which checkpoint is the best"):
        select(tmp_path)


def test_an_unknown_direction_is_asked_about(tmp_path: Path) -> None:
    for name, value in (("a.pth", 1.0), ("b.pth", 2.0)):
        write(tmp_path, name, metrics={"foo": value})
    with pytest.raises(UsageError, match=r"Is a high or a low foo better\? Say --by foo:max or"):
        select(tmp_path, by="foo")
    assert names(select(tmp_path, by="foo:max")) == ["b.pth"]
    assert names(select(tmp_path, by="foo:min")) == ["a.pth"]


def test_averaged_weights_are_shown_and_chosen(tmp_path: Path) -> None:
    write(tmp_path, "a.pth", ema={"fc.weight": torch.zeros(2, 2)})
    write(tmp_path, "fold0.ckpt")
    assert "ema of both" in select(tmp_path / "a.pth").summary()
    chosen = selection.select(options(tmp_path / "a.pth").choice, "raw").chosen
    assert (chosen[0].weights, chosen[0].other_weights) == ("raw", "ema")
