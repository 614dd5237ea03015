"""The runner as a process, on real bundles: what it leaves, whatever happens to it."""

import csv
import hashlib
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import pytest

from tests.inference import mounts
from tests.inference.mounts import SLOW, Mount, Mounted, rows_of, wait_for

RERUN = {"KAGGLE_IS_COMPETITION_RERUN": "1"}
PREVALENCE = 0.02


@pytest.fixture
def mounted(mount: Mount) -> Mounted:
    """Six patients, both breasts, two views."""
    return mount(6)


def check_files(mounted: Mounted, state: str) -> None:
    """Check that the two files speak of each other, and that nothing else is left."""
    report = mounted.report
    assert report["state"] == state
    assert report["csv_sha256"] == hashlib.sha256(mounted.csv.read_bytes()).hexdigest()
    rows = dict.fromkeys(row["prediction_id"] for row in rows_of(mounted))
    assert list(mounted.values()) == list(rows)
    left = {path.name.removesuffix(".old") for path in mounted.working.iterdir()}
    assert left - {"predictions.csv"} == {"submission.csv", "submission.json"}


def test_a_sound_run_is_complete(mounted: Mounted) -> None:
    result = mounted.run()
    assert result.returncode == 0, result.stderr
    check_files(mounted, "complete")
    assert mounted.report["fallbacks"] == []
    assert "error" not in mounted.report or mounted.report["error"] is None
    assert mounted.journals == []  # nothing is resumed from a run that is at its end
    assert "rehearsal" not in mounted.report
    assert len(set(mounted.values().values())) > 6


def test_each_image_is_written_with_its_probability(mounted: Mounted) -> None:
    """As it was before any decision: the mean of a breast's images is what is submitted."""
    assert mounted.run().returncode == 0
    with (mounted.working / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["image_id"] for row in rows] == [row["image_id"] for row in rows_of(mounted)]
    by_breast: dict[str, list[float]] = {}
    for row in rows:
        by_breast.setdefault(row["prediction_id"], []).append(float(row["probability"]))
    assert {name: fmean(values) for name, values in by_breast.items()} == mounted.values()


def test_a_mean_of_ranks_is_taken_over_all_images(
    tmp_path: Path, make_model: Callable[..., Path], make_image: Callable[..., Path]
) -> None:
    mounted = mounts.mount(tmp_path, make_model(average="rank"), make_image, 3)
    assert mounted.run().returncode == 0
    with (mounted.working / "predictions.csv").open(newline="") as stream:
        values = [float(row["probability"]) for row in csv.DictReader(stream)]
    assert fmean(values) == pytest.approx(0.5)  # whatever the model says
    assert all(round(2 * len(values) * value, 4).is_integer() for value in values)


def test_a_rehearsal_says_loudly_that_the_threshold_is_its_own(mounted: Mounted) -> None:
    result = mounted.run(RSNA_BUNDLE_REHEARSAL='{"threshold": 0.25}')
    assert result.returncode == 0, result.stderr
    line = "REHEARSAL: RSNA_BUNDLE_REHEARSAL is set. The threshold is 0.25, not the model's"
    assert result.stdout.count(line) == 2  # at the start, and beside what was written
    assert mounted.report["rehearsal"] == {"threshold": 0.25}


@pytest.mark.parametrize("text", ["", "1", '{"threshold": "half"}', '{"threshhold": 0.5}'])
def test_what_no_rehearsal_asks_for_is_refused(mounted: Mounted, text: str) -> None:
    result = mounted.run(RSNA_BUNDLE_REHEARSAL=text)
    assert result.returncode == 2, result.stdout
    assert "is nothing that `rsna-bundle rehearse` sets" in result.stderr


# --- from the first moment on there is a submission ---


