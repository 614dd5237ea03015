"""What can go wrong in training, each with the exit code that says so."""


class TrainError(Exception):
    """Base of all expected errors: a message for people, and an exit code for scripts."""

    exit_code = 1


class ConfigError(TrainError):
    """A setting is unknown, missing or makes no sense."""

    exit_code = 2


class DataError(TrainError):
    """What was given cannot be learned from: a table, an image, a checkpoint, a cache."""

    exit_code = 3


class StorageError(TrainError):
    """Something cannot be saved or fetched: a full disk, a bucket that refuses."""

    exit_code = 8
