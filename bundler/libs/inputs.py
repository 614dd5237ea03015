"""The first step, read: all that decides what a libs bundle holds, each file of it once."""

from dataclasses import dataclass

from bundler.image import target as targets
from bundler.image.target import Target
from bundler.libs import locks, requirements
from bundler.libs.index import sources
from bundler.libs.index.sources import Sources
from bundler.libs.locks import Lock
from bundler.libs.options import LibsOptions
from bundler.libs.requirements import Requirements


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What one build works with; no later step reads any of it again."""

    options: LibsOptions
    requirements: Requirements
    target: Target
    sources: Sources
    lock: Lock | None  # of an earlier build
    digest: str  # of all that a resolution depends on, but for what the indexes hold

    @property
    def are_locked(self) -> bool:
        """Say whether the lock that is there answers just these inputs."""
        return self.lock is not None and self.lock.inputs == self.digest


def read(options: LibsOptions) -> Inputs:
    """Read the requirements, the target, pip's settings and the lock. Raises InputError."""
    target = targets.load(options.target, options.requirements.parent)
    wanted = requirements.read(options.requirements)
    return Inputs(
        options=options,
        requirements=wanted,
        target=target,
        sources=sources.configured(wanted.sources),
        lock=locks.read(options.lock),
        digest=locks.digest_inputs(
            lines=wanted.lines(),
            target=target.digest,
            delta=options.delta,
            allow_sdist=options.allow_sdist,
        ),
    )
