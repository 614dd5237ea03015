"""The launcher with real bundles and real commands: what it gives them, and how they end."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import inference
from bundler import bundle
from inference.boot import hints
from inference.boot.manifest import Code
from tests import parts

PACKAGE = Path(inference.__file__).parent
SLUG = "leaf-disease"
SUBMIT = "open('submission.csv', 'w').write('id,target\\n1,0.5\\n')\n"
Files = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Notebook:
    """Mounted bundles and a competition, and a working folder."""

    root: Path
    ids: dict[str, str]

    @property
    def working(self) -> Path:
        return self.root / "working"

    def command(self, *words: str, options: tuple[str, ...] = ()) -> list[str]:
        """Return the command line, as the notebook's second cell has it."""
        launch = [sys.executable, "-P", "-m", "inference.launch", "--competition", SLUG]
        launch += ["--input", str(self.root / "input"), "--scratch", str(self.root / "scratch")]
        launch += ["--working", str(self.working), *options]
        for kind, identity in self.ids.items():
            launch += ["--expect-id", f"{kind}={identity}"]
        return [*launch, "--", *words]

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "PYTHONPATH": str(PACKAGE.parent)}

    def run(
        self, *words: str, options: tuple[str, ...] = (), **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Launch a command and wait for it."""
        return subprocess.run(
            self.command(*words, options=options),
            env=self.environment | variables,
            cwd=self.working,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Launch a command and return the launcher's process."""
        return subprocess.Popen(
            self.command(*words),
            env=self.environment,
            cwd=self.working,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def record(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.working / "run.json").read_text())
        return content


def zipped(path: Path, files: Files) -> Path:
    """Write a zip of these files, in a folder of its name, as `rsna-bundle code` does."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(f"{path.stem}/{name}"), text)
    return path


def runner() -> Files:
    """Return the runner's own files."""
    paths = PACKAGE.rglob("*.py")
    return {f"inference/{path.relative_to(PACKAGE).as_posix()}": path.read_text() for path in paths}


MakeNotebook = Callable[..., Notebook]


@pytest.fixture
def make_notebook(tmp_path: Path) -> MakeNotebook:
    """Return a maker of a notebook's surroundings for a tree."""

    def make(tree: Files, code: Code = parts.CODE) -> Notebook:
        datasets = tmp_path / "input" / "datasets" / "me"
        archives = {
            "tree.zip": zipped(tmp_path / "tree.zip", {"README.md": "", **tree}),
            "runner.zip": zipped(tmp_path / "runner.zip", runner()),
        }
        built = [
            bundle.write(datasets / "code", archives, code),
            bundle.write(datasets / "libs", {}, parts.libs()),
        ]
        competition = tmp_path / "input" / "competitions" / SLUG
        competition.mkdir(parents=True)
        (competition / "test.csv").write_text("id\n1\n")
        (competition / "sample_submission.csv").write_text("id,target\n1,0\n")
        (tmp_path / "working").mkdir()
        ids = {one.bundle.kind: one.bundle.id for one in built}
        return Notebook(root=tmp_path, ids=ids)

    return make


# --- what a command is given ---


def test_runs_a_module_of_the_tree_and_records_it(make_notebook: MakeNotebook) -> None:
    show = (
        "import json, os, sys\n"
        "kept = {k: v for k, v in os.environ.items() if k.startswith('RSNA_BUNDLE_')}\n"
        "print(json.dumps([os.getcwd(), sys.executable, sys.path, kept]))\n"
    )
    notebook = make_notebook({"mine/__init__.py": "", "mine/submit.py": show + SUBMIT})
    result = notebook.run("python", "-m", "mine.submit")
    assert result.returncode == 0, result.stderr
    working, executable, path, variables = json.loads(result.stdout.splitlines()[-1])
    code = notebook.root / "scratch" / f"code-{notebook.ids['code'][:16]}"
    assert (Path(working), executable) == (notebook.working, sys.executable)
    order = [path.index(str(place)) for place in (code / "tree", code / "runner")]
    assert order == sorted(order)
    assert variables["RSNA_BUNDLE_CODE"] == str(code / "tree")
    assert variables["RSNA_BUNDLE_COMPETITION"].endswith(f"competitions/{SLUG}")
    assert variables["RSNA_BUNDLE_INPUT"] == str(notebook.root / "input")
    assert variables["RSNA_BUNDLE_SCRATCH"] == str(notebook.root / "scratch")
    assert "RSNA_BUNDLE_MODEL" not in variables  # there is none, and none is needed
    record = notebook.record
    assert record["ids"] == notebook.ids
    assert record["run"] == "python -m mine.submit"
    assert record["exit_code"] == 0
    assert record["seconds"] > 0
    assert record["peak_rss_bytes"] > 1 << 20
    assert record["mounts"]["competition"].endswith(SLUG)
    submission = notebook.working / "submission.csv"
    assert record["submission"]["name"] == "submission.csv"
    assert record["submission"]["bytes"] == submission.stat().st_size


def test_a_script_of_the_tree_is_found_from_the_working_folder(make_notebook: MakeNotebook) -> None:
    notebook = make_notebook({"predict.py": "import sys\nprint(sys.argv[1:])\n" + SUBMIT})
    result = notebook.run("python", "predict.py", "--fast", "other.py")
    assert result.returncode == 0, result.stderr
    assert "['--fast', 'other.py']" in result.stdout


def test_src_of_the_tree_is_importable(make_notebook: MakeNotebook) -> None:
    notebook = make_notebook({"src/mine/__init__.py": "", "src/mine/submit.py": SUBMIT})
    assert notebook.run("python", "-m", "mine.submit").returncode == 0


@pytest.mark.parametrize("name", ["inference", "train", "bundler", "benchmarks"])
@pytest.mark.parametrize("form", ["{}.py", "{}/__init__.py"])
def test_a_tree_may_have_packages_of_our_names(
    make_notebook: MakeNotebook, name: str, form: str
) -> None:
    tree = {form.format(name): "MINE = True\n", "go.py": f"import {name}\n{name}.MINE\n" + SUBMIT}
    result = make_notebook(tree).run("python", "go.py")
    assert result.returncode == 0, result.stderr


def test_a_run_of_ones_own_may_even_be_called_inference(make_notebook: MakeNotebook) -> None:
    tree = {"inference/__init__.py": "", "inference/run.py": "print('mine')\n" + SUBMIT}
    command = "python -m inference.run"
    notebook = make_notebook(tree, replace(parts.CODE, run=command))
    model = bundle.write(notebook.root / "input" / "model", {}, parts.NO_MODELS)
    notebook.ids["model"] = model.bundle.id
    result = notebook.run(*command.split())
    assert result.returncode == 0, result.stderr
    assert "mine" in result.stdout


def test_the_runner_in_the_box_is_ours_whatever_the_tree_holds(make_notebook: MakeNotebook) -> None:
    notebook = make_notebook({"inference/__init__.py": "raise SystemExit('the wrong one')\n"})
    (notebook.working / "inference.py").write_text("raise SystemExit('the wrong one')\n")
    model = bundle.write(notebook.root / "input" / "model", {}, parts.NO_MODELS)
    notebook.ids["model"] = model.bundle.id
    result = notebook.run("python", "-m", "inference.run", "--help")
    assert "the wrong one" not in result.stderr
    assert "--max-failures" in result.stdout


def test_the_runner_needs_a_model(make_notebook: MakeNotebook) -> None:
    result = make_notebook({}).run("python", "-m", "inference.run")
    assert result.returncode == 4
    assert "No model bundle is mounted" in result.stderr


def test_the_runner_stays_importable(make_notebook: MakeNotebook) -> None:
    code = "from inference.boot import fields\n" + SUBMIT
    assert make_notebook({"go.py": code}).run("python", "go.py").returncode == 0


def test_a_wheel_of_the_bundle_is_importable(
    make_notebook: MakeNotebook, make_wheel: Callable[..., Path]
) -> None:
    notebook = make_notebook({"go.py": "import alphapkg\n" + SUBMIT})
    wheel = make_wheel("alphapkg")
    digest = bundle.describe(wheel.name, wheel).sha256
    part = parts.libs(lock=(f"alphapkg==1.0 --hash=sha256:{digest}",))
    folder = notebook.root / "input" / "datasets" / "me" / "libs"
    notebook.ids["libs"] = bundle.write(folder, {wheel.name: wheel}, part).bundle.id
    assert notebook.run("python", "go.py").returncode == 0


def test_a_model_of_files_lies_under_its_true_names(make_notebook: MakeNotebook) -> None:
    code = (
        "import os\nfrom pathlib import Path\n"
        "weights = Path(os.environ['RSNA_BUNDLE_MODEL']) / 'nnunet' / 'fold_0'\n"
        "file = weights / 'fold0_epoch12_auc0.91.pth'\n"
        "print(file.read_text(), file.is_symlink())\n"
    )
    notebook = make_notebook({"go.py": code + SUBMIT})
    source = Path(__file__).parent / "boot" / "data" / "format-2" / "model-of-files"
    shutil.copytree(source, notebook.root / "input" / "datasets" / "me" / "model")
    result = notebook.run("python", "go.py")
    assert result.returncode == 0, result.stderr
    assert "stands for weights\n True" in result.stdout  # linked, so that it costs no scratch
    assert set(notebook.record["ids"]) == {"libs", "code", "model"}


def test_a_model_file_that_lies_in_its_own_folder_is_named(make_notebook: MakeNotebook) -> None:
    """`model --files nnunet` keeps the folder's name, which a script on the laptop may not."""
    name = "fold0_epoch12_auc0.91.pth"
    code = f"import os\nopen(os.environ['RSNA_BUNDLE_MODEL'] + '/fold_0/{name}')\n"
    notebook = make_notebook({"go.py": code, "other.py": "open('/nowhere/else.pth')\n"})
    source = Path(__file__).parent / "boot" / "data" / "format-2" / "model-of-files"
    shutil.copytree(source, notebook.root / "input" / "datasets" / "me" / "model")
    result = notebook.run("python", "go.py")
    assert f"has {name} as nnunet/fold_0/{name}, not as fold_0/{name}" in result.stderr
    assert f"Read it from $RSNA_BUNDLE_MODEL/nnunet/fold_0/{name}." in result.stderr
    assert "The model bundle has" not in notebook.run("python", "other.py").stderr


def test_output_streams_through_on_both_streams(make_notebook: MakeNotebook) -> None:
    code = "import sys\nprint('one')\nprint('two', file=sys.stderr)\n" + SUBMIT
    result = make_notebook({"go.py": code}).run("python", "go.py")
    assert "one" in result.stdout
    assert "two" in result.stderr


# --- how commands fail ---


def test_a_failing_command_gives_its_exit_code_and_last_lines(make_notebook: MakeNotebook) -> None:
    code = "import sys\nfor n in range(50): print('line', n, file=sys.stderr)\nsys.exit(9)\n"
    notebook = make_notebook({"go.py": code})
    result = notebook.run("python", "go.py")
    assert result.returncode == 9
    error = result.stderr[result.stderr.index("error: ") :]
    assert "ended with exit code 9" in error
    assert "line 49" in error
    assert "line 30" not in error
    assert notebook.record["exit_code"] == 9
    assert "line 49" in notebook.record["error"]


def test_a_command_that_does_not_exist(make_notebook: MakeNotebook) -> None:
    notebook = make_notebook({})
    result = notebook.run("no-such-program", "--x")
    assert result.returncode == 2
    assert "The command 'no-such-program' does not exist" in result.stderr
    assert "Traceback" not in result.stderr
    assert notebook.record["exit_code"] == 2


def test_a_missing_package_is_named_with_its_line(make_notebook: MakeNotebook) -> None:
    result = make_notebook({"go.py": "import no_such_module.x\n"}).run("python", "go.py")
    assert result.returncode == 1
    assert "The module no_such_module is neither in the notebook's image nor in" in result.stderr
    assert result.stderr.rstrip().endswith("no-such-module")
    missing = "ModuleNotFoundError: No module named 'segmentation_models_pytorch.losses'"
    assert hints.missing_package(missing).endswith("segmentation-models-pytorch")


def test_a_package_that_is_there_by_name_alone_is_said_to_be_emulated() -> None:
    hint = hints.missing_package("ModuleNotFoundError: No module named 'sklearn.svm'")
    assert "scikit-learn 1." in hint  # it is installed beside these tests
    assert 'Add "scikit-learn" to image_packages' in hint


def test_a_missing_submission_is_an_error(make_notebook: MakeNotebook) -> None:
    notebook = make_notebook({"go.py": "open('submission.json', 'w').write('{}')\n"})
    result = notebook.run("python", "go.py")
    assert result.returncode == 1
    assert "wrote no submission.csv to" in result.stderr
    assert notebook.record["exit_code"] == 1
    assert notebook.record["submission"] is None


def test_an_old_submission_is_not_taken_for_the_new_one(make_notebook: MakeNotebook) -> None:
    notebook = make_notebook({"go.py": "pass\n"})
    (notebook.working / "submission.csv").write_text("id,target\n1,0\n")
    assert notebook.run("python", "go.py").returncode == 1


def test_a_submission_that_lies_elsewhere_is_named(make_notebook: MakeNotebook) -> None:
    code = "import os\nos.makedirs('out')\nopen('out/submission.csv', 'w').write('id,target\\n')\n"
    result = make_notebook({"go.py": code}).run("python", "go.py")
    assert result.returncode == 1
    assert "one lies in" in result.stderr
    assert "working/out" in result.stderr


def test_the_sample_says_which_file_counts(make_notebook: MakeNotebook) -> None:
    notebook = make_notebook({"go.py": "open('submission.parquet', 'w').write('x')\n"})
    competition = notebook.root / "input" / "competitions" / SLUG
    (competition / "sample_submission.csv").rename(competition / "sample_submission.parquet")
    assert notebook.run("python", "go.py").returncode == 0
    assert notebook.record["submission"]["name"] == "submission.parquet"


def test_another_table_of_nearly_this_name_is_no_submission(make_notebook: MakeNotebook) -> None:
    other = "open('submission.a.csv', 'w').write('x\\n')\n"
    notebook = make_notebook({"go.py": other, "both.py": other + SUBMIT})
    result = notebook.run("python", "go.py")
    assert result.returncode == 1
    assert "wrote no submission.csv" in result.stderr
    assert notebook.run("python", "both.py").returncode == 0
    assert notebook.record["submission"]["name"] == "submission.csv"


def test_a_gateway_needs_no_submission(make_notebook: MakeNotebook) -> None:
    notebook = make_notebook({"go.py": "pass\n"})
    (notebook.root / "input" / "competitions" / SLUG / "kaggle_evaluation").mkdir()
    assert notebook.run("python", "go.py").returncode == 0


def test_another_bundle_than_expected_is_refused(make_notebook: MakeNotebook) -> None:
    notebook = make_notebook({"go.py": SUBMIT})
    notebook.ids["libs"] = "f" * 64
    result = notebook.run("python", "go.py")
    assert result.returncode == 4
    assert "the dataset has another version" in result.stderr
    assert notebook.record["exit_code"] == 4


def test_a_time_limit_that_is_no_number(make_notebook: MakeNotebook) -> None:
    result = make_notebook({}).run("true", options=("--time-limit", "nan"))
    assert result.returncode == 2
    assert "--time-limit nan is not a number of seconds above 0" in result.stderr


# --- signals, time, and what is left running ---

CHILDREN = """\
import signal, subprocess, sys, time
nap = "import time; time.sleep(300)"
subprocess.Popen([sys.executable, "-c", nap, "{mark}"])
subprocess.Popen([sys.executable, "-c", nap, "{mark}"], start_new_session=True)
"""


def running(mark: str) -> list[str]:
    """Return the processes whose command line holds a mark."""
    listed = subprocess.run(["ps", "-ewwo", "pid,args"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if mark in line]


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


@pytest.fixture
def mark(tmp_path: Path) -> str:
    """A word that no other test's processes carry."""
    return f"nap-{os.getpid()}-{tmp_path.name}"


def test_nothing_is_left_running(make_notebook: MakeNotebook, mark: str) -> None:
    notebook = make_notebook({"go.py": CHILDREN.format(mark=mark) + SUBMIT})
    result = notebook.run("python", "go.py")
    assert result.returncode == 0, result.stderr
    assert "left 2 processes running" in result.stdout
    assert running(mark) == []


def test_a_command_that_hangs_is_ended_at_the_time_limit(
    make_notebook: MakeNotebook, mark: str
) -> None:
    code = CHILDREN.format(mark=mark) + "print('started', flush=True)\ntime.sleep(300)\n"
    notebook = make_notebook({"go.py": code})
    result = notebook.run("python", "go.py", options=("--time-limit", "6"))
    assert result.returncode == 7
    assert "ended after the time limit of 6 s" in result.stderr
    assert "started" in result.stderr  # its last line
    assert running(mark) == []
    assert notebook.record["exit_code"] == 7


def test_a_second_launch_has_what_the_first_one_left_of_the_time(
    make_notebook: MakeNotebook,
) -> None:
    slow = "import time\ntime.sleep(30)\n" + SUBMIT
    notebook = make_notebook({"go.py": slow, "fast.py": SUBMIT})
    options = ("--time-limit", "1000")
    started = repr(time.monotonic() - 996)  # as the notebook's cell notes it
    result = notebook.run("python", "go.py", options=options, RSNA_BUNDLE_STARTED=started)
    assert result.returncode == 7
    assert "ended after the time limit of 1000 s" in result.stderr
    # What another boot of the machine left, or no number, is no start.
    for text in (repr(time.monotonic() + 1e6), "-5", "nan", "yesterday"):
        result = notebook.run("python", "fast.py", options=options, RSNA_BUNDLE_STARTED=text)
        assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_the_whole_command(
    make_notebook: MakeNotebook, mark: str, kind: signal.Signals
) -> None:
    code = CHILDREN.format(mark=mark) + "print('started', flush=True)\ntime.sleep(300)\n"
    notebook = make_notebook({"go.py": code})
    with notebook.start("python", "go.py") as process:
        assert process.stdout is not None
        while "started" not in process.stdout.readline():
            pass
        process.send_signal(kind)
        output = process.stdout.read()
    assert process.returncode == 128 + kind
    assert f"Interrupted by {kind.name}" in output
    assert running(mark) == []
    assert notebook.record["exit_code"] == 128 + kind


def test_a_command_that_the_kernel_killed_says_so(make_notebook: MakeNotebook) -> None:
    notebook = make_notebook({"go.py": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"})
    result = notebook.run("python", "go.py")
    assert result.returncode == 137
    assert "was ended by SIGKILL (most likely by the kernel, since memory ran out)" in result.stderr
    assert notebook.record["exit_code"] == 137


@pytest.mark.parametrize(
    ("kind", "cause"), [("SIGTERM", "another process asked"), ("SIGSEGV", "a crash in native code")]
)
def test_a_signal_that_ended_the_command_is_named_with_its_likely_cause(
    make_notebook: MakeNotebook, kind: str, cause: str
) -> None:
    code = f"import os, signal\nos.kill(os.getpid(), signal.{kind})\n"
    notebook = make_notebook({"go.py": code, "go.sh": "python $RSNA_BUNDLE_CODE/go.py\nexit $?\n"})
    result = notebook.run("python", "go.py")
    assert f"was ended by {kind} ({cause}" in result.stderr
    number = 128 + getattr(signal, kind)
    result = notebook.run("bash", "go.sh")  # which says it by a number of its own
    assert f"ended with exit code {number}: {kind} ({cause}" in result.stderr


def test_a_launcher_that_was_killed_leaves_run_json_and_the_next_one_cleans_up(
    make_notebook: MakeNotebook, mark: str
) -> None:
    slow = CHILDREN.format(mark=mark) + "print('started', flush=True)\ntime.sleep(300)\n"
    notebook = make_notebook({"slow.py": slow, "go.py": SUBMIT})
    with notebook.start("python", "slow.py") as process:
        assert process.stdout is not None
        while "started" not in process.stdout.readline():
            pass
        process.kill()
        process.stdout.close()
    record = notebook.record
    assert record["exit_code"] is None
    assert record["ids"] == notebook.ids
    wait_for(lambda: not any("slow.py" in line for line in running(str(notebook.root))))
    result = notebook.run("python", "go.py")
    assert result.returncode == 0, result.stderr
    assert "that an earlier run had left" in result.stdout
    assert running(mark) == []


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.1, 0.2, 0.4, 0.8])
def test_a_kill_at_any_time_leaves_run_json_whole(
    make_notebook: MakeNotebook, delay: float
) -> None:
    notebook = make_notebook({"go.py": SUBMIT})
    with notebook.start("python", "go.py") as process:
        wait_for((notebook.working / "run.json").exists)
        time.sleep(delay)
        process.kill()
    assert notebook.record["run"] == "python go.py"
    assert notebook.run("python", "go.py").returncode == 0


def test_a_full_disk_does_not_end_the_run(make_notebook: MakeNotebook) -> None:
    notebook = make_notebook({"go.py": SUBMIT})
    (notebook.working / "run.json.partial").mkdir()  # it cannot be written
    result = notebook.run("python", "go.py")
    assert result.returncode == 0
    assert "warning: " in result.stderr
    assert "run.json cannot be written" in result.stderr
