"""The notebook's image, emulated: a virtual environment of the target's Python that shows pip
and the code what they would see on the notebook.

A few of the image's packages are installed for real, at the image's versions; every other one is
a stub, a `.dist-info` without files, which pip meets, and the code that runs there does not. Both
the install test of `libs` and the rehearsal run in such an environment.
"""

import hashlib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bundler import atomic, cache, dependencies, process
from bundler.errors import CommandError, InputError
from bundler.image import interpreters, stub_packages
from bundler.image.interpreters import Interpreter
from bundler.image.target import Target
from inference.boot.manifest import canonical

FORMAT = 3  # of the environments; another number makes them anew
MISSING = "missing"  # the file that names what was optional and could not be installed
READY = "ready"  # the file that names the environment that is whole


@dataclass(frozen=True, kw_only=True)
class EmulatedImage:
    """An interpreter that stands for the notebook's, and how it differs from the target's."""

    python: Path
    version: str
    differences: tuple[str, ...] = ()  # for people


def emulate(
    target: Target,
    interpreter: Interpreter,
    *,
    wheels: Sequence[Path] = (),
    requirements: Sequence[str] = (),
    optional: Sequence[str] = (),
    kernel: bool = False,
) -> EmulatedImage:
    """Make (or find again) an environment of `interpreter` that shows the target's packages.

    `wheels` are installed as they are, `requirements` (NAME==VERSION) from the index, the names
    `optional` too where the image has them and the index can serve them. With `kernel`, notebooks
    can run in it; else it has the interpreter's own pip. Raises InputError, CommandError.
    """
    lines = dependencies.load().kernel.values() if kernel else ()
    kernel_lines = [_at_image_version(line, target) for line in lines]
    wanted = [*kernel_lines, *(_public(line) for line in requirements)]
    extra = [_at_image_version(name, target) for name in optional if name in target.names]
    folder = cache.folder("images") / f"emulated-{_key(target, interpreter, wheels, wanted, extra)}"
    folder.mkdir(exist_ok=True)
    # Of two runs that need the same image at once, the second waits and takes what the first made.
    with atomic.locked(folder / "lock"):
        environment = _ready(folder)
        if environment is None:
            environment = _new_folder(folder)
            python = _create(environment, interpreter)
            _install_wheels(python, wheels)
            missing = _install_requirements(python, wanted, extra, target)
            atomic.write_text(folder / MISSING, "\n".join(missing))
            site = _site_packages(python)
            if not (site / "pip").is_dir():
                _link_pip(interpreter, python, site)
            stub_packages.write_stub_dist_infos(site, target)
            atomic.write_text(folder / READY, environment.name)
    made = Interpreter(path=_python_of(environment), version=interpreter.version)
    image = describe(made, target)
    missing = (folder / MISSING).read_text(encoding="utf-8").splitlines()
    notes = [*_unlike([*wanted, *extra], target), *(f"{name} is not installed" for name in missing)]
    return replace(image, differences=(*image.differences, *notes))


def _unlike(lines: Sequence[str], target: Target) -> list[str]:
    """Say which packages are of another build than the image's, or perhaps of another version."""
    builds = {name: package.version for name, package in target.packages.items()}
    unversioned = [line for line in dict.fromkeys(lines) if line in target.unversioned]
    return [
        f"{line} from the index on this machine, in a version that is not known in the image"
        for line in unversioned
    ] + [
        f"{line} from the index on this machine, {builds[name]} in the image"
        for line in dict.fromkeys(lines)
        if "+" in builds.get(name := line.partition("==")[0], "")
    ]


def describe(interpreter: Interpreter, target: Target) -> EmulatedImage:
    """Return an interpreter as the image, with what differs from the target's."""
    differences = []
    if interpreter.version != target.python:
        differences.append(
            f"Python {interpreter.version} on this machine, {target.python} in the image"
        )
    libc = platform.libc_ver()[1]
    if target.system == "linux" and libc != target.release:
        differences.append(f"glibc {libc} on this machine, {target.release} in the image")
    return EmulatedImage(
        python=interpreter.path, version=interpreter.version, differences=tuple(differences)
    )


def from_python(python: Path, target: Target) -> EmulatedImage:
    """Return the image that a user's own Python is. Raises InputError where it has no kernel."""
    try:
        process.run([python, "-I", "-c", "import ipykernel, pip"])
    except CommandError as error:
        raise InputError(
            f"{python} cannot run the notebook: it needs pip and ipykernel. Install them there "
            f"(`{python} -m pip install ipykernel`), or leave --python out. ({error})"
        ) from error
    return describe(interpreters.read(python), target)


# --- one environment, whole or not there ---


def _key(
    target: Target,
    interpreter: Interpreter,
    wheels: Sequence[Path],
    wanted: Sequence[str],
    extra: Sequence[str],
) -> str:
    """Return a name for all that an environment is made of, the content of wheels included."""
    about = {
        "format": FORMAT,
        "python": [str(interpreter.path.resolve()), interpreter.version],
        "target": target.digest,
        "wheels": [hashlib.sha256(path.read_bytes()).hexdigest() for path in wheels],
        "requirements": [*wanted],
        "optional": [*extra],
    }
    return hashlib.sha256(canonical(about)).hexdigest()[:32]


