"""The Python that stands for the notebook's, and the bundles that can be installed in it."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.utils import canonicalize_name

from bundler.competition.check import Check
from bundler.competition.gateway import package
from bundler.errors import UsageError
from bundler.image import emulation, imports, interpreters
from bundler.image import target as targets
from bundler.image.emulation import EmulatedImage
from bundler.image.interpreters import NoInterpreterError
from bundler.image.target import Target
from bundler.rehearse.inputs import Inputs
from bundler.rehearse.run import substitute
from bundler.sandbox import backends
from bundler.sandbox.sandbox import Container
from bundler.settings import Settings
from inference.boot import bundle as reader
from inference.boot.bundle import Bundle

TREE = "tree.zip"  # of the code bundle
PICKLES = (".pkl", ".pickle", ".joblib")
HEAD = 16 << 20  # bytes of a pickle that are searched: the first object names what it is of
OPTIONAL = ("numba",)  # what the runner makes use of where the image has it


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """An emulated image, and the dist folder whose notebook runs in it."""

    image: EmulatedImage
    dist: Path  # the user's own, or one with a substitute for the libs bundle
    libs: Path  # the libs bundle that is mounted
    ids: Mapping[str, str]  # kind → id of the bundle in it
    checks: tuple[Check, ...] = ()
    container: Container | None = None  # where the image itself runs


def prepare(inputs: Inputs, folder: Path) -> Prepared:
    """Emulate the target's image; bundle libs for another Python where the target's is not here.

    A substitute bundle is built in the new folder `folder`. Raises BundlerError.
    """
    target, container = inputs.target, _container(inputs)
    image = _in_container(container, inputs) if container else _emulate(inputs)
    ids = {kind: bundle.id for kind, bundle in inputs.bundles.items()}
    if image.version.split(".")[:2] == target.python.split(".")[:2]:
        libs = inputs.bundles["libs"].folder
        return Prepared(
            image=image, dist=inputs.options.dist, libs=libs, ids=ids, container=container
        )
    inputs.options.progress.step(f"Bundling the same packages for Python {image.version}")
    dist = substitute.build(inputs.options, folder)
    message = (
        f"The target runs Python {target.python}, which is not on this machine. Python "
        f"{image.version} ran the notebook, with wheels of the same requirements for that version, "
        "so the wheels of the libs bundle were not installed. To try them, run "
        f"`uv python install {target.short_python}` and rehearse again."
    )
    return Prepared(
        image=image,
        dist=dist,
        libs=dist / "libs",
        ids=ids | {"libs": reader.read(dist / "libs").id},
        container=container,
        checks=(Check(name="python", status="unproven", message=message),),
    )


def _container(inputs: Inputs) -> Container | None:
    """Return the container of the notebook's own image, where an engine is the sandbox."""
    if inputs.backend not in backends.ENGINES:
        return None
    folder = inputs.options.competition_dir
    if folder and (folder / package.NAME).is_dir():
        raise UsageError(
            f"A gateway is rehearsed in two sandboxes that share mounts, which {inputs.backend} "
            "cannot make: leave --backend out."
        )
    image = inputs.options.image or inputs.target.image
    if not image:
        raise UsageError(
            f"The target {inputs.target.name} names no image. Add --image, such as "
            "gcr.io/kaggle-gpu-images/python@sha256:… (the line `docker_image` of the kernel's "
            "metadata), or the folder of a root file system."
        )
    limits = inputs.limits
    return Container(image=image, memory_bytes=limits.memory_bytes, cpus=limits.cpus)


def _in_container(container: Container, inputs: Inputs) -> EmulatedImage:
    """Return the image's own Python: nothing is emulated."""
    version = backends.ENGINES[inputs.backend].python_version(container)
    differences = []
    if "@sha256:" not in container.image:
        differences.append(f"the image {container.image} is not named by its digest")
    if version != inputs.target.python:
        differences.append(f"Python {version} in the image, {inputs.target.python} in the target")
    return EmulatedImage(
        python=Path(container.python), version=version, differences=tuple(differences)
    )


def _emulate(inputs: Inputs) -> EmulatedImage:
    target, python = inputs.target, inputs.options.python
    if python is not None:
        # The notebook runs in another folder. A link stays one: it makes a virtual environment.
        return emulation.from_python(python.absolute(), target)
    try:
        interpreter = interpreters.find(target)
    except NoInterpreterError as error:
        image = emulation.emulate(targets.host(), interpreters.this(), kernel=True)
        return replace(image, differences=(str(error),))
    made = inputs.bundles["libs"].libs.fitting(target.python, target.glibc, target.image)
    own = packages_of_command(inputs.bundles, inputs.options.settings, target)
    own += _packages_of_gateway(inputs.options.competition_dir, target)
    return emulation.emulate(
        target,
        interpreter,
        requirements=made.excluded if made else (),
        optional=(*OPTIONAL, *(name for name in own if name not in OPTIONAL)),
        kernel=True,
    )


def _packages_of_gateway(folder: Path | None, target: Target) -> tuple[str, ...]:
    """Return the image's packages that a competition's gateway and its server import."""
    served = package.read(folder) if folder else None
    return imports.packages(served.modules, target.names) if served else ()


def packages_of_command(
    bundles: Mapping[str, Bundle], settings: Settings, target: Target
) -> tuple[str, ...]:
    """Return the image's packages that the user's command imports, found without running it.

    Those that the model's pickles name count, too, and so does `image_packages` of the settings:
    what is imported by a name that is made up.
    """
    if not settings.run:
        return ()
    modules = imports.closure(_sources(bundles["code"]), settings.run)
    if "model" in bundles:
        modules |= _pickled(bundles["model"])
    named = (canonicalize_name(name) for name in settings.image_packages)
    known = (name for name in named if name in target.names)
    return tuple(dict.fromkeys((*imports.packages(modules, target.names), *known)))


def _sources(code: Bundle) -> dict[str, bytes]:
    """Return the Python files of the user's tree, by path."""
    for file in code.files:
        if file.name == TREE:
            with zipfile.ZipFile(code.folder / file.shipped) as archive:
                names = [name for name in archive.namelist() if name.endswith(".py")]
                return {name.partition("/")[2]: archive.read(name) for name in names}
    return {}


def _pickled(model: Bundle) -> frozenset[str]:
    """Return the modules that the heads of a model's pickles name."""
    modules = frozenset[str]()
    for file in model.files:
        if file.name.endswith(PICKLES):
            with (model.folder / file.shipped).open("rb") as stream:
                modules |= imports.pickled(stream.read(HEAD))
    return modules
