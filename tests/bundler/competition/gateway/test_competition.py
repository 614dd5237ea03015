"""A competition with a gateway, before anything is run: what is dealt, and what is refused."""

from pathlib import Path

import pytest

from bundler.competition import profile
from bundler.competition.choose import choose
from bundler.competition.gateway.competition import GatewayCompetition
from bundler.errors import InputError
from bundler.hidden import Hidden
from bundler.rehearse import rehearsal
from bundler.rehearse.options import RehearseOptions
from bundler.sandbox import backends
from bundler.sandbox.backends import SandboxError
from bundler.settings import Settings
from tests.bundler.competition.gateway.phantom import GATEWAY, change, competition


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return competition(tmp_path / "data")


def chosen(root: Path, hidden: Hidden = Hidden()) -> GatewayCompetition:  # noqa: B008 - frozen
    """Return the competition that a rehearsal of a user's own command takes."""
    settings = Settings(
        root=root.parent, competition="gait", run="python submit.py", hidden=hidden, hidden_units=77
    )
    found = choose(settings, folder=root)
    assert isinstance(found, GatewayCompetition)
    return found


def test_the_gateway_gets_the_hidden_rows_and_the_notebook_the_public_ones(
    root: Path, tmp_path: Path
) -> None:
    found = chosen(root)
    test = found.write(tmp_path / "run" / "hidden", 6)
    plan = test.gateway
    assert plan is not None
    assert set(plan.public) == {"test.csv", "test_signals"}
    assert set(plan.public.values()) == {root / "test.csv", root / "test_signals"}
    assert "000900" not in (test.folder / "test.csv").read_text()
    assert plan.servers == ("inference_server",)
    assert found.hidden_rows == 77
    withheld = {name for name in test.ids if name in (root / "train.csv").read_text()}
    assert withheld
    assert not withheld & set((test.folder / "train.csv").read_text().split(","))
    # The gateway shares a file for each row: the host's data have them all.
    assert all((test.folder / "test_signals" / f"{name}.npy").exists() for name in test.ids)


def test_the_second_pass_has_the_same_rows_among_others_in_another_order(
    root: Path, tmp_path: Path
) -> None:
    first = chosen(root).write(tmp_path / "first", 6)
    second = first.second(tmp_path / "second", 20)
    ordinary = {name for unit in first.inner.data.ordinary for (name,) in unit.ids}
    assert ordinary < set(second.ids)
    assert second.gateway is not None
    assert second.gateway.shuffled


def test_the_public_test_has_no_gateway_beside_it(root: Path) -> None:
    public = chosen(root).public()
    assert public is not None
    assert public.gateway is None
    assert public.ids == ("000900", "000901", "000902")
    assert public.folder == root


def test_servers_by_their_names(root: Path, tmp_path: Path) -> None:
    change(root, GATEWAY, 'target_column_name="fall"', 'server_names=["white", "black"]')
    plan = chosen(root).write(tmp_path / "hidden", 3).gateway
    assert plan is not None
    assert plan.servers == ("inference_server_white", "inference_server_black")


def test_what_is_not_public_is_hidden_by_nothing(root: Path, tmp_path: Path) -> None:
    """Where the public test has no such folder, the notebook finds an empty one."""
    hidden = chosen(root)
    hidden.tables.profile()  # read before the folder goes, as a user's settings keep it
    for path in (root / "test_signals").iterdir():
        path.unlink()
    (root / "test_signals").rmdir()
    test = hidden.write(tmp_path / "run" / "hidden", 3)
    plan = test.gateway
    assert plan is not None
    assert list((test.folder / "test_signals").iterdir())
    assert list(plan.public["test_signals"].iterdir()) == []
    hidden.validate(None)  # the hidden test has what the gateway reads there


# --- bad input: each with the way out ---


def rehearse(root: Path) -> None:
    """Rehearse without an option: what is wrong is said before any bundle is looked for."""
    own = Settings(root=root.parent, competition="gait", run="python submit.py")
    dist = root.parent / "dist"
    rehearsal.run(
        RehearseOptions(settings=own, dist=dist, out=dist / "rehearsal", competition_dir=root)
    )


def test_settings_that_name_a_gateway_which_the_folder_lacks(root: Path) -> None:
    (root / "kaggle_evaluation").rename(root / "evaluation")
    hidden = Hidden(gateway=True)
    message = r"no kaggle_evaluation.*Download.*out of the settings"
    with pytest.raises(InputError, match=message):
        chosen(root, hidden)
    with pytest.raises(InputError, match=message):  # as `rsna-bundle competition` reads it
        profile.read(root, hidden)


def test_a_version_that_nobody_knows(root: Path) -> None:
    change(root, "kaggle_evaluation/core/relay.py", "class Client:", "class Channel:")
    with pytest.raises(InputError, match=r"1\.4\.0\+phantom of a kind.*update rsna-bundle"):
        chosen(root)


def test_data_that_the_gateway_reads_and_nobody_has(root: Path) -> None:
    change(root, GATEWAY, "phantom-gait/test.csv", "phantom-gait/hidden_meta.csv")
    message = r"reads hidden_meta\.csv.*before the first call.*Download"
    with pytest.raises(InputError, match=message):
        chosen(root).validate(3)
    with pytest.raises(InputError, match=message):
        rehearse(root)


def test_a_table_of_the_settings_that_is_gone(root: Path) -> None:
    hidden = profile.read(root).hidden
    (root / "test.csv").unlink()
    with pytest.raises(InputError, match=r"test\.csv does not exist\. Download the competition's"):
        chosen(root, hidden).validate(None)


def test_a_machine_without_user_namespaces(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = {"namespaces": "the kernel refuses to make namespaces", "bubblewrap": None}
    monkeypatch.setattr(backends, "reasons", lambda: refused)
    message = r"refuses to make namespaces.*sysctl"
    with pytest.raises(SandboxError, match=message):
        chosen(root).validate(3)
    with pytest.raises(SandboxError, match=message):
        rehearse(root)
