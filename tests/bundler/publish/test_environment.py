"""The image and the machine that a notebook asks for, and what the last run had."""

import json
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest

from bundler.errors import UsageError
from bundler.image import target
from bundler.publish import accelerators, images, kernel, quota
from bundler.publish.kernel import Notebook
from bundler.publish.slugs import Ref
from bundler.settings import Settings
from tests.recorder import Recorder

ONE, OTHER = ("gcr.io/kaggle-images/python@sha256:" + digit * 64 for digit in "ab")


def test_an_image_is_pinned_by_its_digest(settings: Settings) -> None:
    assert images.pinned(replace(settings, docker_image=ONE)) == ONE
    assert kernel.pinned(ONE) == {
        "docker_image": ONE,
        "docker_image_pinning_type": "original",
    }
    assert kernel.pinned("latest") == {"docker_image_pinning_type": "latest"}


@pytest.mark.parametrize("image", ["gcr.io/kaggle-images/python:v168", "newest", ONE[:-1]])
def test_an_image_without_a_digest_is_refused(settings: Settings, image: str) -> None:
    with pytest.raises(UsageError, match="NAME@sha256"):
        images.pinned(replace(settings, docker_image=image))


def test_a_targets_image_and_the_last_runs_are_compared(settings: Settings) -> None:
    about = json.loads(target.load("host").text()) | {"source": f"captured in {ONE}"}
    (settings.root / "image.json").write_text(json.dumps(about))
    captured = replace(settings, target=("image.json",))
    assert images.pinned(captured) == ONE
    same, moved = (json.dumps({"image": one}).encode() for one in (ONE, OTHER))
    assert images.difference(captured, same) == ""
    assert "had the image bbbbbbbbbbbb, but aaaaaaaaaaaa is pinned" in images.difference(
        captured, moved
    )
    assert images.difference(settings, moved) == ""  # an estimate names no image


@pytest.mark.parametrize("record", [None, b"", b"[]", b"{", b'{"image": null}', b'{"image": 3}'])
def test_a_run_that_names_no_image(record: bytes | None) -> None:
    assert images.used(record) is None


def test_the_last_good_run_s_image_is_taken(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = SimpleNamespace(progress=Recorder())
    ref = Ref(owner="rosa", slug="a-notebook")
    state = "complete"
    monkeypatch.setattr(kernel, "current", lambda *_: 3)
    monkeypatch.setattr(kernel, "state", lambda *_: state)
    record = json.dumps({"image": ONE}).encode()
    monkeypatch.setattr(images.outputs, "read", lambda *_: record)
    assert images.choose(client, settings, ref) == ONE  # type: ignore[arg-type]
    assert client.progress.texts == [f"The image is that of the last run, {ONE}"]
    state = "error"
    assert images.choose(client, settings, ref) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("nvidiateslat4", "written NvidiaTeslaT4, not nvidiateslat4"),
        ("NvidiaTeslaP100", 'retired.*accelerator = "NvidiaTeslaT4"'),
        ("nvidiateslap100", "retired"),
    ],
)
def test_a_kind_that_gives_another_machine(kind: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"(?s){message}"):
        accelerators.check(kind, Recorder())


def test_a_kind_that_is_known_or_new() -> None:
    progress = Recorder()
    for kind in ("", "NvidiaTeslaT4", "TpuV5E8"):
        accelerators.check(kind, progress)
    assert progress.texts == []
    accelerators.check("NvidiaNext", progress)
    assert "NvidiaNext is not known here" in progress.texts[0]


def test_no_push_with_a_retired_kind(settings: Settings) -> None:
    path = settings.root / "a.ipynb"
    path.write_text("{}")
    ref = Ref(owner="rosa", slug="a-notebook")
    notebook = Notebook(path=path, ref=ref, accelerator="NvidiaTeslaP100")
    with pytest.raises(UsageError, match="retired"):
        kernel.push(SimpleNamespace(progress=Recorder()), notebook)  # type: ignore[arg-type]


class Api:
    """A client that knows a quota, as from 2.2 on."""

    def __init__(self, used: float) -> None:
        hours = SimpleNamespace(time_used=used * quota.HOUR, total_time_allowed=30 * quota.HOUR)
        self.answer = SimpleNamespace(gpu_quota=hours, tpu_quota=None)

    def quota_view(self) -> SimpleNamespace:
        return self.answer


@pytest.mark.parametrize(
    ("api", "kind", "texts"),
    [
        (Api(12.5), "NvidiaTeslaT4", ["12.5 of 30.0 GPU hours are used this week"]),
        (Api(30), "NvidiaTeslaT4", ["30.0 of 30.0 GPU hours are used: the run waits"]),
        (Api(12.5), "TpuV5E8", []),
        (Api(12.5), "", []),
        (object(), "NvidiaTeslaT4", []),
    ],
)
def test_the_quota(api: object, kind: str, texts: list[str]) -> None:
    progress = Recorder()

    def call(action: str, function: Callable[[], object], attempts: int) -> object:
        return function()

    client = SimpleNamespace(api=api, progress=progress, call=call)
    quota.show(client, kind)  # type: ignore[arg-type]
    shown = zip(progress.texts, texts, strict=True)
    assert [text[: len(wanted)] for text, wanted in shown] == texts
