"""Profiles: named defaults, and what a data set made with each shuffle is good for."""

from dataclasses import dataclass
from typing import Literal, get_args

from fractalrs.errors import InputError

Shuffle = Literal["none", "aligned", "cells", "block"]
Variant = Literal["paper", "reference"]
SHUFFLES: tuple[str, ...] = get_args(Shuffle)


@dataclass(frozen=True)
class Profile:
    """Named defaults; an explicit option wins, except for the variant of Algorithm 3, which has none."""

    shuffle: Shuffle
    ties: Literal["last", "all"]
    min_timestamps: int | None = None
    test_items: Literal["all", "one"] = "all"
    drop_incomplete: bool = False
    order: Literal["block", "item"] = "block"
    variant: Variant = "paper"


PROFILES = {
    "realistic": Profile("cells", "last"),
    "paper": Profile("block", "all"),
    "traceable": Profile("aligned", "last"),
    # The choices of the program that was published with the paper: docs/reference.md.
    "reference": Profile("block", "all", 3, "one", True, "item", "reference"),
}
DEFAULT_PROFILE = "realistic"

GOOD_FOR: dict[Shuffle, str] = {
    "cells": "scale and systems tests, embedding tables, and model training on realistic tails and spectrum: "
    "blocks repeat neither users nor items, because alike ones change places.",
    "aligned": "work that needs one source per expanded user and item (attributes, sequences): ids are renamed, "
    "the structure of every block is the same.",
    "block": "comparison with the published method: every block has a shuffle of its own.",
    "none": "study of the plain stochastic Kronecker product: rows and columns stay where they are.",
}
NOT_GOOD_FOR: dict[Shuffle, str] = {
    "cells": "following one real user or item through the data set, or its time line.",
    "aligned": "privacy in any sense, or models that could profit from repeated items: most of an item's nearest "
    "neighbours are copies of the same source item.",
    "block": "anything that depends on fat tails: sums over unrelated users and items flatten them.",
    "none": "privacy in any sense, or factorisation benchmarks: a Kronecker SVD solves it.",
}


def profile(name: str) -> Profile:
    """Look a profile up by its name.

    Raises
    ------
    InputError
        If there is no such profile.
    """
    if name not in PROFILES:
        raise InputError(f"unknown profile {name!r}", hint=f"choose one of {', '.join(PROFILES)}")
    return PROFILES[name]
