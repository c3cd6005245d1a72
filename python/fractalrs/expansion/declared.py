"""Options that are declared once, as fields of dataclasses: checks, signatures and documentation follow from them.

A field made by `option` says what its name, its type and its default do not. `declared_by` returns the options of a
class, `Option.check` takes a value for one, `accepts` gives a function the signature and the documentation of all.
"""

import dataclasses
import difflib
import inspect
import re
import textwrap
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import reduce
from operator import index, or_
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin

import numpy as np

from fractalrs.errors import InputError

_Callable = TypeVar("_Callable", bound=Callable[..., Any])


@dataclass(frozen=True)
class Option:
    """All that is known of an option."""

    help: str
    """What it does, in the words of the command line's help."""
    group: str
    """The heading it is listed under."""
    more: str = ""
    """What the documentation in Python says beside `help`."""
    value: str | None = None
    """What stands for its value in the command line's help; by default its words, or INT. None for a flag."""
    within: Callable[[Any], bool] | None = None
    """Which numbers are allowed."""
    words: str = ""
    """That in words."""
    choices: Collection[str] = ()
    """What it may be, where it is one of a few words."""
    take: Callable[[str, Any], Any] | None = None
    """Takes its name and a value, and returns the value or refuses it; by default by type."""
    unset: str | None = None
    """What decides where it is not given, in words: then it is None until that is known."""
    accepts: Any = None
    """A further type in Python."""
    command: Any = None
    """Its type on the command line, where it is another one."""
    spelling: tuple[str, ...] = ()
    """Its names on the command line, where they are others."""
    needs: str = ""
    """The property of an operator that knows it; for all others it is its default. Empty: all know it."""
    place: int = 0
    """Where in its group it is listed; those of one place are listed as they are declared."""
    name: str = ""
    default: Any = None
    kind: Any = None
    """Its type, None left out."""
    may_be_none: bool = False

    @property
    def argument(self) -> inspect.Parameter:
        """It as a parameter of a function in Python."""
        kind = Literal[tuple(self.choices)] if self.choices else self.kind
        kind = kind if self.accepts is None else kind | self.accepts
        optional = self.unset is not None
        return inspect.Parameter(
            self.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None if optional else self.default,
            annotation=kind | None if optional or self.may_be_none else kind,
        )

    @property
    def documentation(self) -> str:
        """It in the section of parameters of a function."""
        kind = " | ".join(f'"{choice}"' for choice in self.choices) or getattr(self.kind, "__name__", str(self.kind))
        default = (self.unset or repr(self.default)).replace("--", "")
        text = f"{self.help} {self.more}".strip() + (f" It must be {self.words}." if self.words else "")
        lines = textwrap.wrap(text, 110, initial_indent="    ", subsequent_indent="    ")
        return "\n".join((f"{self.name} : {kind}, by default {default}", *lines))

    def check(self, value: Any) -> Any:
        """Return a value as the option takes it; to refuse it, name the option, the value and what it must be."""
        if value is None and self.may_be_none:
            return None
        if self.take is not None:
            return self.take(self.name, value)
        if self.choices:
            one_of(self.name, value, self.choices)
            return value
        take, words = _TAKERS.get(self.kind, (lambda value: value, ""))
        try:
            taken = take(value)
            good = self.within is None or self.within(taken)
        except (TypeError, ValueError, OverflowError):
            good = False
        if not good:
            raise InputError(f"{self.name} is {value}; it must be {self.words or words}")
        return taken


def option(default: Any, help: str, group: str, **more: Any) -> Any:
    """Declare an option as a field of a dataclass; see `Option`.

    Examples
    --------
    >>> @dataclass
    ... class Settings:
    ...     rate: float = option(0.5, "How much.", "Amounts", within=lambda rate: rate >= 0, words="at least 0")
    >>> declared_by(Settings)["rate"].check("0.25")
    0.25
    """
    return field(default=default, metadata={"option": Option(help, group, **more)})


def declared_by(kind: type) -> dict[str, Option]:
    """Return the options that a dataclass declares, by their names."""
    found = {}
    for one in dataclasses.fields(kind):
        if "option" in one.metadata:
            declared: Option = one.metadata["option"]
            others = [part for part in get_args(one.type) if part is not NoneType]
            may_be_none = NoneType in get_args(one.type)
            inner = reduce(or_, others) if may_be_none else one.type
            choices = get_args(inner) if get_origin(inner) is Literal else declared.choices
            found[one.name] = dataclasses.replace(
                declared,
                name=one.name,
                default=one.default,
                kind=inner,
                may_be_none=may_be_none,
                choices=choices,
                value=declared.value or "|".join(choices) or ("INT" if inner is int else None),
            )
    return found


def one_of(name: str, value: object, allowed: Collection[str]) -> None:
    """Refuse a value that an option cannot have."""
    if not isinstance(value, str) or value not in allowed:
        raise InputError(f"{name} is {value!r}", hint=f"choose one of {', '.join(allowed)}")


def whole(name: str, value: Any) -> int:
    """Return a whole number of any type as Python's own."""
    try:
        return index(value)
    except TypeError:
        raise InputError(f"{name} {value!r} is not a whole number", hint="give one, such as 4") from None


def pair(name: str, value: Any) -> tuple[Any, Any]:
    """Return two values of any kind; refuse what are not two."""
    try:
        first, second = value
    except (TypeError, ValueError):
        raise InputError(f"{name} is {value!r}; it must be two whole numbers") from None
    return first, second


def refuse_unknown(given: Collection[str], known: Collection[str]) -> None:
    """Refuse names that are no options, with the nearest one that is.

    Examples
    --------
    >>> refuse_unknown(["sed"], ["seed", "parts"])
    Traceback (most recent call last):
    fractalrs.errors.InputError: there is no option 'sed'
    hint: the nearest one is 'seed'
    """
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0)
            raise InputError(f"there is no option {name!r}", hint=f"the nearest one is {near[0]!r}")


def accepts(options: Iterable[Option]) -> Callable[[_Callable], _Callable]:
    """Put the signature of all options, for its ``**options``, and their documentation on a function.

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


def document(thing: Any, options: Iterable[Option]) -> None:
    """Put the documentation of options in the place of the line ``{options}`` of a docstring."""
    if thing.__doc__:
        text = "\n".join(one.documentation for one in options)
        thing.__doc__ = re.sub(
            r"^( *)\{options\}$", lambda at: textwrap.indent(text, at[1]), thing.__doc__, flags=re.MULTILINE
        )


def _of(*kinds: type) -> Callable[[Any], Any]:
    def take(value: Any) -> Any:
        if not isinstance(value, kinds):
            raise TypeError
        return kinds[0](value)

    return take


def _names(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(map(_of(str), value))


_TAKERS: dict[Any, tuple[Callable[[Any], Any], str]] = {
    bool: (_of(bool, np.bool_), "True or False"),
    int: (index, "a whole number"),
    float: (float, "a number"),
    str: (_of(str), "text"),
    tuple[str, ...]: (_names, "names of columns"),
}
"""How the values of a type are taken, and what they are in words."""
