"""What can go wrong on this side, each with its exit code (see README)."""


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
    """An input cannot be read or used: a checkpoint, a requirement, a repository."""

    exit_code = 3


class CommandError(BundlerError):
    """An external command failed."""

    exit_code = 3


class NetworkError(BundlerError):
    """Kaggle or the network failed."""

    exit_code = 8
