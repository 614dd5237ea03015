"""Settings: read from the nearest pyproject.toml, unknown keys refused."""

from pathlib import Path

import pytest

from bundler import settings
from bundler.errors import UsageError


def test_has_defaults_without_a_file(tmp_path: Path) -> None:
    assert settings.load(tmp_path) == settings.Settings(root=tmp_path)


def test_reads_the_nearest_file_upwards(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.rsna-bundle]\nowner = "me"\ntime_limit_hours = 12\n'
        '[tool.rsna-bundle.datasets]\nlibs = "my-libs"\n'
    )
    (tmp_path / "deep" / "er").mkdir(parents=True)
    loaded = settings.load(tmp_path / "deep" / "er")
    assert loaded.root == tmp_path
    assert loaded.owner == "me"
    assert loaded.time_limit_hours == 12
    assert loaded.datasets == settings.Datasets(libs="my-libs")
    assert loaded.dist == tmp_path / "dist"


def test_reads_the_old_name_of_a_key(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.rsna-bundle]\nhidden_images = 8\n")
    assert settings.load(tmp_path).hidden_units == 8


@pytest.mark.parametrize("written", ["none", "None", "cpu", ""])
def test_a_machine_without_an_accelerator(tmp_path: Path, written: str) -> None:
    (tmp_path / "pyproject.toml").write_text(f'[tool.rsna-bundle]\naccelerator = "{written}"\n')
    assert settings.load(tmp_path).accelerator == ""


def test_options_override_keys_and_none_keeps_them(tmp_path: Path) -> None:
    kept = settings.Settings(root=tmp_path, owner="me", competition="a", target=("host",))
    assert settings.override(kept) == kept
    changed = settings.override(
        kept,
        competition="b",
        target=("x",),
        hidden_units=1,
        time_limit_hours=0.5,
        on_failures="finish",
    )
    assert changed == settings.Settings(
        root=tmp_path,
        owner="me",
        competition="b",
        target=("x",),
        hidden_units=1,
        time_limit_hours=0.5,
        on_failures="finish",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool.rsna-bundle]\nonwer = 'me'", "unknown key 'onwer' in .*Did you mean 'owner'"),
        ("[tool.rsna-bundle]\nroot = '/'", "unknown key 'root'"),
        ("[tool.rsna-bundle]\nowner = 3", "owner is 3; it must be str"),
        ("[tool.rsna-bundle]\nhidden_units = true", "it must be int"),
        ("[tool.rsna-bundle]\nhidden_images = true", "it must be int"),
        ("[tool.rsna-bundle]\nhidden_images = 1\nhidden_units = 1", "Remove hidden_images"),
        ("[tool.rsna-bundle]\noutput = 'both'", "it must be binary or probability"),
        ("[tool.rsna-bundle]\ndatasets = 'x'", "must be a table"),
        ("[tool.rsna-bundle.datasets]\nlib = 'x'", "unknown key 'lib' in .*Did you mean 'libs'"),
        ("[tool.rsna-bundle\n", "Could not read"),
    ],
)
def test_refuses_what_it_does_not_know(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(UsageError, match=message):
        settings.load(tmp_path)