def _ready(folder: Path) -> Path | None:
    """Return the environment that an earlier run finished, if its interpreter is still there."""
    try:
        environment = folder / (folder / READY).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return environment if _python_of(environment).is_file() else None


def _new_folder(folder: Path) -> Path:
    """Return an empty folder of a new name, and remove what a killed run left.

    A new name each time, and not a rename at the end: the scripts of a virtual environment name
    the folder they lie in, and an installer whose parent was killed may still write to the old.
    """
    (folder / READY).unlink(missing_ok=True)
    for leftover in folder.glob("environment-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix="environment-", dir=folder))


def _create(environment: Path, interpreter: Interpreter) -> Path:
    """Make a virtual environment without pip; return its Python."""
    environment.chmod(0o755)  # mkdtemp's 0700 would keep a sandbox's user out
    process.run([interpreter.path, "-I", "-m", "venv", "--without-pip", environment])
    return _python_of(environment)


def _install_wheels(python: Path, wheels: Sequence[Path]) -> None:
    """Install wheels as they are; no index is asked."""
    if not wheels:
        return
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PIP_", "UV_")) or key == "UV_CACHE_DIR"
    }
    environment["PIP_CONFIG_FILE"] = os.devnull
    uv = process.program("uv")
    offline = ["--no-config", "--offline"] if uv else ["--isolated", "--no-cache-dir"]
    command = [*_installer(python, uv), *offline, "--no-index", "--no-deps", *wheels]
    process.run(command, env=environment)


def _install_requirements(
    python: Path, wanted: Sequence[str], extra: Sequence[str], target: Target
) -> list[str]:
    """Install from the index at the image's versions where it has them; `extra` where it can.

    Return those of `extra` that could not be installed.
    """
    if not wanted and not extra:
        return []
    environment = os.environ | {"UV_LINK_MODE": "copy"}  # a sandbox shows the environment alone
    installer = _installer(python, process.program("uv"))
    with tempfile.TemporaryDirectory(prefix="rsna-bundle-image-") as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("\n".join(stub_packages.constraints(target)) + "\n", "utf-8")
        pinned = ["--constraint", str(constraints)]
        together = [*wanted, *extra]
        # Looser each time: the estimate of an image may hold versions that contradict each other.
        tries = [[*backend, *pinned, *together]] if (backend := _backend(installer)) else []
        for arguments in (*tries, [*pinned, *together], together):
            try:
                process.run([*installer, *arguments], env=environment)
                return []
            except CommandError as error:
                failure = error
        try:
            if wanted:
                process.run([*installer, *wanted], env=environment)
            return [line for line in extra if not _installs([*installer, line], environment)]
        except CommandError as error:
            failure = error
    raise InputError(
        f"The notebook's kernel and the image's packages ({', '.join(wanted)}) cannot be "
        f"installed here: {failure}\nConnect to the network and run it again: once they are "
        "installed, no network is needed."
    ) from failure


def _installs(command: Sequence[str | Path], environment: Mapping[str, str]) -> bool:
    """Say whether one package of several could be installed."""
    try:
        process.run(command, env=environment)
    except CommandError:
        return False
    return True


def _backend(installer: Sequence[str | Path]) -> list[str]:
    """Return what asks for the CPU's build of PyTorch where no GPU is: a tenth of the others."""
    with_uv = "--python" in installer and str(installer[0]) != sys.executable
    gpu = any(Path("/dev").glob("nvidia[0-9]*"))
    return ["--torch-backend", "cpu"] if with_uv and not gpu else []


def _installer(python: Path, uv: Path | None) -> list[str | Path]:
    """Return the command that installs into an environment: uv takes a tenth of pip's time."""
    if uv:
        return [uv, "pip", "install", "--quiet", "--python", python]
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", python, "install"]
    return [*pip, "--quiet", "--disable-pip-version-check", "--no-compile"]


def _link_pip(interpreter: Interpreter, python: Path, site: Path) -> None:
    """Link the interpreter's own pip into the environment; where it has none, unpack Python's."""
    code = "import pip; from importlib.metadata import distribution as d; print(pip.__path__[0]); "
    code += "print(d('pip').locate_file(f\"pip-{d('pip').version}.dist-info\"))"
    result = process.run([interpreter.path, "-I", "-c", code], check=False)
    folders = [Path(line) for line in result.stdout.splitlines()]
    if result.returncode or len(folders) != 2 or not all(path.is_dir() for path in folders):
        process.run([python, "-I", "-m", "ensurepip", "--default-pip"])
        return
    for path in folders:
        (site / path.name).symlink_to(path, target_is_directory=True)


def _at_image_version(line: str, target: Target) -> str:
    name = line.partition("==")[0]
    package = target.packages.get(name)
    if package is None:
        return target.unversioned_packages.get(name, line)
    return _public(f"{name}=={package.version}")


def _public(line: str) -> str:
    """Return a requirement without a local label: a version such as 2.11.0+cu128 is in no index."""
    return line.partition("+")[0]


def _python_of(environment: Path) -> Path:
    windows = environment / "Scripts" / "python.exe"
    return windows if windows.is_file() else environment / "bin" / "python"


def _site_packages(python: Path) -> Path:
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(process.run([python, "-I", "-c", code]).stdout.strip())
