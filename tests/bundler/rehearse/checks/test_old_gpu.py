"""What a T4 is too old for, from real files of weights and from code."""

import pytest
import torch
from safetensors.torch import save_file

from bundler.rehearse.checks import old_gpu
from inference.boot.bundle import Bundle
from inference.boot.manifest import ModelFiles
from tests.bundler.model.model_trees import build

T4, L4 = "NvidiaTeslaT4", "NvidiaL4"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Return a bundle of weights: bfloat16 and not, alone and, being small, in a volume."""
    folder = tmp_path_factory.mktemp("model") / "weights"
    (folder / "small").mkdir(parents=True)
    for kind, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        weights = {"a": torch.zeros(4, 4), "b": torch.ones(2, dtype=dtype)}
        save_file(weights, folder / f"{kind}.safetensors")
        torch.save(weights, folder / f"{kind}.pth")
    for number in range(60):
        dtype = torch.float32 if number else torch.bfloat16
        weights = {"a": torch.zeros(1, dtype=dtype)}
        save_file(weights, folder / "small" / f"{number}.safetensors")
    # The name stands in a tensor of bytes, not as the class of a storage.
    text = torch.tensor(list(b"BFloat16Storage"), dtype=torch.uint8)
    torch.save({"text": text}, folder / "text.pth")
    (folder / "broken.safetensors").write_bytes(b"\xff" * 40)
    (folder / "broken.pth").write_bytes(b"PK\x03\x04")
    (folder / "net.engine").write_bytes(b"ftrt")
    return build(folder, out=folder.parent / "dist").bundle


def test_names_bfloat16_weights_and_engines(model: Bundle) -> None:
    lines = list(old_gpu.demands({}, model, {}, T4))
    assert [line.split()[0] for line in lines if "bfloat16" in line] == [
        "weights/bf16.pth",
        "weights/bf16.safetensors",
        "weights/small/0.safetensors",
    ]
    part = model.manifest.part
    assert isinstance(part, ModelFiles)
    assert part.volumes  # in which the last of them lies
    assert [line.split()[0] for line in lines if "TensorRT" in line] == ["weights/net.engine"]
    assert len(lines) == 4


def test_a_newer_gpu_takes_all_but_another_ones_engine(model: Bundle) -> None:
    code = {"a.py": "x.bfloat16()"}
    (line,) = old_gpu.demands(code, model, {"flash-attn": "2.8"}, L4)
    assert "net.engine is a TensorRT engine" in line
    assert "NvidiaL4" in line
    (line,) = old_gpu.demands({}, model, {}, "")
    assert "no GPU at all" in line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\nmodel.to(torch.bfloat16)", "a.py:2 asks for bfloat16"),
        ("Trainer(precision='bf16-mixed')", "a.py:1 asks for bfloat16"),
        ("\n\nload(attn_implementation='flash_attention_2')", "a.py:3 asks for FlashAttention-2"),
        ("import os\n\n  import flash_attn", "a.py:3 asks for FlashAttention-2"),
    ],
)
def test_names_the_line_of_the_code(text: str, line: str) -> None:
    (message,) = old_gpu.demands({"a.py": text}, None, {}, T4)
    assert message.startswith(line)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", "dtype = torch.float16"),
        ("tests/test_a.py", "torch.bfloat16"),
        ("README.md", "torch.bfloat16"),
        ("a.py", "d = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16"),
        ("a.py", "no_flash_attn = 1"),
    ],
)
def test_says_nothing_of_code_that_a_t4_can_run(name: str, text: str) -> None:
    assert list(old_gpu.demands({name: text}, None, {}, T4)) == []


def test_names_a_wheel_that_needs_another_gpu() -> None:
    (message,) = old_gpu.demands({}, None, {"flash-attn": "2.8.3"}, T4)
    assert message.startswith("flash-attn 2.8.3 needs an Ampere GPU; the notebook has a T4")
