"""Make a target of what is public of an image, where nobody can look into the image itself."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from bundler import atomic, process
from bundler.errors import CommandError, InputError
from bundler.image import lists, target
from bundler.image.distribution import Distribution, normalised
from bundler.image.target import Target
from bundler.result import Json


@dataclass(frozen=True, kw_only=True)
class MakeOptions:
    """The lists that a target is made of, and what they do not say."""

    name: str
    base: Path  # `pip freeze` of the image that Kaggle's begins with
    layer: Path  # a checkout of Kaggle's repository
    like: tuple[str, ...]  # targets: the machine of the first, what all know of equal releases
    root: Path  # of the repository, where targets' files lie
    python: str | None = None  # None: that of `like`
    image: str | None = None  # with its digest
    seen: tuple[str, ...] = ()  # NAME==VERSION that somebody saw in the image
    out: Path


@dataclass(frozen=True, kw_only=True)
class Made:
    """A target that was made, and its file."""

    target: Target
    path: Path

    def as_dict(self) -> Mapping[str, Json]:
        """Return what `--json` prints."""
        return {
            "path": str(self.path),
            "digest": self.target.digest,
            "known": self.target.knowledge.as_dict(),
        }

    def summary(self) -> str:
        """Return some lines for people."""
        return f"{self.path} written\n{self.target.summary()}"


def make(options: MakeOptions) -> Made:
    """Write the target that the lists describe. Equal lists, equal bytes. Raises InputError."""
    described = describe(options)
    atomic.write_text(options.out, described.text())
    return Made(target=described, path=options.out)


def describe(options: MakeOptions) -> Target:
    """Return the target that the lists describe. Raises InputError."""
    layer = lists.layer(options.layer)
    versions, unknown = lists.applied(lists.frozen(options.base), layer)
    for name, version in _seen(options.seen).items():
        versions[name] = version
        unknown.pop(name, None)
    like = [target.load(name, options.root) for name in options.like]
    return dataclasses.replace(
        like[0],
        name=options.name,
        python=options.python or like[0].python,
        image=options.image,
        estimate=True,
        source=_source(options, layer.base),
        installed=normalised(_known(name, versions[name], like) for name in versions),
        unversioned=tuple(str(unknown[name]) for name in sorted(unknown)),
    )


def _known(name: str, version: str, like: Sequence[Target]) -> Distribution:
    """Return a package with what targets know of the same release: other builds may differ."""
    others = [one for other in like if (one := other.packages.get(name))]
    same = [one for one in others if one.version == version]
    return Distribution(
        name=name,
        version=version,
        requires=next((one.requires for one in same if one.requires is not None), None),
        modules=next((one.modules for one in same if one.modules is not None), None),
    )


def _seen(lines: Sequence[str]) -> dict[str, str]:
    versions: dict[str, str] = {}
    for line in lines:
        try:
            need = Requirement(line)
        except InvalidRequirement as error:
            raise InputError(f"{line!r} is not NAME==VERSION: {error}") from error
        exact = [one.version for one in need.specifier if one.operator == "=="]
        if len(exact) != 1:
            raise InputError(f"{line!r} is not NAME==VERSION. Name the version that was seen.")
        versions[canonicalize_name(need.name)] = exact[0]
    return versions


def _source(options: MakeOptions, base: str) -> str:
    seen = f"; seen in the image: {', '.join(options.seen)}" if options.seen else ""
    return (
        f"estimate: {_origin(options.base)} with {_origin(options.layer)} over it, whose "
        f"Dockerfile begins with {base.rpartition(':')[2]}; what the added packages need in turn "
        f"is not known{seen}"
    )


def _origin(path: Path) -> str:
    """Return a list's name, with the commit of the repository that it lies in."""
    folder = path if path.is_dir() else path.parent
    name = path.name if path.is_dir() else f"{folder.resolve().name}/{path.name}"
    command = ["git", "log", "-1", "--format=%h of %cs", "--", str(path.resolve())]
    try:
        commit = process.run(command, cwd=folder).stdout.strip()
    except CommandError:
        commit = ""
    return f"{name} ({commit})" if commit else name
