"""What can go wrong in the notebook, each with the exit code that says so (see README)."""


class RunError(Exception):
    """Base of all expected errors: a message for people, and an exit code for scripts."""

    exit_code = 1


class UsageError(RunError):
    """An option is missing or makes no sense."""

    exit_code = 2


class InputError(RunError):
    """What was given cannot be read: a table without a column, a file that is no DICOM."""

    exit_code = 3


class BundleError(RunError):
    """A bundle is missing, altered, or of another id or format than expected."""

    exit_code = 4


class InstallError(RunError):
    """The wheels do not install, or do not fit what the machine has."""

    exit_code = 5


class TooManyFailuresError(RunError):
    """More images failed than the options allow."""

    exit_code = 6


class OutOfTimeError(RunError):
    """The time limit would be passed."""

    exit_code = 7
