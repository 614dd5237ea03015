"""The driver runs a gateway and notes what it does, for a server on this machine's loopback."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from bundler.competition.gateway import driver, events, result
from bundler.competition.gateway.driver import Spec
from bundler.competition.gateway.events import Events
from tests.bundler.competition.gateway.phantom import GATEWAY, change, competition

SERVER = """
import sys, threading
sys.path.insert(0, sys.argv[1])
import kaggle_evaluation.gait_inference_server as gait
def predict(row, signal):
    assert open(signal, "rb").read() == b"signal"
    return BODY
server = gait.GaitInferenceServer(predict)
server.server.start()
print("ready", flush=True)
threading.Event().wait(60)
"""


def run(root: Path, folder: Path, body: str, *, shuffled: bool = False) -> Events:
    """Run server and gateway without sandboxes: by links, and the name localhost."""
    for file, text in (("test.csv", "test.csv"), ("test_signals", "test_signals")):
        change(root, GATEWAY, f"/kaggle/input/phantom-gait/{file}", str(root / text))
    change(
        root, "kaggle_evaluation/core/base_gateway.py", '"/kaggle/shared/"', f'"{folder}/shared/"'
    )
    server = subprocess.Popen(
        [sys.executable, "-B", "-c", SERVER.replace("BODY", body), str(root)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout
    assert server.stdout.readline() == "ready\n"
    spec = Spec(
        competition=str(root),
        module="kaggle_evaluation.gait_gateway",
        name="GaitGateway",
        log=str(folder / "events.jsonl"),
        hosts=["localhost"],
        ports=[50051, 60053, 60063, 60073],
        shuffled=shuffled,
    )
    (folder / "spec.json").write_text(json.dumps(asdict(spec)))
    try:
        subprocess.run(
            [sys.executable, str(driver.__file__), folder / "spec.json"], cwd=folder, check=False
        )
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    return events.read(folder / "events.jsonl")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return competition(tmp_path / "data")


def test_notes_calls_ids_shares_and_the_server(root: Path, tmp_path: Path) -> None:
    found = run(root, tmp_path, "float(row['age'][0])")
    assert [call.ids for call in found.calls] == [("000900",), ("000901",), ("000902",)]
    assert {call.answer for call in found.calls} == {"builtins.float"}
    assert [call.deadline for call in found.calls] == [None, 300.0, 300.0]
    assert all(0 < call.seconds < 60 for call in found.calls)
    assert list(found.serving) == ["localhost"]
    assert found.started is not None
    assert found.ended is not None
    assert len(found.shared) == 3
    assert all(path.startswith(f"{tmp_path}/shared/") for path in found.shared)
    assert (tmp_path / "submission.parquet").is_file()


def test_another_order_for_the_second_pass(root: Path, tmp_path: Path) -> None:
    found = run(root, tmp_path, "float(row['age'][0])", shuffled=True)
    assert sorted(found.order) == ["000900", "000901", "000902"]
    assert list(found.order) != sorted(found.order)


def test_notes_the_call_that_failed(root: Path, tmp_path: Path) -> None:
    found = run(root, tmp_path, "[0.5, 1 / 0][row['walk_id'][0] == '000901']")
    assert [bool(call.error) for call in found.calls] == [True]


def test_notes_shape_columns_and_lost_digits(root: Path, tmp_path: Path) -> None:
    body = "__import__('polars').DataFrame({'fall': [0.5]})"
    found = run(root, tmp_path, body)
    assert found.calls[0].shape == (1, 1)
    assert found.calls[0].columns == ("fall",)
    assert not found.calls[0].rounded


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_a_result_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "result.json").write_text(text)
    assert result.read(tmp_path) is None


def test_every_kind_of_the_package_is_explained() -> None:
    text = (competition_package() / "core" / "base_gateway.py").read_text()
    kinds = text.partition("class GatewayRuntimeErrorType")[2].partition("class ")[0]
    names = {line.split()[0] for line in kinds.splitlines() if " = " in line}
    assert names == set(result.KINDS)
    for name, kind in result.KINDS.items():
        told = result.explain(result.Result(succeeded=False, error=name, details="why"))
        assert kind.shown in told
        assert kind.change in told
        assert "why" in told


def test_an_unknown_kind_is_passed_on() -> None:
    told = result.explain(result.Result(succeeded=False, error="NEW_KIND", details="why"))
    assert "NEW_KIND" in told
    assert "why" in told


def competition_package() -> Path:
    from tests.bundler.competition.gateway.phantom import HOST

    return HOST / "kaggle_evaluation"


def test_the_driver_needs_the_standard_library_alone() -> None:
    code = f"import runpy, sys; runpy.run_path({driver.__file__!r}); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.defpath},
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded - set(sys.stdlib_module_names) <= {"__main__"}
