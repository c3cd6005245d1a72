"""Options that are declared once, as fields of dataclasses: checks, signatures and documentation follow from them.

A field made by `option` says what its type, its name and its default do not. `declared_by` lists those of a class,
`Declared.check` takes a value for one, `accepts` gives a function the signature and the documentation of all.
"""

import dataclasses
import difflib
import inspect
import os
import re
import textwrap
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, reduce
from operator import index, or_
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin

import numpy as np

from fractalrs.errors import InputError

_Callable = TypeVar("_Callable", bound=Callable[..., Any])


@dataclass(frozen=True)
class Option:
    """What is declared of an option beside its name, its type and its default.

    Attributes
    ----------
    help
        What it does, in the words of the command line's help.
    group
        The heading it is listed under.
    more
        What the documentation in Python says beside `help`.
    value
        What stands for its value in the command line's help; None for a flag.
    within, words
        Which numbers are allowed, and that in words.
    choices
        What it may be, where its type does not say.
    take
        Takes its name and a value, and returns the value or refuses it; by default by type.
    unset
        What decides where it is not given, in words: then it is None until that is known.
    accepts
        A further type in Python.
    spelling
        Its names on the command line, where they are others.
    command
        Its type on the command line, where it is another one.
    operators
        The operators that know it; for all others it is what its class says. None: all know it.
    place
        Where in its group it is listed; those of one place are listed as they are declared.
    """

    help: str
    group: str
    more: str = ""
    value: str | None = None
    within: Callable[[Any], bool] | None = None
    words: str = ""
    choices: tuple[str, ...] = ()
    take: Callable[[str, Any], Any] | None = None
    unset: str | None = None
    accepts: Any = None
    spelling: tuple[str, ...] = ()
    command: Any = None
    operators: tuple[str, ...] | None = None
    place: int = 0


def option(default: Any, help: str, group: str, **more: Any) -> Any:
    """Declare an option as a field of a dataclass; see `Option`."""
    return field(default=default, metadata={"option": Option(help, group, **more)})


@dataclass(frozen=True)
class Declared:
    """An option as it was declared.

    Attributes
    ----------
    name, default
        Those of its field.
    kind
        Its type, None left out.
    may_be_none
        Whether None is a value.
    option
        The rest.
    """

    name: str
    default: Any
    kind: Any
    may_be_none: bool
    option: Option

    @property
    def choices(self) -> tuple[str, ...]:
        """What it may be, where it is one of a few words."""
        return self.option.choices or (get_args(self.kind) if get_origin(self.kind) is Literal else ())

    @property
    def unset(self) -> str | None:
        """What decides where it is not given, in words; None where its default does."""
        return self.option.unset

    def known_to(self, operator: str) -> bool:
        """Return whether an operator knows it."""
        return self.option.operators is None or operator in self.option.operators

    @property
    def argument(self) -> inspect.Parameter:
        """It as a parameter of a function in Python."""
        kind = Literal[self.choices] if self.choices else self.kind
        kind = kind if self.option.accepts is None else kind | self.option.accepts
        return inspect.Parameter(
            self.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None if self.unset else self.default,
            annotation=kind | None if self.unset or self.may_be_none else kind,
        )

    @property
    def documentation(self) -> str:
        """It in the section of parameters of a function."""
        kind = " | ".join(f'"{choice}"' for choice in self.choices) or _type_name(self.kind)
        head = f"{self.name} : {kind}, by default {(self.unset or str(self.default)).replace('--', '')}"
        text = f"{self.option.help} {self.option.more}".strip()
        if self.option.words:
            text += f" It must be {self.option.words}."
        return "\n".join((head, *textwrap.wrap(text, 110, initial_indent="    ", subsequent_indent="    ")))

    def check(self, value: Any) -> Any:
        """Return a value as the option takes it.

        Raises
        ------
        InputError
            If it is none; the message names the option, the value and what it must be.
        """
        if value is None and self.may_be_none:
            return None
        if self.option.take is not None:
            return self.option.take(self.name, value)
        if self.choices:
            one_of(self.name, value, self.choices)
            return value
        take, words = _TAKERS.get(self.kind, (None, ""))
        try:
            taken = value if take is None else take(value)
            good = self.option.within is None or self.option.within(taken)
        except (TypeError, ValueError, OverflowError):
            good = False
        if not good:
            raise InputError(f"{self.name} is {value}; it must be {self.option.words or words}")
        return taken


def one_of(name: str, value: object, allowed: Iterable[str]) -> None:
    """Refuse a value that an option cannot have."""
    if not isinstance(value, str) or value not in (allowed := tuple(allowed)):
        raise InputError(f"{name} is {value!r}", hint=f"choose one of {', '.join(allowed)}")


@cache
def declared_by(kind: type) -> Mapping[str, Declared]:
    """Return the options that a dataclass declares, by their names."""
    found = {}
    for one in dataclasses.fields(kind):
        if "option" in one.metadata:
            may_be_none = NoneType in get_args(one.type)
            others = [part for part in get_args(one.type) if part is not NoneType]
            inner = reduce(or_, others) if may_be_none else one.type
            found[one.name] = Declared(one.name, one.default, inner, may_be_none, one.metadata["option"])
    return found


def refuse_unknown(given: Collection[str], known: Collection[str]) -> None:
    """Refuse names that are no options, with the nearest one that is.

    Raises
    ------
    InputError
        If there is one.
    """
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0)
            raise InputError(f"there is no option {name!r}", hint=f"the nearest one is {near[0]!r}")


def accepts(options: Iterable[Declared]) -> Callable[[_Callable], _Callable]:
    """Give a function the signature of all options for its ``**options``, and their documentation.

    The documentation takes the place of the line ``{options}`` in the docstring.
    """
    options = list(options)

    def decorate(function: _Callable) -> _Callable:
        signature = inspect.signature(function)
        own = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        signature = signature.replace(parameters=[*own, *(one.argument for one in options)])
        function.__signature__ = signature  # type: ignore[attr-defined]
        function.__annotations__ |= {one.name: one.argument.annotation for one in options}
        document(function, options)
        return function

    return decorate


def document(thing: Any, options: Iterable[Declared]) -> None:
    """Put the documentation of options in the place of the line ``{options}`` of a docstring."""
    if thing.__doc__:
        text = "\n".join(one.documentation for one in options)
        thing.__doc__ = re.sub(
            r"^( *)\{options\}$", lambda at: textwrap.indent(text, at[1]), thing.__doc__, flags=re.MULTILINE
        )


def _flag(value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise TypeError
    return bool(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _names(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(map(_text, value))


_TAKERS: dict[Any, tuple[Callable[[Any], Any], str]] = {
    bool: (_flag, "True or False"),
    int: (index, "a whole number"),
    float: (float, "a number"),
    str: (_text, "text"),
    tuple[str, ...]: (_names, "names of columns"),
    str | os.PathLike[str]: (os.fspath, "a path"),
}
"""How the values of a type are taken, and what they are in words."""


def _type_name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind).replace("typing.", "")
