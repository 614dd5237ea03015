"""Decoding beside predicting: real workers, a real ONNX Runtime, a model one can check by hand."""

import os
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inference import averaging, pipeline, predict, report
from inference.deadline import Deadline
from inference.errors import BundleError, InstallError
from inference.journal import Key, open_journal
from inference.pipeline import Settings
from inference.submission import TestImage
from inference.workers import Workers
from tests.inference.mounts import PLANTED


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    """Two workers for all tests of this module."""
    with Workers(2) as started:
        yield started


def images_of(*paths: Path, **columns: str) -> list[TestImage]:
    """Return rows of a test table, one a file."""
    return [
        TestImage(
            image_id=path.stem, patient_id="1", prediction_id="1_L", path=path, columns=columns
        )
        for path in paths
    ]


def test_predicts_each_image_by_its_own_pixels(
    workers: Workers, make_model: Callable[..., Path], make_image: Callable[..., Path]
) -> None:
    shares = {f"{number}": number / 32 for number in range(17)}
    images = images_of(*(make_image(name, share) for name, share in shares.items()))
    model = predict.open_model(make_model())
    seen = []
    outcome = pipeline.run(
        images,
        [[model]],
        workers,
        Settings(batch_size=4, progress=lambda now: seen.append(now.done)),
    )
    for index, image in enumerate(images):
        # Bright over `share` of the width; the edge may be blurred by a column, 1/16 of the half.
        expected = min(1.0, 2 * shares[image.image_id])
        assert outcome.probabilities[index] == pytest.approx(expected, abs=0.07)
    assert outcome.done == outcome.total == 17
    assert sum(outcome.transfer_syntaxes.values()) == 17
    assert set(outcome.seconds) >= {"read", "decode", "prepare", "predict"}
    assert seen[-1] == 17


def test_averages_models_and_mirror_images(
    workers: Workers, make_model: Callable[..., Path], make_image: Callable[..., Path]
) -> None:
    images = images_of(make_image("bright-left", 0.5))
    one = predict.open_model(make_model("one.onnx"))
    both = [one, predict.open_model(make_model("two.onnx"))]
    plain = pipeline.run(images, [both], workers, Settings(batch_size=4)).probabilities
    mirrored = pipeline.run(
        images, [both], workers, Settings(batch_size=4, flip=True)
    ).probabilities
    assert list(plain.values()) == [pytest.approx(1, abs=0.04)]
    assert list(mirrored.values()) == [pytest.approx(0.5, abs=0.04)]


def test_models_count_by_their_weight(
    workers: Workers, make_model: Callable[..., Path], make_image: Callable[..., Path]
) -> None:
    """Of an image that is bright on the left, the mirrored one's answer is 0."""
    images = images_of(make_image("bright-left", 0.5))
    one = predict.open_model(make_model("one.onnx", weight=3.0))
    dark = predict.open_model(
        make_model("two.onnx", weight=1.0, metadata_columns=("laterality",))
    )  # which adds -1 on the left
    images = images_of(images[0].path, laterality="L")
    mean = pipeline.run(images, [[one, dark]], workers, Settings(batch_size=4))
    assert list(mean.probabilities.values()) == [pytest.approx(0.75, abs=0.04)]
    assert mean.members == {}  # kept where ranks need them alone


def test_ranks_need_each_models_predictions(
    workers: Workers, make_model: Callable[..., Path], make_image: Callable[..., Path]
) -> None:
    images = images_of(*(make_image(str(number), number / 8) for number in range(3)))
    both = [predict.open_model(make_model(name, average="rank")) for name in ("a", "b")]
    outcome = pipeline.run(images, [both], workers, Settings(batch_size=2))
    assert [len(outcome.members[key]) for key in range(3)] == [2, 2, 2]
    ranks = averaging.rank(outcome.members, [1.0, 1.0])
    assert [ranks[key] for key in range(3)] == pytest.approx([1 / 6, 3 / 6, 5 / 6])


