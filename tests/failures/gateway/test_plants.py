"""Ways to fail a gateway's rerun: each is caught; `run_local_gateway` alone catches few of them."""

import contextlib
import re
import socket
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.bundler.competition.gateway import phantom
from tests.failures.gateway.conftest import PREDICT, SERVE, Bench, failed, server

DEADLINE = ("RESPONSE_SECONDS = 5 * 60", "RESPONSE_SECONDS = 1")
STARTUP = ("STARTUP_LIMIT_SECONDS = 60 * 15", "STARTUP_LIMIT_SECONDS = 2")
# A host that takes its time between two calls.
SLOW = (
    "            row = test",
    "            import time\n            time.sleep(0.6)\n            row = test",
)
# What a public row's risk is answered with, and other rows are not.
KNOWN = "float(risk(row)) if row['walk_id'][0] in {'000900', '000901', '000902'} else"
RELAY = "kaggle_evaluation/core/relay.py"
FIGURES = Path(__file__).parents[3] / "docs" / "figures.md"


@dataclass(frozen=True, kw_only=True)
class Plant:
    """A server with a fault: which check says so, and whether run_local_gateway does."""

    name: str
    script: str
    check: str
    message: str  # a pattern
    local: bool = False
    host: tuple[tuple[str, str, str], ...] = ()  # file, text, replacement: another host's limits
    twice: bool = False  # only a second pass shows it
    memory: int | None = None


def answers(body: str) -> str:
    return server(f"def predict(row, signal):\n    CALLS.append(signal)\n{body}\n")


