"""Each known way to lose a submission, planted; the rehearsal must catch it and name the cause."""

import json
import os
import shutil
import sys
import venv
from dataclasses import replace
from pathlib import Path

import pytest

from bundler import bundle
from bundler.rehearse.result import Rehearsal
from bundler.sandbox import disk
from inference.boot.manifest import content_id
from tests.bundler.libs.packages import sdist, wheel
from tests.failures.conftest import (
    House,
    Plant,
    failed,
    own_runner,
    runner,
    write_model_bundle,
)
from tests.parts import libs


def test_passes_what_is_sound(rehearsed: Rehearsal) -> None:
    assert rehearsed.passed, rehearsed.summary()
    names = {check.name for check in rehearsed.checks}
    assert {"network", "writes", "parity", "time", "notebook ran (legacy)"} <= names


def test_takes_a_python_by_a_relative_path(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    python = Path(sys.executable)
    monkeypatch.chdir(python.parent)
    assert house.rehearse(python=Path(python.name)).passed


# --- the machine: time, memory, disk, GPU ---


def test_no_time_by_projection(house: House) -> None:
    slow = replace(house, settings=replace(house.settings, hidden_units=50_000_000_000))
    messages = failed(slow.rehearse())
    assert "50000000000 phantoms of at most 320×256 take" in messages["time"]
    assert "beyond 80 % of the limit" in messages["time"]


def test_no_time_because_it_hangs(plant: Plant) -> None:
    house = plant(own_runner("import time; time.sleep(3600)"))
    hours = 12 / 3600
    house = replace(house, settings=replace(house.settings, time_limit_hours=hours))
    house.write_notebook()
    messages = failed(house.rehearse())
    assert "Out of time" in messages["notebook ran"]
    assert "Notebook Timeout" in messages["notebook ran"]


def test_out_of_memory(plant: Plant) -> None:
    hungry = "held = []\nfor _ in range(200): held.append(bytearray(b'x' * 10_000_000))"
    house = plant(own_runner(f"{hungry}\nimport time; time.sleep(20)"))
    messages = failed(house.rehearse(memory_bytes=700_000_000))
    assert "Out of memory" in messages["notebook ran"]
    assert "of 0.70 GB" in messages["notebook ran"]


def test_programs_and_libraries_of_this_machine_are_named(plant: Plant) -> None:
    """However they are started: here by a shell that a program other than Python starts."""
    body = (
        "import subprocess\n"
        "subprocess.run(['env', 'sh', '-c', 'echo; make --version | head -1'], check=True)\n"
    )
    rehearsal = plant(own_runner(body)).rehearse()
    (system,) = [check for check in rehearsal.checks if check.name == "system"]
    assert system.status == "unproven"
    assert "/bin/make" in system.message
    assert "/bin/env" not in system.message  # every image has it
    assert "python" not in system.message


def test_a_deadlock_is_named_by_the_stack_of_each_thread(plant: Plant) -> None:
    """Two threads that wait for each other's lock; an idle run never ends on its own."""
    body = """
import threading
locks = threading.Lock(), threading.Lock()
def hold(first, second, together=threading.Barrier(2)):
    with locks[first]:
        together.wait()
        locks[second].acquire()  # the deadlock
threading.Thread(target=hold, args=(0, 1)).start()
hold(1, 0)
"""
    messages = failed(plant(own_runner(body)).rehearse(stall_seconds=5))
    message = messages["notebook ran"]
    assert "Stalled: Nothing used a CPU, read or wrote for 0.1 min: find what it" in message
    assert message.count("in hold") == 2  # both threads


def test_a_thread_that_outlives_the_submission_is_named(plant: Plant) -> None:
    """It is busy, so neither the CPU nor the clock tells it from work."""
    body = """
import atexit, threading
def refresh_cache():
    while True:
        sum(range(1000))
threading.Thread(target=refresh_cache).start()
"""
    messages = failed(plant(own_runner(body)).rehearse(stall_seconds=5))
    message = messages["notebook ran"]
    assert "Stalled: submission.csv had been complete for 0.1 min" in message
    assert "in refresh_cache" in message


@pytest.mark.slow
def test_a_run_that_works_without_a_word_is_no_stall(plant: Plant) -> None:
    body = "import time; end = time.time() + 12\nwhile time.time() < end: sum(range(1000))"
    rehearsal = plant(own_runner(body)).rehearse(stall_seconds=5)
    (ran,) = [check for check in rehearsal.checks if check.name == "notebook ran"]
    assert ran.status == "passed", ran.message


@pytest.mark.slow
def test_200_mb_of_prints_neither_hang_nor_flood(plant: Plant) -> None:
    body = (
        "print('first line')\n"
        "for number in range(2_000_000): print(f'{number:07d}', 'x' * 92)\n"
        "print('last line', flush=True)\n"
    )
    rehearsal = plant(own_runner(body)).rehearse()
    (ran,) = [check for check in rehearsal.checks if check.name == "notebook ran"]
    assert ran.status == "passed", ran.message
    assert "first line" in rehearsal.log
    assert "last line" in rehearsal.log
    assert " MB left out]" in rehearsal.log
    assert len(rehearsal.log) < 4_000_000
    assert rehearsal.report.stat().st_size < 6_000_000


def test_out_of_disk(plant: Plant) -> None:
    house = plant(own_runner("open('cache.bin', 'wb').write(b'x' * 30_000_000)"))
    messages = failed(house.rehearse(working_bytes=20_000_000))
    assert "The disk is full: /kaggle/working holds 0.02 GB" in messages["notebook ran"]


def test_out_of_disk_where_no_file_system_can_be_mounted(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "why_watched", lambda: "only root may mount one")
    body = "open('cache.bin', 'wb').write(b'x' * 30_000_000)\nimport time; time.sleep(60)"
    rehearsal = plant(own_runner(body)).rehearse(working_bytes=20_000_000)
    message = failed(rehearsal)["notebook ran"]
    assert "Out of disk: it wrote 0.03 GB to /kaggle/working, which holds 0.02 GB" in message
    assert rehearsal.provenance.working == (
        "a folder on disk that is watched, at most 0.02 GB (only root may mount one)"
    )


@pytest.mark.slow
def test_disk_nearly_full(plant: Plant) -> None:
    written = "\nopen('cache.bin', 'wb').write(b'x' * 30_000_000)\n"
    house = plant({"inference/output.py": runner()["inference/output.py"] + written})
    messages = failed(house.rehearse(working_bytes=32_000_000))
    assert "beyond 80 % of the limit" in messages["disk"]


def test_cuda_asked_for_but_the_cpu_used(house: House, tmp_path: Path) -> None:
    image = tmp_path / "image.json"
    about = {"format": 1, "name": "gpu-image", "python": sys.version.split()[0], "system": "linux"}
    about |= {"machine": os.uname().machine, "release": "2.17", "cuda": "12.8", "installed": []}
    image.write_text(json.dumps(about | {"gpus": ["Tesla T4", "Tesla T4"], "cpus": 4}))
    house = replace(house, settings=replace(house.settings, target=(str(image),)))
    messages = failed(house.rehearse())
    assert "has no onnxruntime-gpu" in messages["accelerator"]
    assert "the CPU would predict" in messages["accelerator"]
    lock = ("onnxruntime-gpu==1.27.0 --hash=sha256:" + "0" * 64,)
    shutil.rmtree(house.dist / "libs")
    bundle.write(house.dist / "libs", {}, libs(lock=lock, name="gpu-image"))
    house.write_notebook()
    assert "silently use the CPU" in failed(house.rehearse())["accelerator"]


def test_cuda_demanded_where_there_is_none(house: House) -> None:
    house.write_notebook("--device", "cuda")
    messages = failed(house.rehearse())
    assert "--device cuda needs CUDA, but" in messages["notebook ran"]


@pytest.mark.slow
def test_a_run_that_warns_of_an_unused_gpu(plant: Plant) -> None:
    text = runner()["inference/pixels/gpu.py"].replace(
        'return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))', "return 2"
    )
    assert "return 2" in text
    messages = failed(plant({"inference/pixels/gpu.py": text}).rehearse())
    assert (
        "this machine has a GPU, but model.onnx runs on the CPU" in messages["warning of the run"]
    )


# --- wheels ---


def put(folder: Path, made: tuple[str, bytes]) -> tuple[str, Path]:
    """Write a package's file and return its name and where it lies."""
    (folder / made[0]).write_bytes(made[1])
    return made[0], folder / made[0]


def test_a_missing_transitive_wheel(house: House, tmp_path: Path) -> None:
    name, path = put(tmp_path, wheel("asking", "1.0", ["deeply-needed>=2"]))
    house.write_libs({name: path})
    messages = failed(house.rehearse())
    assert (
        "deeply-needed>=2 is needed, and neither the bundle nor the image"
        in messages["notebook ran"]
    )


def test_a_wheel_for_another_python(house: House, tmp_path: Path) -> None:
    name, path = put(tmp_path, wheel("compiled", "1.0", tag="cp39-cp39-manylinux2014_x86_64"))
    house.write_libs({name: path})
    messages = failed(house.rehearse())
    assert "compiled-1.0-cp39" in messages["wheels"]
    assert "built for another Python or platform" in messages["wheels"]


def test_libs_for_another_python(house: House) -> None:
    house.write_libs({}, name="kaggle", python="3.9.18")
    assert "made for kaggle (Python 3.9.18)" in failed(house.rehearse())["wheels"]


def test_an_sdist_that_needs_the_network(house: House, tmp_path: Path) -> None:
    made = sdist("sourced", "1.0", build_requires=["setuptools>=40"])
    name, path = put(tmp_path, made)
    house.write_libs({name: path})
    messages = failed(house.rehearse())
    assert "sourced-1.0.tar.gz is a source distribution" in messages["wheels"]
    assert "setuptools>=40" in messages["wheels"]


def test_a_wheel_that_kaggle_unpacked(house: House, tmp_path: Path) -> None:
    name, path = put(tmp_path, wheel("tiny", "1.0"))
    house.write_libs({name: path})
    libs = house.dist / "libs"
    (libs / f"{name}.tmp").rename(libs / name)
    manifest = json.loads((libs / "bundle.json").read_text())
    (entry,) = manifest["files"]
    entry["shipped"] = name
    del entry["members"]
    manifest["id"] = content_id(manifest)
    (libs / "bundle.json").write_text(json.dumps(manifest))
    house.write_notebook()
    messages = failed(house.rehearse())
    assert f"{name} would be unpacked by the upload" in messages["upload"]


def test_a_module_shadowed_by_a_preinstalled_one(house: House, tmp_path: Path) -> None:
    name, path = put(tmp_path, wheel("tiny", "2.0"))
    house.write_libs({name: path})
    image = tmp_path / "image"
    venv.create(image, symlinks=True, with_pip=False)
    site = next((image / "lib").glob("python*/site-packages"))
    here = next(Path(p) for p in sys.path if p.endswith("site-packages"))
    (site / "tiny").mkdir()
    (site / "tiny" / "__init__.py").write_text("__version__ = '1.0'\n")
    # As an image's own start-up file does: the module is there before anything is installed.
    (site / "start.pth").write_text(f"{here}\nimport tiny\n")
    messages = failed(house.rehearse(python=image / "bin" / "python"))
    assert "The module tiny of tiny 2.0 is taken from" in messages["modules"]


# --- datasets ---


def test_a_folder_that_the_upload_drops(house: House) -> None:
    (house.dist / "model" / "extra").mkdir()
    (house.dist / "model" / "extra" / "weights.bin").write_bytes(b"w")
    messages = failed(house.rehearse())
    assert "is a folder, and an upload drops folders" in messages["upload"]


def test_a_stale_dataset_version(house: House, tmp_path: Path) -> None:
    notebook = (house.dist / "notebook" / "submission.ipynb").read_text()
    house.write_code({"more.py": "MORE = 1\n"}, tmp_path)
    (house.dist / "notebook" / "submission.ipynb").write_text(notebook)
    messages = failed(house.rehearse())
    assert "was made for the code bundle" in messages["ids"]
    assert "a stale version" in messages["ids"]


def test_a_wrong_checkpoint(house: House, tmp_path: Path) -> None:
    shutil.rmtree(house.dist / "model")
    write_model_bundle(house.dist / "model", tmp_path, "fold4_last.pt")
    messages = failed(house.rehearse())
    assert "made for the model bundle" in messages["ids"]
    assert "of the checkpoint fold4_last.pt" in messages["ids"]


def test_a_file_altered_after_the_build(house: House) -> None:
    path = house.dist / "model" / "model.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "model.onnx was altered" in failed(house.rehearse())["bundles"]


def test_a_notebook_edited_by_hand(house: House) -> None:
    path = house.dist / "notebook" / "submission.ipynb"
    path.write_text(path.read_text().replace('\\"-u\\"', '\\"-u\\", \\"-O\\"'))
    messages = failed(house.rehearse())
    assert "edited by hand" in messages["notebook"]
    assert '+command = [sys.executable, "-P", "-u", "-O"' in messages["notebook"]


# --- numbers ---


def test_preprocessing_that_differs_from_training(plant: Plant) -> None:
    text = runner()["inference/pixels/preprocess.py"]
    house = plant({"inference/pixels/preprocess.py": text + DARKER})
    messages = failed(house.rehearse())
    assert "has other pixels here than on the laptop" in messages["notebook ran"]


DARKER = """

_prepare = prepare


def prepare(image, config, *more, **named):
    return _prepare(image, config, *more, **named) // 2
"""

NO_REPLAY = """
from types import SimpleNamespace


def replay(*_):
    return SimpleNamespace(summary=lambda: "nothing was replayed")
"""


def test_preprocessing_that_differs_where_no_golden_case_looks(plant: Plant) -> None:
    changes = {
        "inference/pixels/preprocess.py": runner()["inference/pixels/preprocess.py"] + DARKER,
        "inference/golden.py": NO_REPLAY,
    }
    messages = failed(plant(changes).rehearse())
    assert "has other pixels on the notebook than here" in messages["parity"]
    assert "Bundle the code that the model was trained with" in messages["parity"]


# --- the network ---


def remark(rehearsal: Rehearsal) -> str:
    """Return what is said of the network after a run that ended well without it."""
    assert rehearsal.passed, rehearsal.summary()
    check = next(check for check in rehearsal.checks if check.name == "network")
    assert check.status == "unproven"
    return check.message


def test_a_hidden_model_download(plant: Plant) -> None:
    # What timm.create_model(..., pretrained=True) does at once.
    model = "'timm/lcnet_050.ra2_in1k', 'model.safetensors'"
    body = f"from huggingface_hub import hf_hub_download\nhf_hub_download({model})"
    messages = failed(plant(own_runner(body)).rehearse())
    assert "downloads a pretrained model" in messages["notebook ran"]
    assert "huggingface.co" in messages["network"]
    assert "pass pretrained=False" in messages["network"]


def test_an_import_that_phones_home(plant: Plant) -> None:
    phoning = (
        "import urllib.request\n"
        "try:\n"
        "    urllib.request.urlopen('https://version-check.example.org/latest', timeout=2)\n"
        "except OSError:\n"
        "    pass\n"
    )
    house = plant({**own_runner("import augmenting"), "augmenting/__init__.py": phoning})
    message = remark(house.rehearse())
    assert "version-check.example.org" in message
    assert "augmenting/__init__.py:3" in message
    assert "the code went on, and the run ended well; so it will on Kaggle" in message
    # As albumentations does: its remedy is known.
    query = {"albumentations/__init__.py": "", "albumentations/check_version.py": phoning}
    house = plant({**own_runner("import albumentations.check_version"), **query})
    assert "set NO_ALBUMENTATIONS_UPDATE=1" in remark(house.rehearse())


def test_weights_that_were_not_fetched_and_went_unnoticed(plant: Plant) -> None:
    """The run ends well, by a network that knows nothing."""
    body = "import socket\ntry: socket.getaddrinfo('huggingface.co', 443)\nexcept OSError: pass"
    messages = failed(plant(own_runner(body)).rehearse())
    assert "pass pretrained=False" in messages["network"]


def test_what_a_failed_run_tried_is_an_error(plant: Plant) -> None:
    body = "import urllib.request\nurllib.request.urlopen('https://weights.example.org')"
    messages = failed(plant(own_runner(body)).rehearse())
    assert "The run needs the network, which is off." in messages["notebook ran"]
    assert "weights.example.org" in messages["network"]


def test_a_program_that_asks_the_network(plant: Plant) -> None:
    body = "import subprocess\nsubprocess.run(['getent', 'hosts', 'weights.example.org'])"
    message = remark(plant(own_runner(body)).rehearse())
    assert "A program other than Python looked up weights.example.org" in message


NATIVE = """
import ctypes, socket, struct
libc = ctypes.CDLL(None)
address = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(443), socket.inet_aton("192.0.2.1"))
for _ in range(3):
    libc.connect(libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0), address, len(address))
"""
ATTEMPT = "import socket\nsocket.socket().connect_ex(('192.0.2.1', 443))\n"


def test_native_code_that_tries_an_address(plant: Plant) -> None:
    message = remark(plant(own_runner(NATIVE + ATTEMPT)).rehearse())
    assert "The run tried to reach 192.0.2.1:443, from" in message  # that by Python, once
    assert "3 packets to an address outside had no route" in message
    assert "native code tried the network" in message


def test_what_python_tries_is_not_taken_for_native_code(plant: Plant) -> None:
    message = remark(plant(own_runner(2 * ATTEMPT)).rehearse())
    assert "The run tried to reach 192.0.2.1:443, from" in message
    assert "native code" not in message


# --- paths ---


def test_an_absolute_path_of_the_laptop(plant: Plant) -> None:
    opens = "weights = open('/home/me/rsna/weights/fold0.pt')"
    house = plant({**own_runner(opens), "mine/load.py": opens})
    messages = failed(house.rehearse())
    assert "mine/load.py:1 names /home/me/rsna/weights/fold0.pt" in messages["paths"]
    assert "is an absolute path of the laptop" in messages["notebook ran"]


def test_a_path_of_the_laptop_that_exists_here(plant: Plant, tmp_path: Path) -> None:
    (tmp_path / "fold0.pt").write_bytes(b"weights")
    messages = failed(plant(own_runner(f"open({str(tmp_path / 'fold0.pt')!r})")).rehearse())
    assert "No such file or directory" in messages["notebook ran"]


def test_a_file_name_in_other_case(plant: Plant) -> None:
    house = plant({**own_runner("import Augment"), "augment.py": "SCALE = 2\n"})
    messages = failed(house.rehearse())
    assert "Augment does not exist, augment does" in messages["notebook ran"]
    assert "upper and lower case" in messages["notebook ran"]


def test_writing_into_the_input(plant: Plant) -> None:
    house = plant(own_runner("(data / 'cache.json').write_text('{}')"))
    messages = failed(house.rehearse())
    assert "writes into the input" in messages["notebook ran"]
    assert "cache.json (the input is read-only), from" in messages["writes"]
    assert "inference/run.py:8" in messages["writes"]


# --- tables that hold what the public rows do not ---


@pytest.mark.parametrize(
    ("condition", "name"),
    [
        pytest.param("row['site_id'] not in '12'", "an unseen site", marks=pytest.mark.slow),
        pytest.param("row['implant'] == '1'", "an implant", marks=pytest.mark.slow),
        ("row['view'] == 'LMO'", "a rare view"),
    ],
    ids=lambda value: value.replace(" ", "-") if value.startswith("a") else "",
)
def test_code_that_fails_on_what_is_rare(plant: Plant, condition: str, name: str) -> None:
    lazily = f"for row in rows:\n    if {condition}: import nobody_has_this_package"
    messages = failed(plant(own_runner(lazily)).rehearse())
    assert "nobody_has_this_package" in messages["notebook ran"], name


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("rows[0]['cancer']", "cancer is no column of test.csv, which has site_id, patient_id"),
        pytest.param(
            "os.environ['DATA_ROOT']",
            "The environment variable DATA_ROOT is not set",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "open('/kaggle/input/my-weights/best.pth')",
            "is in no dataset of the notebook: it has /kaggle/input/",
            marks=pytest.mark.slow,
        ),
        pytest.param("import nobody_has_this", "to wheelhouse.txt", marks=pytest.mark.slow),
    ],
    ids=["column", "variable", "slug", "package"],
)
def test_the_cause_stands_above_the_traceback(plant: Plant, body: str, cause: str) -> None:
    message = failed(plant(own_runner(body)).rehearse())["notebook ran"]
    assert cause in message.splitlines()[0]
    assert "A cell failed" in message
