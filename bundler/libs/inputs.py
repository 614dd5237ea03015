"""The first step, read: all that decides what a libs bundle holds, each file of it once."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bundler.errors import UsageError
from bundler.image import target as targets
from bundler.image.target import Target
from bundler.libs import locks
from bundler.libs.index import sources
from bundler.libs.index.sources import Sources
from bundler.libs.locks import Lock
from bundler.libs.options import LibsOptions
from bundler.libs.reading import choose
from bundler.libs.requirements import Requirements
from bundler.libs.resolve.builds import Builder


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What one build works with; no later step reads any of it again."""

    options: LibsOptions
    requirements: Requirements  # those that apply on the target
    target: Target
    lock_path: Path  # of this target
    image: Target  # the target with those of its packages that the bundle may rely on
    sources: Sources
    lock: Lock | None  # of an earlier build
    digest: str  # of all that a resolution depends on, but for what the indexes hold

    @property
    def builder(self) -> Builder:
        """Return what builds sdists for the target."""
        options = self.options
        return Builder(
            target=self.target,
            sources=self.sources,
            resolver=options.resolver,
            allow_sdist=options.allow_sdist,
            progress=options.progress,
        )

    @property
    def are_locked(self) -> bool:
        """Say whether the lock was made from just these inputs, and is as it was made."""
        lock = self.lock
        return lock is not None and lock.inputs == self.digest and not lock.is_edited


def read(options: LibsOptions) -> tuple[Inputs, ...]:
    """Read each target with its lock, the requirements for it, and pip's settings.

    Raises InputError, UsageError.
    """
    loaded = {name: targets.load(name, options.requirements.parent) for name in options.targets}
    _check_names([*loaded.values()], options)
    return tuple(_of_target(options, name, target) for name, target in loaded.items())


def _of_target(options: LibsOptions, name: str, target: Target) -> Inputs:
    every = choose.read(options.requirements, target)
    lines = every.lines()  # of all machines, so that a lock holds whoever resolves it
    wanted = every.on(target.environment)
    # Who says where a package is to come from does not mean the image's.
    own = {*wanted.replaced, *wanted.sources.direct}
    image = target.without(own if options.delta else target.packages)
    return Inputs(
        options=options,
        requirements=wanted.beside(image),
        target=target,
        lock_path=options.lock(name),
        image=image,
        sources=sources.configured(wanted.sources),
        lock=_lock(options, name, target),
        digest=locks.digest_inputs(
            lines=lines,
            target=target.digest,
            delta=options.delta,
            allow_sdist=options.allow_sdist,
        ),
    )


def _lock(options: LibsOptions, name: str, target: Target) -> Lock | None:
    """Return the target's lock, or the one that was written while it was the only target."""
    path = options.lock(name)
    lock = locks.read(path)
    if lock is None and path != options.only_lock and name != targets.HOST:
        earlier = locks.read(options.only_lock)
        return earlier if earlier and earlier.target_digest == target.digest else None
    return lock


def _check_names(loaded: list[Target], options: LibsOptions) -> None:
    """Refuse targets that the notebook, or a folder of locks, could not tell apart."""
    counts = Counter(target.name for target in loaded)
    if double := [name for name, count in counts.items() if count > 1]:
        raise UsageError(
            f"Two targets have the name {double[0]!r}. Capture one of them again with another "
            "`--name`."
        )
    paths = Counter(options.lock(name) for name in options.targets)
    if same := [path for path, count in paths.items() if count > 1]:
        raise UsageError(f"Two targets would have the lock {same[0]}. Rename one of their files.")
