"""What an ONNX file takes and gives: its inputs and outputs, each named and checked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from bundler.errors import InputError, UsageError
from bundler.model.table import printable
from inference.predict import METADATA_KEY

OLDEST_OPSET = 11  # the operators around the network mean the same since then
ELEMENTS: Mapping[int, str] = {  # that an image may be made of, by ONNX's name for them
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.FLOAT16: "float16",
    onnx.TensorProto.UINT8: "uint8",
}
# What passes a number on, or picks some: looked through for the operator that made it.
_PASSED_THROUGH = {
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Identity",
    "Cast",
    "Gather",
    "Slice",
}
_DEEPEST = 8


@dataclass(frozen=True, kw_only=True)
class ImageInput:
    """The input that takes pixels; None where the file leaves a side open."""

    name: str
    element: str  # float32, float16 or uint8
    batch: int | None
    channels: int | None
    size: tuple[int | None, int | None]  # height, width
    channels_last: bool


@dataclass(frozen=True, kw_only=True)
class MetadataInput:
    """The input that takes the numbers of a table's row."""

    name: str
    element: str
    width: int | None


@dataclass(frozen=True, kw_only=True)
class OnnxFile:
    """An ONNX file's inputs, and the output that is predicted from."""

    path: Path
    opset: int
    image: ImageInput
    metadata: MetadataInput | None
    output: str
    outputs: int | None  # numbers for an image; None where the file does not say
    ends_in: str | None  # Sigmoid or Softmax, where the output comes from one
    normalises: bool  # whether its first operator changes the pixels' scale
    data: tuple[Path, ...] = ()  # the files beside it that hold its weights

    @property
    def precision(self) -> str:
        """Return in which precision it takes images."""
        return "fp16" if self.image.element == "float16" else "fp32"


def read(path: Path, output: str | None = None) -> OnnxFile:
    """Read an ONNX file's inputs and outputs. Raises InputError, UsageError.

    `output` names the one to predict from, where it has several.
    """
    model = load(path)
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    images = [value for value in inputs if len(_sides(value)) == 4]
    tables = [value for value in inputs if len(_sides(value)) == 2]
    if len(images) != 1 or len(tables) > 1 or len(inputs) != len(images) + len(tables):
        raise InputError(
            f"{path} takes {_listed(inputs) or 'nothing'}. The runner gives one input of images "
            "[N, C, H, W] and, where the table is used, one of numbers [N, K]. Export a network "
            "with these inputs alone."
        )
    chosen = _choose_output(graph.output, output, path)
    sides = _sides(chosen)
    return OnnxFile(
        path=path,
        opset=_opset(model, path),
        image=_read_image(images[0], path),
        metadata=_read_metadata(tables[0], path) if tables else None,
        output=chosen.name,
        outputs=_count_outputs(sides, chosen.name, path),
        ends_in=_find_end(graph, chosen.name),
        normalises=_find_start(graph, images[0].name),
        data=tuple(sorted({path.parent / place for place in _external(model)})),
    )


def load(path: Path, *, weights: bool = False) -> onnx.ModelProto:
    """Load an ONNX file, with the weights that lie beside it or without. Raises InputError."""
    try:
        model = onnx.load(str(path), format="protobuf", load_external_data=False)
        _check_external(model, path)
        if weights:
            onnx.load_external_data_for_model(model, str(path.parent))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (DecodeError, ValueError, onnx.checker.ValidationError) as error:
        raise InputError(
            f"{path} is not an ONNX file, or is cut short or damaged. Copy or export it again."
        ) from error
    _check_mode(model, path)
    if not model.graph.node:
        raise InputError(f"{path} holds no network: its graph is empty. Export it again.")
    if any(entry.key == METADATA_KEY for entry in model.metadata_props):
        raise InputError(
            f"{path} was exported by `rsna-bundle model`. Export its checkpoints again with "
            "--ckpt: what it was compared with does not travel in it."
        )
    return model


def _check_mode(model: onnx.ModelProto, path: Path) -> None:
    """Refuse what was exported while training: its answer to an image depends on the others."""
    training = [
        node.name or node.op_type
        for node in model.graph.node
        if node.op_type in ("BatchNormalization", "Dropout")
        and any(one.name == "training_mode" and one.i for one in node.attribute)
    ]
    if training:
        raise InputError(
            f"{path} was exported in training mode ({printable(training[0])}, {len(training)} in "
            "all): its answers depend on what else is in the batch. Call model.eval() and export "
            "it again."
        )


def _opset(model: onnx.ModelProto, path: Path) -> int:
    for used in model.opset_import:
        if used.domain in ("", "ai.onnx"):
            if used.version < OLDEST_OPSET:
                raise InputError(
                    f"{path} uses ONNX's operators of version {used.version}; at least "
                    f"{OLDEST_OPSET} is needed. Export it again with opset_version=17."
                )
            return int(used.version)
    raise InputError(f"{path} does not say which ONNX operators it uses. Export it again.")