PLANTS = [
    Plant(
        name="never serves on the rerun",
        script=server(serve="server = gait.GaitInferenceServer(predict)\nRERUN or local(server)"),
        check="server starts",
        message="ended without serving. Call serve",
    ),
    Plant(
        name="takes the rerun for a local run",
        script=server(serve=SERVE.replace("if RERUN", "if os.getenv('IS_RERUN')")),
        check="gateway",
        message="SERVER_NEVER_STARTED|SERVER_CONNECTION_FAILED|GATEWAY_RAISED|INVALID",
    ),
    Plant(
        name="starts too late",
        script=server(before="time.sleep(8 if os.getenv('KAGGLE_IS_COMPETITION_RERUN') else 0)"),
        check="gateway",
        message="SERVER_NEVER_STARTED.*load models in the first call",
        host=((RELAY, *STARTUP),),
    ),
    Plant(
        name="an answer takes too long",
        script=answers("    time.sleep(1.3)\n    return float(risk(row))"),
        check="call time",
        message=r"Call 2 exceeded its deadline of 1 s",
        host=((phantom.GATEWAY, *DEADLINE),),
    ),
    Plant(
        name="loads another model in the second call",
        script=answers("    time.sleep(2 * (len(CALLS) == 2))\n    return float(risk(row))"),
        check="gateway",
        message="GRPC_DEADLINE_EXCEEDED.*Do less in a call",
        host=((phantom.GATEWAY, *DEADLINE),),
    ),
    Plant(
        name="raises on a hidden row",
        script=answers("    return {0: 0.1, 1: 0.2, 2: 0.3}[int(row['walk_id'][0]) - 900]"),
        check="gateway",
        message="SERVER_RAISED_EXCEPTION.*It was call 1, for 0",
    ),
    Plant(
        name="raises always",
        script=answers("    raise RuntimeError('no weights')"),
        check="gateway",
        message="SERVER_RAISED_EXCEPTION.*no weights",
        local=True,
    ),
    Plant(
        name="answers nothing",
        script=answers("    risk(row)"),
        check="gateway",
        message="INVALID_SUBMISSION.*No prediction received",
        local=True,
    ),
    Plant(
        name="answers two rows for one",
        script=answers("    return pl.DataFrame({'fall': [0.1, 0.2]})"),
        check="gateway",
        message="INVALID_SUBMISSION.*expected 1 rows but received 2",
        local=True,
    ),
    Plant(
        name="answers in a column of another name",
        script=answers("    return pl.DataFrame({'prediction': [risk(row)]})"),
        check="gateway",
        message="INVALID_SUBMISSION.*The column fall is missing",
        local=True,
    ),
    Plant(
        name="answers a text",
        script=answers("    return str(risk(row))"),
        check="gateway",
        message="INVALID_SUBMISSION.*expected a number",
        local=True,
    ),
    Plant(
        name="answers what cannot travel",
        script=answers("    return {risk(row)}"),
        check="gateway",
        message="SERVER_RAISED_EXCEPTION.*cannot be sent",
        local=True,
    ),
    Plant(
        name="serves a function of another name",
        script=server(PREDICT.replace("predict", "infer"), serve=SERVE.replace("predict", "infer")),
        check="gateway",
        message="SERVER_MISSING_ENDPOINT.*of that very name",
        local=True,
    ),
    Plant(
        name="exits in the fifth call",
        script=answers("    len(CALLS) < 5 or os._exit(1)\n    return float(risk(row))"),
        check="gateway",
        message="SERVER_CONNECTION_FAILED.*It was call 5",
    ),
    Plant(
        name="goes on after serve()",
        script=server(
            serve="server = gait.GaitInferenceServer(predict)\n"
            "server.server.start() if RERUN else local(server)\ntime.sleep(1.0)"
        ),
        check="serves to the end",
        message="went on after serve",
        host=((phantom.GATEWAY, *SLOW),),
    ),
    Plant(
        name="keeps what each call needed",
        script=answers(
            "    CALLS.append(np.ones(4 << 20))\n    time.sleep(0.15)\n    return float(risk(row))"
        ),
        check="memory of calls",
        message=r"It grows by [234]\d\.\d MB with each call: .* after 1000 calls, of 4\.29 GB",
    ),
    Plant(
        name="needs more memory than there is",
        script=answers(
            "    if len(CALLS) > 3:\n        CALLS.append(np.ones(1 << 27)); time.sleep(0.5)\n"
            "    return float(risk(row))"
        ),
        check="gateway",
        message="SERVER_CONNECTION_FAILED",
        memory=700 << 20,
    ),
    Plant(
        name="reads what is not shared yet",
        script=answers(
            "    other = Path(signal).with_name('000003.npy')\n"
            "    try: open(other).close()\n    except OSError: pass\n    return float(risk(row))"
        ),
        check="shared files",
        message="000003.npy was read when it was not there",
    ),
    Plant(
        name="looks rows up in the public table",
        script=answers(
            "    test = pl.read_csv(ROOT / 'test.csv', schema_overrides={'walk_id': pl.String})\n"
            "    return float(risk(test.filter(pl.col('walk_id') == row['walk_id'][0])))"
        ),
        check="gateway",
        message="SERVER_RAISED_EXCEPTION",
    ),
    Plant(
        name="reads signals from the public folder, or gives up",
        script=answers(
            "    path = ROOT / 'test_signals' / Path(signal).name\n"
            "    return float(risk(row)) if path.exists() else 0.5"
        ),
        check="constant",
        message=r"All \d+ rows are 0.5",
    ),
    Plant(
        name="answers by the number of the call",
        script=answers("    return len(CALLS) / 100"),
        check="order and neighbours",
        message=r"have another answer in a second run",
        twice=True,
    ),
    Plant(
        name="remembers the first row",
        script=answers(
            "    CALLS[0] = row if len(CALLS) == 1 else CALLS[0]\n"
            "    return float(risk(row)) + float(risk(CALLS[0]))"
        ),
        check="order and neighbours",
        message=r"have another answer in a second run.*set `ordered = true`",
        twice=True,
    ),
    Plant(
        name="loses digits as float32",
        script=answers("    return 16777217.0 + int(row['walk_id'][0])"),
        check="types",
        message="travel as float32: their last digits are lost",
    ),
    Plant(
        name="answers of two types",
        script=answers("    return [float, np.float64][len(CALLS) % 2](risk(row))"),
        check="types",
        message="several types: numpy.float64, builtins.float",
    ),
    Plant(
        name="answers not a number where it has not seen the like",
        script=answers(f"    return {KNOWN} float('nan')"),
        check="values",
        message="values are missing",
    ),
    Plant(
        name="answers a constant for hidden rows",
        script=answers(f"    return {KNOWN} 0.5"),
        check="constant",
        message="not a model's answers",
    ),
    Plant(
        name="fills the disk",
        script=answers(
            "    with open(f'cache-{len(CALLS)}', 'wb') as f:\n"
            "        f.write(bytes(24 << 20)) if RERUN else None\n    return float(risk(row))"
        ),
        check="gateway",
        message="SERVER_RAISED_EXCEPTION.*No space left|SERVER_CONNECTION_FAILED",
    ),
]


