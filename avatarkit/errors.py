"""Errors that a user can act on; each carries the exit code that the command line returns."""


class AvatarkitError(Exception):
    """Base of all errors raised on purpose: one line that says what, where and what to do."""

    exit_code = 70


class UsageError(AvatarkitError):
    """An option or argument that cannot be used as given."""

    exit_code = 2


class InputError(AvatarkitError):
    """An input file that is missing, unreadable, or does not hold what is needed."""

    exit_code = 3


class OutputError(AvatarkitError):
    """An output that exists already, cannot be written, or has no known format."""

    exit_code = 4


class Interrupted(AvatarkitError):
    """An unattended job that was asked to stop; what is done stays, and the same command goes on."""

    exit_code = 130


class DependencyError(AvatarkitError):
    """A program or package that the job needs and that is not installed."""

    exit_code = 5
