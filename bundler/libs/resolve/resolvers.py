"""Ask a resolver, uv or pip-tools, to choose among candidates."""

from collections.abc import Sequence

from bundler.image.target import Target
from bundler.libs.resolve import local_index, pip_tools, uv
from bundler.libs.resolve.candidates import Candidate, Candidates
from bundler.libs.resolve.resolution import UnresolvedError

RESOLVERS = {"uv": uv.resolve, "pip-tools": pip_tools.resolve}


def choose(
    resolver: str,
    target: Target,
    wanted: Sequence[str],
    limits: Sequence[str],
    candidates: Candidates,
) -> list[Candidate]:
    """Return one candidate for each package that meets `wanted` within `limits`.

    Raises UnresolvedError where none do, and what kept an index from answering.
    """
    with local_index.serving(candidates) as index:
        try:
            chosen = RESOLVERS[resolver](target, wanted, limits, index)
        except UnresolvedError:
            if candidates.failure is not None:
                raise candidates.failure from None
            raise
    return [candidates.find(choice.name, choice.version) for choice in chosen]
