"""What is understood of a competition's kaggle_evaluation, without running any of it."""

import ast
from pathlib import Path

import pytest

from bundler import settings
from bundler.competition import confirm, profile
from bundler.competition.gateway import constants, package
from bundler.competition.gateway.constants import UnknownError
from bundler.errors import InputError
from bundler.hidden import Hidden
from tests.bundler.competition.gateway.phantom import GATEWAY, change, competition


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return competition(tmp_path / "data")


def read(root: Path) -> package.Package:
    found = package.read(root)
    assert found is not None
    return found


def test_reads_classes_deadlines_rows_and_ports(root: Path) -> None:
    found = read(root)
    assert str(found.gateway) == "kaggle_evaluation.gait_gateway.GaitGateway"
    assert str(found.server) == "kaggle_evaluation.gait_inference_server.GaitInferenceServer"
    assert found.version == "1.4.0+phantom"
    assert (found.slugs, found.reads) == (("phantom-gait",), ("test.csv", "test_signals"))
    assert (found.row_ids, found.target) == (("walk_id",), "fall")
    assert (found.startup_seconds, found.response_seconds) == (900.0, 300.0)
    assert found.ports[:2] == (50051, 60053)
    assert len(found.ports) == 11
    assert found.shares_files
    assert found.submission == "submission.parquet"
    assert {"grpc", "polars", "pandas", "numpy"} <= found.modules
    assert "kaggle_evaluation" not in found.modules


def test_nothing_of_it_is_run(root: Path, tmp_path: Path) -> None:
    mark = tmp_path / "was-run"
    for path in (root / "kaggle_evaluation").rglob("*.py"):
        path.write_text(f"open({str(mark)!r}, 'w')\n" + path.read_text())
    read(root)
    profile.read(root)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("old", "new", "seconds"),
    [
        ("RESPONSE_SECONDS = 5 * 60", "RESPONSE_SECONDS = int(9000.0 + 5.0) + 30", 9035.0),
        ("self.set_response_timeout_seconds(RESPONSE_SECONDS)", "pass", 3600.0),
        ("RESPONSE_SECONDS = 5 * 60", "RESPONSE_SECONDS = os.cpu_count()", None),
    ],
    ids=["computed", "the default", "only when it runs"],
)
def test_deadlines(root: Path, old: str, new: str, seconds: float | None) -> None:
    change(root, GATEWAY, old, new)
    found = read(root)
    assert found.response_seconds == seconds
    deadlines = dict(found.lines())["deadlines"]
    assert ("set when it runs" in deadlines) == (seconds is None)


@pytest.mark.parametrize(
    "ids",
    [
        'pl.DataFrame({"walk_id": [walk_id]})',
        'pl.DataFrame(data={"walk_id": [walk_id]})',
        'row.select("walk_id")',
        'row.select(["walk_id"])',
        'row["walk_id"]',
        "ids",
    ],
)
def test_row_ids_as_hosts_write_them(root: Path, ids: str) -> None:
    change(root, GATEWAY, 'self.row_id_column_name = "walk_id"', "pass")
    line = 'yield (row, signal), pl.DataFrame({"walk_id": [walk_id]})'
    change(root, GATEWAY, line, f'ids = row.select("walk_id"); yield (row, signal), {ids}')
    assert read(root).row_ids == ("walk_id",)


def test_several_servers_and_a_submission_of_its_own(root: Path) -> None:
    change(root, GATEWAY, 'target_column_name="fall"', 'server_names=["white", "black"]')
    own = "    def write_submission(self, *_):\n        open('submission.csv', 'w')\n"
    change(root, GATEWAY, "    def unpack_data_paths", f"{own}\n    def unpack_data_paths")
    found = read(root)
    assert found.servers == ("white", "black")
    assert found.submission == "submission.csv"
    assert dict(found.lines())["servers"] == "inference_server_white, inference_server_black"


@pytest.mark.parametrize(
    "names",
    ['server_names=["default", "second"]', 'server_ports={"default": 50051, "second": 60053}'],
)
def test_the_default_server_has_the_usual_name(root: Path, names: str) -> None:
    change(root, GATEWAY, 'target_column_name="fall"', names)
    assert read(root).hosts == ("inference_server", "inference_server_second")


def test_names_of_servers_by_default(root: Path) -> None:
    """Kaggle makes the gateway without arguments, so the default values of its own count."""
    change(root, GATEWAY, "file_share_dir: str | None = None", "names: object = ('white', 'black')")
    change(root, GATEWAY, 'file_share_dir, target_column_name="fall"', "server_names=names")
    assert read(root).hosts == ("inference_server_white", "inference_server_black")
    change(root, GATEWAY, "server_names=names", "server_names=make_names()")
    assert read(root).hosts == ("inference_server",)


