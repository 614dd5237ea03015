"""Networks that the user's own function builds, and the hint that writes such a function."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from bundler.cli import cli
from bundler.errors import InputError, UsageError
from bundler.model import architecture, checkpoint, export, factory, hints
from inference import predict
from inference.boot import bundle as reader
from tests.bundler.model.checkpoints import NORMALIZE, SIZE, TOLD, options
from tests.bundler.model.networks import BASELINE, Baseline, Small
from tests.recorder import Recorder

FACTORY_TOLD = {key: value for key, value in TOLD.items() if key not in ("arch", "preset")}


@pytest.fixture
def preset(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a preset as small as the tests' images."""
    from inference.pixels import preprocess

    small = preprocess.PreprocessConfig(size=SIZE)
    monkeypatch.setitem(preprocess.PRESETS, "small", small)  # type: ignore[arg-type]
    return "small"


def test_the_first_baselines_network_with_a_table_is_exported(tmp_path: Path, preset: str) -> None:
    """From a module named as one of ours, which prints, in a repository of its own."""
    (tmp_path / "train.py").write_text(f"print('hello')\n{BASELINE}")
    network = Baseline(numbers=3).eval()
    torch.save(network.state_dict(), tmp_path / "fold0.pth")
    built = export.build(
        options(
            tmp_path / "fold0.pth",
            factory="train:build",
            root=tmp_path,
            model_kwargs={"numbers": 3},
            metadata_columns=("age", "laterality"),
            head="sigmoid:0",
            preset=preset,
            **FACTORY_TOLD,
        ),
        tmp_path / "bundle",
    )
    ((model,),) = predict.load(reader.verify(built.bundle.folder), "cpu")
    assert (model.card.factory, model.card.arch) == ("train:build", "train:build")
    assert model.card.model_kwargs == {"numbers": 3}
    assert model.card.parity is not None
    assert model.card.parity.reference == "float64"
    images = np.random.default_rng(5).integers(0, 256, (3, *SIZE), dtype=np.uint8)
    table = np.random.default_rng(6).normal(size=(3, 3)).astype(np.float32)
    pixels = (torch.from_numpy(images[:, None]).float() * NORMALIZE.scale - 0.4) / 0.2
    with torch.inference_mode():
        expected = torch.sigmoid(network(pixels, torch.from_numpy(table)))[:, 0].numpy()
    np.testing.assert_allclose(model.predict(images, table), expected, atol=1e-4)
    assert not (tmp_path / "__pycache__").exists()  # their working tree stays as it is
    import train  # ours again

    assert Path(str(train.__file__)).parent != tmp_path


def test_a_factory_is_asked_for_by_a_hint_whose_lines_rebuild_the_network(tmp_path: Path) -> None:
    for numbers in (0, 4):
        network = Baseline(numbers=numbers, outputs=2).eval()
        torch.save(network.state_dict(), tmp_path / "fold0.pth")
        found = checkpoint.read(tmp_path / "fold0.pth")
        wrapper = hints.recognise(found.state)
        assert wrapper is not None
        (tmp_path / f"made{numbers}.py").write_text("\n".join(hints.code(wrapper)))
        made = factory.parse(f"made{numbers}:build", tmp_path)
        rebuilt = architecture.build(found, made.name, {}, (), factory=made)
        inputs = [torch.rand(2, 1, *SIZE), *([torch.rand(2, numbers)] if numbers else [])]
        with torch.inference_mode():
            torch.testing.assert_close(rebuilt(*inputs), network(*inputs))


class Branch(torch.nn.Module):
    """A body with a table's branch, a learned pooling and two layers of a head."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Baseline().backbone
        self.table = torch.nn.Sequential(
            torch.nn.Linear(5, 8), torch.nn.ReLU(), torch.nn.Linear(8, 4)
        )
        features = int(self.backbone.num_features) + 4  # type: ignore[arg-type]
        self.head = torch.nn.Sequential(
            torch.nn.Linear(features, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1)
        )

    def forward(self, pixels: torch.Tensor, metadata: torch.Tensor) -> torch.Tensor:
        features = torch.cat([self.backbone(pixels), self.table(metadata)], dim=1)
        return torch.as_tensor(self.head(features))


def test_the_hint_knows_a_branch_and_a_deeper_head(tmp_path: Path) -> None:
    network = Branch().eval()
    wrapper = hints.recognise(network.state_dict())
    assert wrapper is not None
    namespace: dict[str, Any] = {}
    exec("\n".join(hints.code(wrapper)), namespace)
    rebuilt = namespace["build"]()
    rebuilt.load_state_dict(network.state_dict())
    inputs = torch.rand(2, 1, *SIZE), torch.rand(2, 5)
    with torch.inference_mode():
        torch.testing.assert_close(rebuilt.eval()(*inputs), network(*inputs))


def test_a_wrapper_is_refused_with_the_lines(tmp_path: Path) -> None:
    """With timm's name it was exported without its head once, and nobody noticed."""
    torch.save(Baseline().state_dict(), tmp_path / "fold0.pth")
    for told in ({"arch": "test_resnet"}, {}):
        with pytest.raises(InputError, match="--factory rsna_model:build") as refused:
            export.build(
                options(tmp_path / "fold0.pth", preset="baseline-512", **FACTORY_TOLD, **told),
                tmp_path / "bundle",
            )
        assert "self.dense = nn.Linear(" in str(refused.value)
        assert "Under `backbone.` they look like timm's test_resnet" in str(refused.value)
    assert hints.recognise({f"x.{n}": v for n, v in Small().state_dict().items()}) is None