def _external(model: onnx.ModelProto) -> Iterator[str]:
    """Yield where tensors say that they lie outside the file, relative to it."""
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            entries = {entry.key: entry.value for entry in tensor.external_data}
            yield entries.get("location", "").replace("\\", "/")


def _check_external(model: onnx.ModelProto, path: Path) -> None:
    """Refuse weights that are to be read from anywhere but beside the file."""
    for location in _external(model):
        place = PurePosixPath(location)
        if place.is_absolute() or ".." in place.parts:
            raise InputError(
                f"{path} wants to read its weights from {printable(str(place))}. Only files beside "
                "it, or in folders below, are read: put them there and export it again."
            )
        if not (path.parent / place).is_file():
            raise InputError(
                f"The weights of {path} lie in {printable(str(place))} beside it, which is not "
                "there. Copy both."
            )


def _read_image(value: onnx.ValueInfoProto, path: Path) -> ImageInput:
    element = ELEMENTS.get(value.type.tensor_type.elem_type)
    if element is None:
        kind = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower()
        raise InputError(
            f"The input {printable(value.name)} of {path} takes images of {kind}; the runner has "
            f"{', '.join(ELEMENTS.values())}. Export it with one of these."
        )
    batch, *sides = _sides(value)
    last = sides[0] not in (1, 3) and sides[2] in (1, 3)  # as TensorFlow has it
    channels = sides[2] if last else sides[0]
    if channels not in (None, 1, 3):
        raise InputError(
            f"The input {printable(value.name)} of {path} takes {channels} channels "
            f"({_shape(value)}); a mammogram has 1, or 3 that are equal."
        )
    height, width = sides[:2] if last else sides[1:]
    return ImageInput(
        name=value.name,
        element=element,
        batch=batch,
        channels=channels,
        size=(height, width),
        channels_last=last,
    )


def _read_metadata(value: onnx.ValueInfoProto, path: Path) -> MetadataInput:
    element = ELEMENTS.get(value.type.tensor_type.elem_type)
    if element not in ("float32", "float16"):
        raise InputError(
            f"The input {printable(value.name)} of {path} must take float32 numbers of the table."
        )
    return MetadataInput(name=value.name, element=element, width=_sides(value)[1])


def _choose_output(
    values: Sequence[onnx.ValueInfoProto], name: str | None, path: Path
) -> onnx.ValueInfoProto:
    named = [value for value in values if name in (None, value.name)]
    if len(named) != 1:
        raise UsageError(
            f"{path} gives {_listed(values)}. Name the one that holds the prediction with "
            "--onnx-output."
        )
    kind = named[0].type.tensor_type.elem_type
    if kind not in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16):
        raise InputError(
            f"The output {printable(named[0].name)} of {path} holds no floating-point numbers "
            f"({_listed(named)}): a class that was already chosen ranks nothing. Export the logits."
        )
    return named[0]


def _count_outputs(sides: Sequence[int | None], name: str, path: Path) -> int | None:
    if len(sides) == 0 or any(side not in (1, None) for side in sides[2:]):
        raise InputError(
            f"The output {printable(name)} of {path} is {list(sides)}, not [N, C]: it is no "
            "prediction of an image. Export a network that pools."
        )
    return 1 if len(sides) == 1 else sides[1]


def _find_end(graph: onnx.GraphProto, name: str) -> str | None:
    """Return the activation that an output comes from, if it comes from one."""
    makers = {output: node for node in graph.node for output in node.output}
    for _ in range(_DEEPEST):
        node = makers.get(name)
        if node is None:
            return None
        if node.op_type in ("Sigmoid", "Softmax"):
            return str(node.op_type)
        if node.op_type not in _PASSED_THROUGH:
            return None
        name = node.input[0]
    return None


def _find_start(graph: onnx.GraphProto, name: str) -> bool:
    """Say whether the pixels are scaled or shifted before anything else happens to them."""
    users = [node for node in graph.node if name in node.input]
    for _ in range(_DEEPEST):
        if len(users) != 1:
            return False
        if users[0].op_type in ("Sub", "Div", "Mul", "Add", "BatchNormalization"):
            return True
        if users[0].op_type not in (*_PASSED_THROUGH, "Transpose"):
            return False
        users = [node for node in graph.node if users[0].output[0] in node.input]
    return False


def _sides(value: onnx.ValueInfoProto) -> list[int | None]:
    """Return the sides of a value; None where one is a symbol or not known."""
    shape = value.type.tensor_type.shape
    return [side.dim_value if side.HasField("dim_value") else None for side in shape.dim]


def _shape(value: onnx.ValueInfoProto) -> str:
    sides = value.type.tensor_type.shape.dim
    return printable(f"[{', '.join(str(one.dim_value or one.dim_param or '?') for one in sides)}]")


def _listed(values: Sequence[onnx.ValueInfoProto]) -> str:
    return ", ".join(f"{printable(value.name)} {_shape(value)}" for value in values)
