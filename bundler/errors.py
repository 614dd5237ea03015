"""What can go wrong on the laptop, each with the exit code that says so (see README)."""


class BundlerError(Exception):
    """Base of all expected errors: a message for people, and an exit code for scripts."""

    exit_code = 3


class CheckError(BundlerError):
    """A checked condition is false: a lock is stale, a rehearsal failed."""

    exit_code = 1


class UsageError(BundlerError):
    """An option or a setting is missing or makes no sense."""

    exit_code = 2


class InputError(BundlerError):
    """What was given cannot be read or used: a checkpoint, a requirement, a repository."""

    exit_code = 3


class CommandError(BundlerError):
    """A command that should have worked did not."""

    exit_code = 3


class NetworkError(BundlerError):
    """Kaggle or the network refused."""

    exit_code = 8
