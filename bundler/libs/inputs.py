"""The first step, read: all that decides what a libs bundle holds, each file of it once."""

from dataclasses import dataclass

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


def read(options: LibsOptions) -> Inputs:
    """Read the requirements, the target, pip's settings and the lock. Raises InputError."""
    target = targets.load(options.target, options.requirements.parent)
    target_digest, environment = target.digest, target.environment
    every = choose.read(options.requirements, target)
    lines = every.lines()  # of all machines, so that a lock holds whoever resolves it
    wanted = every.on(environment)
    # Who says where a package is to come from does not mean the image's.
    own = {*wanted.replaced, *wanted.sources.direct}
    image = target.without(own if options.delta else target.packages)
    return Inputs(
        options=options,
        requirements=wanted.beside(image),
        target=target,
        image=image,
        sources=sources.configured(wanted.sources),
        lock=locks.read(options.lock),
        digest=locks.digest_inputs(
            lines=lines,
            target=target_digest,
            delta=options.delta,
            allow_sdist=options.allow_sdist,
        ),
    )
