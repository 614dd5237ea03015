"""Whatever a manifest holds, it is a bundle or a refusal that names the field: nothing else."""

import contextlib
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.boot import manifest
from inference.boot.manifest import Manifest, content_id
from inference.boot.parsing import parse
from inference.errors import BundleError

DATA = Path(__file__).parent / "data" / "format-2"
TEXTS = {folder.name: (folder / "bundle.json").read_bytes() for folder in DATA.iterdir()}
KINDS = sorted(TEXTS)
PLACE = Path("/input/x/bundle.json")
Step = str | int


def content(kind: str) -> Any:
    """Return a valid manifest as JSON's types."""
    return json.loads(TEXTS[kind])


def signed(raw: Any) -> bytes:
    """Return a manifest's text with the id of its content, as somebody hostile would."""
    if isinstance(raw, dict):
        with contextlib.suppress(ValueError, RecursionError):
            raw = raw | {"id": content_id(raw)}
    return json.dumps(raw).encode()


def refusal(raw: Any) -> str:
    """Return why a manifest is refused."""
    with pytest.raises(BundleError) as error:
        parse(signed(raw), PLACE)
    assert str(PLACE) in str(error.value)
    assert error.value.exit_code == 4
    return str(error.value)


def paths(value: Any, *path: Step) -> Iterator[tuple[Step, ...]]:
    """Yield the path of everything in a manifest."""
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, *path, key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from paths(item, *path, index)


def at(raw: Any, path: tuple[Step, ...]) -> Any:
    """Return what lies at a path."""
    for step in path:
        raw = raw[step]
    return raw


