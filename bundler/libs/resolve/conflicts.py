"""Find minimal sets that cannot hold together, by leaving parts out and resolving again.

A resolver says in prose why it found nothing, and names more than what matters. What is left when
nothing more can be left out is the conflict: requirements of the user, packages of the image.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from packaging.requirements import Requirement

from bundler.image import stub_packages
from bundler.libs.requirements import write
from bundler.libs.resolve import resolvers, rules
from bundler.libs.resolve.candidates import Candidate, Candidates
from bundler.libs.resolve.minimal import minimal
from bundler.libs.resolve.resolution import UnresolvedError
from bundler.libs.resolve.solution import Problem

MOST = 3  # conflicts that are reported at once


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the user's: a requirement, or a constraint (`-c`)."""

    need: Requirement
    is_constraint: bool = False


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """Lines and packages of the image of which none can be left out without ending the conflict."""

    lines: tuple[Line, ...]
    image: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Search:
    """Resolves parts of a problem; each page of an index and each wheel is asked for once."""

    problem: Problem
    candidates: Candidates

    def solve(self, lines: Iterable[Line], freed: Iterable[str] = ()) -> list[Candidate] | None:
        """Return an answer to some lines, as if the image had any version of `freed`, or None."""
        return self._solve(tuple(lines), frozenset(freed))[0]

    def asked(self, lines: Iterable[Line]) -> set[str]:
        """Return which packages a resolver asks for to meet some lines."""
        return self._solve(tuple(lines), frozenset())[1]

    def find(self, lines: Sequence[Line]) -> Iterator[Conflict]:
        """Yield conflicts that have no line in common, until the rest can be resolved."""
        left = list(lines)
        for _ in range(MOST):
            if self.solve(left) is not None:
                return
            kept = minimal(left, lambda some: self.solve(some) is None)
            yield Conflict(lines=tuple(kept), image=tuple(self._image(kept)))
            left = [line for line in left if line not in kept]

    def _image(self, lines: Sequence[Line]) -> list[str]:
        """Return the image's packages without which the lines could be met."""
        names = sorted(self.asked(lines) & self.problem.target.packages.keys())
        if self.solve(lines, names) is None:  # they contradict each other
            return []
        return minimal(names, lambda held: self.solve(lines, {*names} - {*held}) is None)

    def _solve(
        self, lines: tuple[Line, ...], freed: frozenset[str]
    ) -> tuple[list[Candidate] | None, set[str]]:
        """Return an answer, or None, and which packages the resolver asked for."""
        wanted = [write(line.need) for line in lines if not line.is_constraint]
        if not wanted:
            return [], set()
        limits = [write(line.need) for line in lines if line.is_constraint]
        target = self.problem.target.without(freed)
        limits += [*rules.constraints(target), *stub_packages.constraints(target)]
        candidates = self.candidates.freeing(freed)
        resolver = self.problem.builder.resolver
        try:
            return resolvers.choose(resolver, target, wanted, limits, candidates), candidates.asked
        except UnresolvedError:
            return None, candidates.asked


def lines_of(problem: Problem) -> list[Line]:
    """Return the user's lines."""
    wanted = [Line(need=need) for need in problem.requirements.wanted]
    limits = problem.requirements.constraints
    return wanted + [Line(need=need, is_constraint=True) for need in limits]
