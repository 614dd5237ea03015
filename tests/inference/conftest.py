"""A model that answers the mean brightness, and images of known brightness."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from inference.boot.fields import plain
from inference.pixels.preprocess import PreprocessConfig
from tests import parts
from train.phantom import JPEG_2000_LOSSLESS, write_dicom

CONFIG = PreprocessConfig(size=(48, 32), window="min-max", crop="none", flip="none", fit="stretch")


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of ONNX files: probability = mean of the left half / 255 (+ metadata)."""

    def make(
        name: str = "model.onnx", metadata_columns: tuple[str, ...] = (), **changes: object
    ) -> Path:
        answer = "image_part" if metadata_columns else "probability"
        inputs = [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 1, 48, 32])]
        steps = [
            helper.make_node("Slice", ["image", "from", "to", "axis"], ["left"]),
            helper.make_node("Cast", ["left"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
            helper.make_node("Div", ["mean", "scale"], [answer]),
        ]
        constants = {
            "from": np.array([0]),
            "to": np.array([16]),
            "axis": np.array([3]),
            "axes": np.array([1, 2, 3]),
            "scale": np.array(255, np.float32),
        }
        if metadata_columns:
            inputs.append(helper.make_tensor_value_info("metadata", TensorProto.FLOAT, ["n", "k"]))
            constants |= {"one": np.array([1])}
            steps += [
                helper.make_node("ReduceSum", ["metadata", "one"], ["sum"], keepdims=0),
                helper.make_node("Add", [answer, "sum"], ["probability"]),
            ]
        graph = helper.make_graph(
            steps,
            "brightness",
            inputs,
            [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n"])],
            [onnx.numpy_helper.from_array(value, key) for key, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        about = parts.card(CONFIG, **{"metadata_columns": metadata_columns} | changes)
        helper.set_model_props(model, {"rsna-bundle": json.dumps(plain(about))})
        onnx.save(model, tmp_path / name)
        return tmp_path / name

    return make


@pytest.fixture
def make_image(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of DICOM files whose left part, `share` of the width, is bright."""

    def make(name: str, share: float = 0.5) -> Path:
        pixels = np.zeros((96, 64), np.uint16)
        pixels[:, : round(64 * share)] = 4000
        path = tmp_path / "images" / f"{name}.dcm"
        path.parent.mkdir(exist_ok=True)
        write_dicom(path, pixels, transfer_syntax=JPEG_2000_LOSSLESS)
        return path

    return make


@pytest.fixture
def mount(
    tmp_path: Path, make_model: Callable[..., Path], make_image: Callable[..., Path]
) -> Callable[[int], object]:
    """Return a maker of mounted bundles and a test set of so many patients."""
    from tests.inference import mounts  # which needs what is defined here

    return lambda patients: mounts.mount(tmp_path, make_model(), make_image, patients)
