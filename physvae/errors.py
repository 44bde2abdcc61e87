"""The errors that carry an exit code: bad input is told in one sentence, never in a traceback."""


class UsageError(ValueError):
    """The call itself is wrong: an unknown option value, a missing argument (exit code 2)."""


class InputError(ValueError):
    """A file or table was refused: says which, what was expected and what was found (exit 3)."""


class ModelError(InputError):
    """A model folder was refused before any of it was used (exit code 3)."""


class PartialError(RuntimeError):
    """Some of the work was done; the message lists what is missing (exit code 4)."""


class RunError(RuntimeError):
    """The work cannot be done here: memory is short, a process dies again and again (exit 1)."""