def test_of_two_gateways_the_one_that_the_server_uses(root: Path) -> None:
    copy = root / "kaggle_evaluation" / "another_gateway.py"
    copy.write_text((root / GATEWAY).read_text().replace("GaitGateway", "AnotherGateway"))
    assert read(root).gateway.name == "GaitGateway"
    (root / "kaggle_evaluation" / "gait_inference_server.py").unlink()
    with pytest.raises(InputError, match=r"several gateways.*AnotherGateway.*GaitGateway"):
        read(root)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("relay.py", "class Client:", "class Caller:", "relay.py: Client"),
        ("relay.py", "def send(", "def transmit(", "Client.send"),
        ("templates.py", "def serve(", "def start(", "InferenceServer.serve"),
    ],
)
def test_an_unknown_version_says_what_it_lacks(
    root: Path, file: str, old: str, new: str, message: str
) -> None:
    change(root, f"kaggle_evaluation/core/{file}", old, new)
    with pytest.raises(InputError, match=rf"{message}.*update rsna-bundle.*run_local_gateway"):
        read(root)


def test_an_incomplete_package(root: Path) -> None:
    (root / "kaggle_evaluation" / "core" / "relay.py").unlink()
    with pytest.raises(InputError, match=r"relay.py: the file itself.*Download"):
        read(root)
    (root / "kaggle_evaluation" / "core" / "relay.py").write_text("def broken(:")
    with pytest.raises(InputError, match="no Python that this version can parse"):
        read(root)


def test_no_gateway_in_the_package(root: Path) -> None:
    (root / GATEWAY).unlink()
    with pytest.raises(InputError, match=r"no class that derives from core\.templates.Gateway"):
        read(root)


def test_no_package_is_no_gateway_competition(tmp_path: Path) -> None:
    assert package.read(tmp_path) is None


def test_names_what_the_gateway_reads_and_nobody_has(root: Path) -> None:
    (root / "test.csv").rename(root / "test_rows.csv")
    assert read(root).missing == ("test.csv",)
    assert "test.csv: the gateway will not find it" in profile.read(root).summary()


# --- in the profile ---


def test_the_profile_takes_ids_target_and_output_of_the_gateway(root: Path) -> None:
    found = profile.read(root)
    assert found.hidden.gateway
    assert (found.hidden.id, found.hidden.targets) == (("walk_id",), ("fall",))
    assert found.hidden.submission == "submission.parquet"
    assert found.hidden.files == (("test_signals/{walk_id}.npy", "train_signals/{walk_id}.npy"),)
    text = found.summary()
    assert "GaitGateway, of a kaggle_evaluation 1.4.0+phantom" in text
    assert "15 min to start, 5 min for each later call" in text
    about = found.as_dict()["gateway"]
    assert isinstance(about, dict)
    assert about["row ids"] == "walk_id"


def test_the_settings_keep_it(root: Path, tmp_path: Path) -> None:
    pyproject = tmp_path / "pyproject.toml"
    pyproject.write_text('[tool.rsna-bundle]\ncompetition = "phantom-gait"\n')
    found = profile.read(root)
    confirm.keep(found, pyproject)
    kept = settings.load(tmp_path).hidden
    assert (kept.gateway, kept.id, kept.targets) == (True, ("walk_id",), ("fall",))
    again = profile.read(root, kept)
    assert again.confirmed
    assert again.hidden == found.hidden
    # What the user decides is not inferred anew.
    other = profile.read(root, Hidden(targets=("age",)))
    assert other.hidden.targets == ("age",)


# --- constants ---


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("60 * 15", 900),
        ("[50051] + [i for i in range(60053, 60053 + 3)]", [50051, 60053, 60054, 60055]),
        ("(1, 'a')", [1, "a"]),
        ("int(7.9)", 7),
    ],
)
def test_constants(text: str, value: object) -> None:
    assert constants.of(ast.parse(f"X = {text}")) == {"X": value}


@pytest.mark.parametrize(
    "text",
    [
        "open('x')",
        "[0] * 10**9",
        "range(10**12)",
        "[i for i in range(99999)]",
        "1 / 0",
        "'a' + 1",
        "None",
        "range(1, 2, 0)",
    ],
)
def test_what_is_no_constant(text: str) -> None:
    assert constants.of(ast.parse(f"X = {text}")) == {}
    with pytest.raises(UnknownError):
        constants.evaluate(ast.parse(text, mode="eval").body, {})


def test_a_name_that_is_assigned_anew_is_what_it_was_last() -> None:
    assert constants.of(ast.parse("X = 1\nY = X + 1\nX = open('x')")) == {"Y": 2}