def test_there_is_a_seed_while_the_run_goes_on(mounted: Mounted) -> None:
    mounted.csv.write_text("prediction_id,cancer\nof,0.5\nyesterday,0.5\n")
    mounted.plant(SLOW.format(seconds=0.3))
    with mounted.start() as process:
        wait_for(lambda: mounted.csv.is_file() and "yesterday" not in mounted.csv.read_text())
        report = mounted.report
        seed = mounted.values()
        process.kill()
    assert report["state"] == "fallbacks only"
    assert report["error"] == "The run has not come to its end."
    assert set(seed.values()) == {PREVALENCE}
    assert len(seed) == 12
    old = mounted.csv.with_name("submission.csv.old")
    assert "yesterday" in old.read_text()
    # The next run does not take the seed for anything that is worth keeping.
    mounted.plant("")
    assert mounted.run().returncode == 0
    assert "yesterday" in old.read_text()
    assert mounted.report["state"] == "complete"


def test_without_a_seed_there_is_nothing_before_the_end(mounted: Mounted) -> None:
    mounted.csv.write_text("yesterday")
    mounted.plant(SLOW.format(seconds=0.3))
    with mounted.start("--no-seed") as process:
        wait_for(lambda: mounted.journals)
        assert not mounted.csv.exists()
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 143
    assert not mounted.csv.exists()
    assert not (mounted.working / "submission.json").exists()
    mounted.plant("")
    assert mounted.run("--no-seed").returncode == 0
    check_files(mounted, "complete")


# --- ends before its time ---


