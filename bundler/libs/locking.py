"""The second step, resolve: the lock that is there where it is current, else a new one."""

from collections.abc import Mapping
from dataclasses import replace

from packaging.utils import canonicalize_name

from bundler.errors import CheckError, NetworkError, UsageError
from bundler.libs.inputs import Inputs
from bundler.libs.locks import Lock
from bundler.libs.resolve import direct, solution
from bundler.libs.resolve.builds import Builder
from bundler.libs.resolve.resolution import Pin, UnresolvedError
from bundler.libs.resolve.solution import Problem, Solution


def lock(inputs: Inputs) -> Lock:
    """Return the lock that the inputs ask for. Raises CheckError, InputError, NetworkError."""
    if inputs.options.check:
        return _current(inputs)
    if inputs.lock is not None and inputs.are_locked and inputs.options.upgrade is None:
        return inputs.lock
    return _resolve(inputs)


def _current(inputs: Inputs) -> Lock:
    """Return the lock that is there, for `--check`. Raises CheckError where it is not current."""
    if inputs.lock is not None and inputs.are_locked:
        return inputs.lock
    if inputs.lock is None:
        state = "does not exist"
    elif inputs.lock.target_digest != inputs.target.digest:
        state = f"is stale: the target {inputs.target.name} has changed since it was written"
    elif inputs.lock.inputs == inputs.digest:
        state = "was edited since it was written"
    else:
        state = "is stale: the requirements or the options have changed since it was written"
    raise CheckError(f"{inputs.lock_path} {state}. Run `rsna-bundle libs` and commit the lock.")


def _resolve(inputs: Inputs) -> Lock:
    """Resolve anew; what the old lock pinned for the same target is kept unless it is upgraded."""
    options, target, name = inputs.options, inputs.target, inputs.requirements.path.name
    kept = _kept_pins(inputs)
    locked = {pin.name: pin for pin in kept}
    if not inputs.requirements.wanted:  # a resolver refuses an empty list, and asks the network
        return _lock(inputs, Solution(pins=()))
    options.progress.step(f"Resolving {name} for {target.name}")
    try:
        builder = _with_direct(inputs, locked)
        given = builder.sources.given
        problem = Problem(
            requirements=inputs.requirements,
            target=inputs.image,
            builder=builder,
            upgrade=options.upgrade is not None,
            keep=tuple(
                pin
                for pin in kept
                if pin.name not in given or given[pin.name].version == pin.version
            ),
        )
        solved = _solve(problem)
    except NetworkError as error:
        raise NetworkError(
            f"Cannot resolve {name}: {error}\nConnect to the network and run `rsna-bundle libs` "
            "again; where the address is wrong or its server is gone, correct or remove it (in "
            f"{name}, pyproject.toml, or the settings of pip or uv on this machine). Once the lock "
            "is current and the wheels are cached, no network is needed."
        ) from error
    return _lock(inputs, solved)


def _with_direct(inputs: Inputs, locked: Mapping[str, Pin]) -> Builder:
    """Return the builder whose sources know what the packages of one place are."""
    builder = inputs.builder
    given = direct.files(builder.sources.direct, builder, locked)
    return replace(builder, sources=replace(builder.sources, given=given))


def _lock(inputs: Inputs, solved: Solution) -> Lock:
    target = inputs.target
    return Lock(
        target=target.name,
        target_digest=target.digest,
        python=target.python,
        inputs=inputs.digest,
        resolver=inputs.options.resolver,
        pins=solved.pins,
        build=solved.build,
        notes=(*inputs.requirements.notes, *solved.notes),
    )


def _solve(problem: Problem) -> Solution:
    """Return the solution of a problem, or explain why there is none. Raises InputError."""
    from bundler.libs.resolve import explanations

    # What the image decides against needs no resolver to be known, nor a build.
    if explanations.direct_conflicts(problem):
        raise explanations.explained(problem, UnresolvedError(""))
    try:
        return solution.solve(problem)
    except UnresolvedError as error:
        raise explanations.explained(problem, error) from error


def _kept_pins(inputs: Inputs) -> tuple[Pin, ...]:
    """Return what a new resolution should leave as it was. Raises UsageError."""
    options, old = inputs.options, inputs.lock
    if old is None:
        return ()
    upgraded = {canonicalize_name(name) for name in options.upgrade or ()}
    locked = {pin.name for pin in old.pins}
    wanted = {canonicalize_name(need.name) for need in inputs.requirements.wanted}
    if unknown := sorted(upgraded - locked - wanted):
        raise UsageError(
            f"Cannot upgrade {', '.join(unknown)}: not a package of {inputs.lock_path}, which has "
            f"{', '.join(sorted(locked)) or 'no package'}."
        )
    # Wheels for another image would not fit, and the newest that do are what one wants there.
    if options.upgrade == () or old.target_digest != inputs.target.digest:
        return ()
    return tuple(pin for pin in old.pins if pin.name not in upgraded)