def dotted(path: tuple[Step, ...]) -> str:
    """Return a path as messages write it."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


# Keys that are the user's or another library's own, and fields that may be missing.
FREE = ("metrics", "model_kwargs", "prepared")
OPTIONAL = (
    "members",
    "run",
    "out_of_fold",
    "operations",
    "golden_images",
    "parity",
    "weight",
    "folders",
    "fold",
    "epoch",
)
DEFAULTS = ("window", "percentiles", "crop", "crop_margin", "flip", "fit", "decode_margin")


def repr_of(value: Any) -> str:
    """Return a short name for a parameter."""
    return type(value).__name__


def is_free(path: tuple[Step, ...]) -> bool:
    """Say whether a path leads into a table of free keys."""
    return any(step in FREE for step in path[:-1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_valid_manifest_is_read(kind: str) -> None:
    assert isinstance(parse(TEXTS[kind], PLACE), Manifest)


def every_path(kind: str) -> list[tuple[Step, ...]]:
    """Return the path of everything whose name is ours; of long lists of numbers the first."""
    found = [path for path in paths(content(kind)) if path and not is_free(path)]
    return [path for path in found if not (isinstance(path[-1], int) and path[-1] > 1)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_field_is_named(kind: str) -> None:
    for path in every_path(kind):
        if isinstance(path[-1], int) or path[-1] in (*OPTIONAL, *DEFAULTS, "id", "format"):
            continue
        if path[0] == "weights" and path[-1] != "name":
            continue  # what is not known of a file is left out
        raw = content(kind)
        del at(raw, path[:-1])[path[-1]]
        message = refusal(raw)
        assert f"the field {dotted(path)} is missing" in message
        assert "Build the bundle again" in message


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrong", [True, {"a": 1}, [["x"]], "\x00", -(10**400)], ids=repr_of)
def test_a_field_of_a_wrong_type_is_named(kind: str, wrong: Any) -> None:
    for path in every_path(kind):
        raw = content(kind)
        if isinstance(at(raw, path), type(wrong)) or path in (("id",), ("format",)):
            continue
        at(raw, path[:-1])[path[-1]] = wrong
        message = refusal(raw)
        assert f"the field {dotted(path)}" in message
        assert len(message) < 600


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_field_is_named(kind: str) -> None:
    for path in [(), *every_path(kind)]:
        raw = content(kind)
        table = at(raw, path)
        if isinstance(table, dict) and not is_free((*path, "")):
            table["more"] = 0
            wanted = f"the field {dotted((*path, 'more'))} is not known to this version"
            assert wanted in refusal(raw)


def test_the_key_of_an_older_version_is_named() -> None:
    """Seen in the field: a model of one `checkpoint` in place of `checkpoints`: KeyError, 70."""
    raw = content("model")
    raw["models"][0]["checkpoint"] = raw["models"][0].pop("checkpoints")[0]
    message = refusal(raw)
    assert "the field models[0].checkpoints is missing" in message
    assert "`rsna-bundle model`" in message


@pytest.mark.parametrize(
    ("kind", "path", "value", "message"),
    [
        ("libs", ("kind",), "wheels", "kind is 'wheels', none of libs, model, code, cache"),
        ("libs", ("targets",), [], "targets is empty"),
        ("libs", ("files", 0, "bytes"), -1, "files[0] is wrong: bytes is -1"),
        ("libs", ("files", 0, "sha256"), "0" * 63, "not 64 hexadecimal digits"),
        ("libs", ("files", 0, "name"), "a" * 300, "longer than 255 bytes"),
        ("libs", ("files", 0, "name"), "a\nb", "unsafe file name"),
        ("libs", ("files", 0, "shipped"), "bundle.json", "unsafe file name 'bundle.json'"),
        ("libs", ("files", 0, "name"), "\ud800", "surrogates not allowed"),
        ("model", ("models", 0, "threshold"), float("nan"), "NaN is not a number in JSON"),
        ("model", ("models", 0, "prevalence"), 10**400, "is a huge number, not float"),
        ("model", ("models", 0, "output"), "logits", "none of binary, probability"),
        ("model", ("models", 0, "preprocess", "size"), [1, 2, 3], "has 3 items, not 2"),
        ("model", ("models", 0, "file"), "other.onnx", "names 'other.onnx', which files does not"),
        ("model", ("golden", "dicoms", 0, "file"), "x.dcm", "golden.dicoms[0].file names 'x.dcm'"),
    ],
)
def test_what_makes_no_sense_is_refused(
    kind: str, path: tuple[Step, ...], value: Any, message: str
) -> None:
    raw = content(kind)
    at(raw, path[:-1])[path[-1]] = value
    assert message in refusal(raw)


def test_two_files_of_one_name_are_refused() -> None:
    raw = content("code")
    raw["files"][0]["name"] = raw["files"][1]["name"]
    assert "the field files has one name twice" in refusal(raw)


def test_a_file_in_the_place_of_a_folder_is_refused() -> None:
    raw = content("code")
    raw["files"][0]["name"], raw["files"][1]["name"] = "a", "a/b"
    assert "has a file in the place of a folder" in refusal(raw)


def test_archives_within_archives_have_an_end() -> None:
    raw = content("libs")
    member = {"name": "x.zip", "sha256": "0" * 64}
    for _ in range(40):
        member = {**member, "members": [member]}
    raw["files"][0]["members"] = [member]
    assert "is nested too deeply" in refusal(raw)
    raw = content("model")
    value: Any = 1
    for _ in range(40):
        value = {"x": value}
    raw["models"][0]["model_kwargs"]["x"] = value
    assert "is nested too deeply" in refusal(raw)


def test_a_manifest_that_was_altered_is_refused() -> None:
    raw = content("code") | {"commit": "d" * 40}
    with pytest.raises(BundleError, match="was altered: its content has the id"):
        parse(json.dumps(raw).encode(), PLACE)


def test_twenty_thousand_members_are_read_in_one_pass() -> None:
    raw = content("libs")
    raw["files"][0]["members"] = [
        {"name": f"torch/{number}.py", "sha256": "0" * 64} for number in range(20_000)
    ]
    assert len(parse(signed(raw), PLACE).files[0].members) == 20_000


# --- anything at all ---

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["name", "files", "x", ""]), inner, max_size=4)
    ),
    max_leaves=12,
)


def read_or_refused(text: bytes) -> None:
    """Read a text: it is a manifest, or a BundleError."""
    try:
        held = parse(text, PLACE)
    except BundleError:
        return
    manifest.compose(held.files, held.part, held.tool)  # who reads it may write it again


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_change_is_read_or_refused(data: st.DataObject) -> None:
    raw = copy.deepcopy(content(data.draw(st.sampled_from(KINDS))))
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from([path for path in paths(raw) if path] or [("x",)]))
        holder = at(raw, path[:-1])
        if data.draw(st.booleans()):
            holder[path[-1]] = data.draw(anything)
        elif isinstance(holder, dict):
            holder.pop(path[-1])
            holder[data.draw(st.text(max_size=8))] = data.draw(anything)
    read_or_refused(signed(raw))


@settings(max_examples=100, deadline=None)
@given(kind=st.sampled_from(KINDS), position=st.integers(0, 1 << 14), byte=st.binary(max_size=3))
def test_any_damage_to_the_text_is_read_or_refused(kind: str, position: int, byte: bytes) -> None:
    text = TEXTS[kind]
    position %= len(text)
    read_or_refused(text[:position] + byte + text[position + 1 :])