@pytest.mark.parametrize(("kind", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_what_there_is(mounted: Mounted, kind: signal.Signals, code: int) -> None:
    mounted.plant(SLOW.format(seconds=0.25))
    with mounted.start() as process:
        assert process.stdout is not None
        wait_for(lambda: mounted.journals and mounted.journals[0].stat().st_size > 1500)
        process.send_signal(kind)
        output = process.stdout.read()
    assert process.returncode == code
    assert f"error: Interrupted by {kind.name}." in output.splitlines()
    assert "Traceback" not in output
    check_files(mounted, "partial")
    assert 0 < len(mounted.report["fallbacks"]) < 12
    assert any(value != PREVALENCE for value in mounted.values().values())


@pytest.mark.parametrize(("kind", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_is_one_line_where_there_is_nothing_to_write(
    mounted: Mounted, kind: signal.Signals, code: int
) -> None:
    table = mounted.competition / "test.csv"
    table.unlink()
    os.mkfifo(table)  # as a file system that hangs
    with mounted.start() as process:
        wait_for(lambda: list((mounted.root / "scratch").glob("site-*")))
        time.sleep(1)
        process.send_signal(kind)
        output = process.communicate()[0]
    assert process.returncode == code
    assert output.splitlines()[1:] == [f"error: Interrupted by {kind.name}."]  # after the lock's
    assert list(mounted.working.iterdir()) == []


@pytest.mark.slow
def test_ctrl_c_reaches_workers_too_and_is_one_line_all_the_same(mounted: Mounted) -> None:
    mounted.plant(SLOW.format(seconds=20))
    for pause in (0, 0.1, 0.3, 0.6):  # while the workers start, and import what they need
        with mounted.start("--workers", "4") as process:
            wait_for(lambda: mounted.csv.is_file())
            time.sleep(pause)
            os.killpg(process.pid, signal.SIGINT)
            output = process.communicate()[0]
        assert process.returncode == 130
        assert output.splitlines()[-1] == "error: Interrupted by SIGINT.", output
        assert "Traceback" not in output
        mounted.csv.unlink(missing_ok=True)


def test_a_signal_before_the_first_prediction_leaves_no_submission(mounted: Mounted) -> None:
    mounted.plant(SLOW.format(seconds=20))
    with mounted.start() as process:
        wait_for(mounted.csv.is_file)
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 143
    assert not mounted.csv.exists()
    assert mounted.report["state"] == "fallbacks only"
    assert mounted.report["error"] == "Interrupted by SIGTERM."


def test_on_a_rerun_what_is_enough_ends_normally(mounted: Mounted) -> None:
    # The last image hangs: by then every breast has one view at least.
    mounted.plant("def before(path):\n    if path.stem == '5RCC': time.sleep(60)")
    with mounted.start(**RERUN) as process:
        assert process.stdout is not None
        wait_for(lambda: mounted.journals and mounted.journals[0].read_bytes().count(b"\n") >= 22)
        process.send_signal(signal.SIGTERM)
        output = process.stdout.read()
    assert process.returncode == 0, output
    assert "warning: The run ended early: Interrupted by SIGTERM." in output
    check_files(mounted, "partial")
    assert mounted.report["fallbacks"] == []


# The clock jumps behind the time limit once so many images are settled, on a machine of any speed.
CLOCK = """\
from inference import deadline
real_pace = deadline.Deadline.pace
def pace(self, done, total):
    if done >= {done}: self.start = time.monotonic() - 1e6
    return real_pace(self, done, total)
deadline.Deadline.pace = pace
"""


def test_a_deadline_leaves_every_breast_a_prediction(mounted: Mounted) -> None:
    mounted.plant(CLOCK.format(done=16))
    for name in ("5LMLO", "5RMLO"):  # whose other views are the last of all
        mounted.image(name).unlink()
    result = mounted.run("--time-limit", "3600", **RERUN)
    assert result.returncode == 0, result.stderr
    report = mounted.report
    assert 0 < report["skipped_images"] <= 12
    assert report["fallbacks"] == []
    check_files(mounted, "partial")


def test_at_a_deadline_errors_stay_errors_outside_a_rerun(mounted: Mounted) -> None:
    mounted.plant(CLOCK.format(done=12))
    # Those left out count as failed, though a rerun would take what there is.
    result = mounted.run("--time-limit", "3600", "--at-deadline", "coarse")
    assert result.returncode == 7, result.stderr
    assert "of 24 images to do" in result.stderr
    check_files(mounted, "partial")


def test_fallbacks_alone_are_never_a_submission(mounted: Mounted) -> None:
    for path in mounted.competition.glob("test_images/*/*.dcm"):
        path.unlink()
    for options in ((), ("--max-failures", "1"), ("--on-failures", "finish")):
        result = mounted.run(*options, **RERUN)
        assert result.returncode == 6
        assert "No breast has a prediction" in result.stderr
        assert not mounted.csv.exists()
        assert mounted.report["state"] == "fallbacks only"
        assert mounted.report.get("csv_sha256") is None


MEMORY = """\
from inference import predict
real, kept = predict.Model.predict, []
def predict_and_keep(self, images, metadata=None):
    kept.append(bytearray(64 << 20))
    return real(self, images, metadata)
predict.Model.predict = predict_and_keep
"""


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits a process that runs")
def test_a_parent_out_of_memory_leaves_what_there_is(mounted: Mounted) -> None:
    mounted.plant(MEMORY + SLOW.format(seconds=0.05))
    with mounted.start() as process:
        assert process.stdout is not None
        wait_for(lambda: mounted.journals)
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + (640 << 20)
        resource.prlimit(process.pid, resource.RLIMIT_AS, (most, most))
        output = process.stdout.read()
    assert process.returncode == 1, output
    assert "error: Memory ran out. Use fewer --workers" in output
    check_files(mounted, "partial")
    mounted.plant("")
    assert mounted.run().returncode == 0  # and the next run goes on from there
    assert mounted.report["resumed_images"] > 0


BROKEN = """\
from inference import predict
def predict_nothing(self, images, metadata=None): raise {error}
predict.Model.predict = predict_nothing
"""


def test_an_error_of_ours_is_one_on_a_rerun_too_where_nothing_was_predicted(
    mounted: Mounted,
) -> None:
    mounted.plant(BROKEN.format(error="ValueError('planted')"))
    result = mounted.run(**RERUN)
    assert result.returncode == 70
    assert "ValueError: planted" in result.stderr
    assert not mounted.csv.exists()


NAN = """\
from inference import predict
real = predict.Model.predict
calls = []
def sometimes(self, images, metadata=None):
    calls.append(1)
    return real(self, images, metadata) * (float("nan") if len(calls) == 5 else 1)
predict.Model.predict = sometimes
"""


def test_a_model_that_predicts_no_number_is_an_error_but_on_a_rerun(mounted: Mounted) -> None:
    mounted.plant(NAN)
    assert mounted.run(**RERUN).returncode == 0
    assert "nan" not in mounted.csv.read_text()
    assert len(mounted.report["failures"]["not-a-number"]) == 1
    result = mounted.run("--max-failures", "1")
    assert result.returncode == 1
    assert "The model predicts nan for the image" in result.stderr


# --- images ---


def test_an_exception_of_any_kind_costs_its_image_alone(mounted: Mounted) -> None:
    mounted.plant(
        "class Local(Exception):\n"
        "    def __reduce__(self): raise TypeError('not to be pickled')\n"
        "    def __str__(self): raise ValueError('nor printed')\n"
        "class Odd(BaseException): pass\n"
        "def recurse(): recurse()\n"
        "def before(path):\n"
        "    match path.stem:\n"
        "        case '0LCC': raise RuntimeError('planted')\n"
        "        case '0LMLO': recurse()\n"
        "        case '1LCC': raise Local\n"
        "        case '1LMLO': sys.exit(3)\n"
        "        case '2LCC': raise Odd\n"
        "        case '2LMLO': raise MemoryError\n"
        "        case '3LCC': os._exit(4)\n"
    )
    result = mounted.run("--max-failures", "0.5")
    assert result.returncode == 0, result.stderr
    assert mounted.report["failures"] == {
        "unexpected": ["0LCC", "0LMLO", "1LCC", "1LMLO", "2LCC"],
        "no-memory": ["2LMLO"],
        "crashed": ["3LCC"],
    }
    for text in ("RuntimeError: planted", "RecursionError", "SystemExit: 3", "Odd", "exit 4"):
        assert text in result.stderr


def test_six_killed_workers_cost_no_sound_image(mounted: Mounted) -> None:
    mounted.plant(
        "def before(path):\n"
        "    mark = Path(os.environ['MARKS']) / path.stem\n"
        "    if path.stem in ('0LCC', '0RCC', '1LMLO', '2RMLO', '4LCC', '5RCC'):\n"
        "        if not mark.exists():\n"
        "            mark.touch()\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    marks = mounted.root / "marks"
    marks.mkdir()
    result = mounted.run(MARKS=str(marks))
    assert result.returncode == 0, result.stderr
    assert len(list(marks.iterdir())) == 6
    assert mounted.report["failures"] == {}
    assert mounted.report["images"]["by_decoder"] == {"imagecodecs jpeg2k (OpenJPEG)": 24}
    killed = mounted.csv.read_bytes()
    mounted.plant("")
    assert mounted.run().returncode == 0
    assert mounted.csv.read_bytes() == killed


def test_a_pipe_and_a_folder_in_the_place_of_an_image_do_not_hang(mounted: Mounted) -> None:
    for name, make in (("0LCC", os.mkfifo), ("1LCC", os.mkdir)):
        path = mounted.image(name)
        path.unlink()
        make(path)
    result = mounted.run("--max-failures", "0.1")
    assert result.returncode == 0, result.stderr
    assert mounted.report["failures"] == {"missing": ["0LCC", "1LCC"]}


SUSPECT = """\
from dataclasses import replace
real = workers.load
def suspect(path, configs):
    signs = ("its scan ends before the last sample",)
    bad = Path(path).stem in {names}
    return replace(real(path, configs), suspicious=signs) if bad else real(path, configs)
workers.load = suspect
"""


def test_suspicious_images_are_used_only_where_a_breast_has_no_other(mounted: Mounted) -> None:
    assert mounted.run().returncode == 0
    sound = mounted.values()
    mounted.image("0LCC").unlink()
    mounted.image("1LCC").unlink()
    assert mounted.run("--max-failures", "0.1").returncode == 0
    without = mounted.values()
    for name in ("0LCC", "1LCC"):
        mounted.image("2LCC").with_name("x").write_bytes(mounted.image("2LCC").read_bytes())
        copy = mounted.competition / "test_images" / name[0] / f"{name}.dcm"
        copy.write_bytes(mounted.image("5RMLO").read_bytes())
    mounted.plant(SUSPECT.format(names=["0LCC", "1LCC", "3RCC", "3RMLO"]))
    strict = mounted.run()
    assert strict.returncode == 6
    assert "4 of 24 images may be damaged" in strict.stderr
    result = mounted.run(**RERUN)
    assert result.returncode == 0, result.stderr
    values = mounted.values()
    assert values["0_L"] == without["0_L"] != sound["0_L"]  # of the sound view alone
    assert values["3_R"] == sound["3_R"]  # both views are doubtful: better than nothing
    assert mounted.report["fallbacks"] == []
    assert mounted.report["suspicious"] == {
        name: ["its scan ends before the last sample"] for name in ("0LCC", "1LCC", "3RCC", "3RMLO")
    }


# --- the failure rule ---


def test_max_failures_holds_where_finish_does(mounted: Mounted) -> None:
    for name in ("0LCC", "1RCC"):  # 8 % of the images
        mounted.image(name).unlink()
    finish = mounted.run("--on-failures", "finish")
    assert finish.returncode == 0, finish.stderr
    for variables in ({}, RERUN):
        result = mounted.run("--on-failures", "finish", "--max-failures", "0.05", **variables)
        assert result.returncode == 6
        assert "2 of 24 images failed: that is more than 5.0%" in result.stderr
        assert "allow more with --max-failures." in result.stderr
    result = mounted.run()
    assert result.returncode == 6
    assert "with --max-failures or --on-failures finish." in result.stderr
    check_files(mounted, "complete")  # all that can be predicted is there


def test_on_a_rerun_the_breasts_without_a_prediction_decide(mounted: Mounted) -> None:
    for row in rows_of(mounted):  # half of the images, but every breast has one
        if row["view"] == "CC":
            mounted.image(row["image_id"]).unlink()
    assert mounted.run(**RERUN).returncode == 0
    for name in ("0LMLO", "1LMLO"):  # 2 of 12 breasts
        mounted.image(name).unlink()
    assert mounted.run(**RERUN).returncode == 0
    mounted.image("2LMLO").unlink()  # 3 of 12: 25 %
    result = mounted.run(**RERUN)
    assert result.returncode == 6
    assert "3 of 12 breasts have no prediction of their own: that is more than 20" in result.stderr


# --- the table ---


def test_rows_that_come_twice_and_blank_last_lines(mounted: Mounted) -> None:
    assert mounted.run().returncode == 0
    expected = mounted.csv.read_bytes()
    rows = rows_of(mounted)
    mounted.write_table([*rows, rows[0], rows[0], rows[5]], end="\n,,,,\n   \n")
    result = mounted.run()
    assert result.returncode == 0, result.stderr
    assert "24 images, 12 breasts; 3 rows were there before" in result.stdout
    assert mounted.csv.read_bytes() == expected


def test_two_runs_with_one_output_do_not_mix(mounted: Mounted) -> None:
    mounted.plant(SLOW.format(seconds=0.1))
    with mounted.start() as first:
        wait_for(lambda: (mounted.working / "submission.csv.partial").exists())
        second = mounted.run()
        assert first.stdout is not None
        output = first.stdout.read()
    assert second.returncode == 1
    assert "Another run is writing" in second.stderr
    assert first.returncode == 0, output
    check_files(mounted, "complete")


def test_a_log_that_nobody_can_read_or_hold_does_not_end_the_run(mounted: Mounted) -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            mounted.command(),
            env=mounted.environment(),
            cwd=mounted.working,
            stdout=full,
            stderr=full,
            check=False,
        )
    check_files(mounted, "complete")
    assert result.returncode == 0