def test_two_copies_of_the_models_share_the_work(
    workers: Workers, make_model: Callable[..., Path], make_image: Callable[..., Path]
) -> None:
    paths = [make_image(str(number), number / 32) for number in range(12)]
    path = make_model()
    one = pipeline.run(
        images_of(*paths), [[predict.open_model(path)]], workers, Settings(batch_size=2)
    )
    replicas = [[predict.open_model(path)] for _ in range(2)]
    two = pipeline.run(images_of(*paths), replicas, workers, Settings(batch_size=2))
    assert two.probabilities == pytest.approx(one.probabilities, abs=1e-6)


def test_tells_the_model_what_it_was_trained_with(
    workers: Workers, make_model: Callable[..., Path], make_image: Callable[..., Path]
) -> None:
    model = predict.open_model(make_model(metadata_columns=("laterality", "implant")))
    path = make_image("dark", 0.0)
    for laterality, implant, total in (("L", "0", -1), ("R", "1", 2), ("", "", 0)):
        images = images_of(path, laterality=laterality, implant=implant)
        (value,) = pipeline.run(
            images, [[model]], workers, Settings(batch_size=4)
        ).probabilities.values()
        assert value == pytest.approx(total, abs=0.01)


def test_counts_failures_by_kind(
    workers: Workers, make_model: Callable[..., Path], make_image: Callable[..., Path]
) -> None:
    good, bad = make_image("good"), make_image("bad")
    bad.write_bytes(bad.read_bytes()[:-200])
    images = images_of(good, bad, good.with_name("missing.dcm"))
    outcome = pipeline.run(
        images, [[predict.open_model(make_model())]], workers, Settings(batch_size=4)
    )
    assert list(outcome.probabilities) == [0]
    kinds = {key: error.kind for key, error in outcome.failures.items()}
    assert kinds == {1: "truncated", 2: "missing"}


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Plant code in the workers to come; return a function that names the images they loaded."""
    marks = tmp_path / "marks"
    marks.mkdir()
    (tmp_path / "planted").mkdir()
    monkeypatch.setenv("MARKS", str(marks))
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'planted'}{os.pathsep}{root}")

    def plant(code: str) -> list[str]:
        text = "def before(path):\n" + f"    {MARK}\n" + textwrap.indent(code, "    ")
        (tmp_path / "planted" / "sitecustomize.py").write_text(PLANTED.format(code=text))
        return [path.name.partition("@")[0] for path in sorted(marks.iterdir())]

    return plant


MARK = "Path(os.environ['MARKS'], f'{path.stem}@{os.getpid()}').touch()"


def test_second_tries_end_where_they_are_hopeless(
    counted: Callable[[str], list[str]],
    make_model: Callable[..., Path],
    make_image: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline, "HOPELESS", 2)
    images = images_of(*(make_image(str(number)) for number in range(5)))
    counted("os._exit(4)")
    with Workers(2) as own:
        outcome = pipeline.run(
            images, [[predict.open_model(make_model())]], own, Settings(batch_size=1)
        )
    assert {error.kind for error in outcome.failures.values()} == {"crashed"}
    assert len(outcome.failures) == 5
    assert len(counted("")) == 5 + 2


def test_keeps_what_was_predicted_before_an_error_and_goes_on_from_there(
    workers: Workers,
    make_model: Callable[..., Path],
    make_image: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = images_of(*(make_image(str(number), number / 20) for number in range(10)))
    model = predict.open_model(make_model())
    expected = pipeline.run(images, [[model]], workers, Settings(batch_size=1)).probabilities
    predict_one, calls = predict.Model.predict, []

    def fail_at_the_sixth(self: predict.Model, *arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 6:
            raise MemoryError
        return predict_one(self, *arguments)

    key = Key(ids={}, table="", images="", output="x", flip=False, providers=())
    with monkeypatch.context() as planted:
        planted.setattr(predict.Model, "predict", fail_at_the_sixth)
        held = open_journal(tmp_path, key, images)
        assert held is not None
        with Workers(1) as own:  # which have images left when the run ends
            first = pipeline.attempt(images, [[model]], own, Settings(batch_size=1), journal=held)
        held.close(remove=False)
    assert isinstance(first.error, MemoryError)
    assert 5 <= len(first.probabilities) <= 8  # the others that were under way are kept, too
    assert sorted([*first.probabilities, *first.skipped]) == list(range(10))
    held = open_journal(tmp_path, key, images)
    second = pipeline.attempt(images, [[model]], workers, Settings(batch_size=1), journal=held)
    assert second.error is None
    assert second.resumed == len(first.probabilities)
    assert second.probabilities == expected
    assert sum(second.decoders.values()) == 10


def test_a_deadline_takes_the_images_in_their_order(
    workers: Workers, make_model: Callable[..., Path], make_image: Callable[..., Path]
) -> None:
    images = images_of(*(make_image(str(number)) for number in range(8)))

    class AfterFive(Deadline):
        def pace(self, done: int, total: int) -> Any:
            self.resumed += 1
            return "full" if self.resumed <= 5 else "over"

    order = [7, 5, 3, 1, 0, 2, 4, 6]
    outcome = pipeline.run(
        images,
        [[predict.open_model(make_model())]],
        workers,
        Settings(batch_size=1, order=order),
        deadline=AfterFive(),
    )
    assert sorted(outcome.probabilities) == sorted(order[:5])
    assert outcome.skipped == order[5:]


def test_takes_coarse_images_where_time_is_short(
    workers: Workers, make_model: Callable[..., Path], make_image: Callable[..., Path]
) -> None:
    path = make_image("image")
    images = images_of(*[path] * 200)
    both = [predict.open_model(make_model(name)) for name in ("one.onnx", "two.onnx")]
    deadline = Deadline(limit=3600, at="coarse")
    deadline._full_rate = 1e-3  # as if images had been slow so far
    outcome = pipeline.run(images, [both], workers, Settings(batch_size=4), deadline=deadline)
    assert outcome.done == 200
    assert outcome.skipped == []
    assert 0 < len(outcome.coarse) <= 200
    warnings = report.outcome_warnings(outcome)
    assert warnings == [f"{len(outcome.coarse)} images were taken at the fastest settings"]


def test_an_error_of_the_model_ends_the_run(
    make_model: Callable[..., Path], make_image: Callable[..., Path]
) -> None:
    model = predict.open_model(make_model())
    narrow = replace(model, preprocess=replace(model.preprocess, size=(10, 10)))
    with Workers(1) as own, pytest.raises(Exception, match="Got invalid dimensions"):
        pipeline.run(images_of(make_image("a")), [[narrow]], own, Settings(batch_size=1))


def test_asking_for_cuda_without_one_is_an_error(make_model: Callable[..., Path]) -> None:
    if predict.CUDA in __import__("onnxruntime").get_available_providers():
        pytest.skip("this machine has CUDA")
    with pytest.raises(InstallError, match="--device cuda needs CUDA, but onnxruntime"):
        predict.open_model(make_model(), "cuda")
    assert predict.open_model(make_model(), "auto").providers == [predict.CPU]


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x08\x09" * 100])
def test_names_a_file_that_is_no_model(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(BundleError, match="is no model that this ONNX Runtime"):
        predict.open_model(tmp_path / "model.onnx")


def test_refuses_a_model_that_says_nothing_of_itself(
    tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    import onnx

    model = onnx.load(make_model())
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    with pytest.raises(BundleError, match="carries no rsna-bundle metadata"):
        predict.open_model(tmp_path / "bare.onnx")


def test_models_that_differ_cannot_be_averaged(make_model: Callable[..., Path]) -> None:
    one = predict.open_model(make_model("one.onnx"))
    other = predict.open_model(make_model("other.onnx", threshold=0.25))
    with pytest.raises(Exception, match=r"differ in their threshold \(\[0\.5, 0\.25\]\)"):
        predict.agreed([one.card, other.card])
    assert predict.agreed([one.card, one.card]).threshold == 0.5
    ranked = replace(one.card, average="rank")
    with pytest.raises(Exception, match="differ in their average"):
        predict.agreed([one.card, ranked])
    for weight in (0.0, -1.0, float("inf")):
        with pytest.raises(Exception, match=r"has the weight .*, which is not above 0"):
            predict.agreed([replace(one.card, weight=weight)])