def prepared(bench: Bench, plant: Plant) -> Bench:
    for file, old, new in plant.host:
        phantom.change(bench.data, file, old, new)
    if plant.memory is None:
        return bench
    return replace(bench, limits=replace(bench.limits, memory_bytes=plant.memory))


def test_a_right_server_passes(bench: Bench) -> None:
    checks = bench.rerun_twice(server())
    assert failed(checks) == {}
    passed = {check.name for check in checks if check.status == "passed"}
    assert passed >= {
        "server starts",
        "gateway",
        "serves to the end",
        "call time",
        "memory of calls",
        "types",
        "shared files",
        "submission.parquet",
        "ids",
        "order and neighbours",
        "answers depend on the input",
    }


def test_a_right_server_passes_run_local_gateway(bench: Bench) -> None:
    done = bench.run_locally(server())
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_caught_on_the_rerun(bench: Bench, plant: Plant) -> None:
    own = prepared(bench, plant)
    checks = own.rerun_twice(plant.script) if plant.twice else own.rerun(plant.script)
    problems = failed(checks)
    assert plant.check in problems, "\n".join(map(str, checks))
    assert re.search(plant.message, problems[plant.check], re.DOTALL), problems[plant.check]


@pytest.mark.slow
@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_what_run_local_gateway_says_of_it(bench: Bench, plant: Plant) -> None:
    done = prepared(bench, plant).run_locally(plant.script)
    assert (done.returncode != 0) == plant.local, done.stdout + done.stderr


def test_the_numbers_that_the_documents_name() -> None:
    """README and figures say how many are planted, and how many the local gateway finds."""
    local = sum(plant.local for plant in PLANTS)
    assert f"{len(PLANTS)} of {len(PLANTS)}; {local}" in FIGURES.read_text(encoding="utf-8")
    readme = FIGURES.parents[1] / "README.md"
    text = " ".join(readme.read_text(encoding="utf-8").split())
    assert f"catches {len(PLANTS)} planted ways to fail a gateway's rerun, {local} of which" in text


def test_a_server_never_sees_a_hidden_row(bench: Bench) -> None:
    """What it may read before the first call: the public test, and training rows that are left."""
    look = (
        "import json\n"
        "seen = [p.read_text() for p in ROOT.glob('*.csv')]\n"
        # The first call's files may be shared before the server is there, as on Kaggle.
        "paths = [str(p) for p in Path('/kaggle').rglob('*')]\n"
        "seen += [p for p in paths if not p.startswith('/kaggle/shared/')]\n"
        "Path('seen.json').write_text(json.dumps(seen))\n"
    )
    hidden = bench.competition().write(bench.folder / "hidden", 8)
    output = bench.run(server(before=look), hidden, "first")
    seen = (output.working / "seen.json").read_text()
    assert "000900" in seen
    ordinary = {name for unit in hidden.inner.data.ordinary for (name,) in unit.ids}
    assert len(ordinary) == 8
    assert not [name for name in ordinary if name in seen]


def test_a_port_of_the_laptop_may_be_in_use(bench: Bench) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # somebody else has it: as good
            taken.bind(("127.0.0.1", 50051))
            taken.listen()
        assert failed(bench.rerun(server())) == {}


def test_hidden_rows_that_the_gateway_could_make_writable_are_refused(bench: Bench) -> None:
    hidden = bench.competition().write(bench.folder / "first" / "hidden", 2)
    with pytest.raises(ValueError, match="lie in the pod's folder"):
        bench.run(server(), hidden, "first")


@pytest.mark.slow
def test_a_port_that_the_notebook_itself_has_taken(bench: Bench) -> None:
    """The server takes the next one, and the gateway finds it there."""
    taken = (
        "import socket\nheld = socket.socket()\nheld.bind(('localhost', 50051))\nheld.listen()\n"
    )
    assert failed(bench.rerun(server(before=taken))) == {}
