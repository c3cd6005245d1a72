"""The exceptions `fractalrs` raises on purpose.

Every message says what is wrong, where, and what to do; `hint` carries the advice when there is one.

======================  ==================================  ==================
class                   when                                command's exit code
======================  ==================================  ==================
`InputError`            an argument or the source data      2
                        cannot be used; nothing was written
`OutputError`           the output folder cannot be used as 2
                        asked; nothing in it was changed
`WriteError`            a run failed while it was writing   1
======================  ==================================  ==================

A source that does not exist or may not be read raises the builtin `FileNotFoundError` or `PermissionError`.
"""


class FractalrsError(Exception):
    """Base of all exceptions of this package.

    Parameters
    ----------
    message
        What is wrong and where.
    hint
        What to do about it, if there is something to say.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\nhint: {self.hint}"


class InputError(FractalrsError, ValueError):
    """An argument or the source data cannot be used; nothing was written."""


class OutputError(FractalrsError):
    """The output folder cannot be used as asked; nothing in it was changed."""


class WriteError(FractalrsError):
    """A run failed while it was writing; what is finished stays and the run can be resumed."""