# What is wrong with a factory: the module's text, the option, the words of the refusal.
WRONG: dict[str, tuple[str, str, type[Exception], str]] = {
    "no such module": ("", "nomodels:build", UsageError, "There is no module nomodels"),
    "no such function": ("def make(): pass", "models:build", UsageError, "It has make"),
    "a path": ("", "models.py", UsageError, "such as models:build_model"),
    "it raises": ("def build():\n    1 / 0", "models:build", InputError, "ZeroDivisionError"),
    "a script": ("import sys\nsys.exit(2)", "models:build", InputError, "__main__"),
    "a missing package": ("import nopackage", "models:build", InputError, "needs the module nopa"),
    "no network": ("def build():\n    return 5", "models:build", InputError, "returned a int"),
    "an argument": ("def build(a):\n    pass", "models:build", UsageError, "cannot be called"),
    "a hole": (
        "import torch\ndef build():\n    return torch.nn.Linear(3, 3)",
        "models:build",
        InputError,
        "Build in the factory just what was trained",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_factory_that_does_not_work_is_explained(what: str, tmp_path: Path) -> None:
    text, name, kind, message = WRONG[what]
    (tmp_path / "models.py").write_text(text)
    torch.save(Small().state_dict(), tmp_path / "fold0.pth")
    found = checkpoint.read(tmp_path / "fold0.pth")

    def build() -> None:
        made = factory.parse(name, tmp_path)
        architecture.build(found, made.name, {}, (), factory=made)

    with pytest.raises(kind, match=message):
        build()


# Networks whose answer cannot be read as --head says.
UNREADABLE: dict[str, tuple[str, str, str]] = {
    "a tuple": ("return (x, x)", "sigmoid:0", "returns a tuple, not a tensor"),
    "a map": ("return self.features(x)", "sigmoid:0", "nothing pools it"),
    "too few outputs": ("return super().forward(x)", "sigmoid:1", "has 1 output, so --head"),
    "another input": ("return super().forward(x)[:, :, 0]", "sigmoid:0", "cannot predict from"),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_a_network_whose_answer_cannot_be_read_is_refused(
    what: str, tmp_path: Path, preset: str
) -> None:
    body, head, message = UNREADABLE[what]
    (tmp_path / "models.py").write_text(
        "from tests.bundler.model.networks import Small\n"
        f"class Odd(Small):\n    def forward(self, x):\n        {body}\n"
    )
    torch.save(Small().state_dict(), tmp_path / "fold0.pth")
    with pytest.raises((InputError, UsageError), match=message):
        export.build(
            options(
                tmp_path / "fold0.pth",
                factory="models:Odd",
                root=tmp_path,
                head=head,
                preset=preset,
                **FACTORY_TOLD,
            ),
            tmp_path / "bundle",
        )
    assert not (tmp_path / "bundle").exists()


def test_a_sigmoid_of_a_sigmoid_is_refused(tmp_path: Path, preset: str) -> None:
    (tmp_path / "models.py").write_text(
        "import torch\nfrom tests.bundler.model.networks import Small\n"
        "def build():\n    return Small(last=torch.nn.Sigmoid())"
    )
    torch.save(Small().state_dict(), tmp_path / "fold0.pth")
    told = {"factory": "models:build", "root": tmp_path, "preset": preset, **FACTORY_TOLD}
    with pytest.raises(UsageError, match=r"ends in a Sigmoid of its own.*--head probability:0"):
        export.build(options(tmp_path / "fold0.pth", head="sigmoid:0", **told), tmp_path / "bundle")
    progress = Recorder()
    built = export.build(
        options(tmp_path / "fold0.pth", head="probability:0", progress=progress, **told),
        tmp_path / "bundle",
    )
    ((model,),) = predict.load(reader.verify(built.bundle.folder), "cpu")
    images = np.random.default_rng(5).integers(0, 256, (3, *SIZE), dtype=np.uint8)
    pixels = (torch.from_numpy(images[:, None]).float() * NORMALIZE.scale - 0.4) / 0.2
    with torch.inference_mode():
        expected = torch.sigmoid(Small().eval()(pixels))[:, 0].numpy()
    np.testing.assert_allclose(model.predict(images), expected, atol=1e-5)


def test_other_pretrained_weights_are_not_loaded(tmp_path: Path) -> None:
    found = CliRunner().invoke(
        cli, ["model", "--ckpt", str(tmp_path / "none.pt"), "--model-kwarg", "pretrained"]
    )
    assert found.exit_code == 2
    assert "is not NAME=VALUE" in found.output
