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

    Examples
    --------
    >>> from fractalrs import FractalrsError
    >>> print(FractalrsError("the folder is full", hint="free some"))
    the folder is full
    hint: free some
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\nhint: {self.hint}"


class InputError(FractalrsError, ValueError):
    """An argument or the source data cannot be used; nothing was written.

    Examples
    --------
    >>> import fractalrs as fr
    >>> try:
    ...     fr.read_interactions([])
    ... except fr.InputError as error:
    ...     print(isinstance(error, ValueError))
    True
    """


class OutputError(FractalrsError):
    """The output folder cannot be used as asked; nothing in it was changed.

    Examples
    --------
    >>> import fractalrs as fr
    >>> try:
    ...     fr.write_interactions(fr.sample_interactions(60, 40, 600), "no such folder/sample.csv")
    ... except fr.OutputError as error:
    ...     print(error.hint)
    create it first
    """


class WriteError(FractalrsError):
    """A run failed while it was writing; what is finished stays and the run can be resumed.

    Examples
    --------
    >>> import fractalrs as fr
    >>> issubclass(fr.WriteError, fr.FractalrsError)
    True
    """
