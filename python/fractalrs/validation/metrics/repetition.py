"""Repetition: whether blocks repeat each other, beside the floor of independently placed blocks."""

from functools import partial

from fractalrs.validation.measure.measured import Measured
from fractalrs.validation.measure.repetition import null_mutual
from fractalrs.validation.metrics.spec import Family, MetricSpec, Values

_FORMULA = "λ_max / trace of the blocks' Gram matrix over that of independent blocks (Van Loan and Pitsianis 1993)"


def _share(kind: str, measured: Measured) -> Values:
    """Return the share of one pattern: as stored, or with users and items matched, which raises its floor."""
    found = measured.repetition
    share = None if found is None else getattr(found, kind)
    if share is None:
        return Values(note=_nothing(measured) if found is None else "too large, or too sparse, to relink")
    floor = share.floor if kind == "stored" else share.degree_floor
    note = "the share of the largest eigenvalue in how alike blocks are; null and distance: of independent blocks"
    if kind != "stored" and share.floor:
        note += f" of these degrees; {share.share / share.floor:.1f} times that of uniform ones"
    over = share.share / floor if floor else None
    return Values(synthetic=share.share, null=floor, distance=over, note=note)


def _nothing(measured: Measured) -> str:
    by_block = measured.matrix.id_order == "block"
    return "needs more than one block" if by_block else "needs items that are numbered by block"


def _mutual(measured: Measured) -> Values:
    found = measured.repetition
    mutual = None if found is None else found.mutual
    users, items = measured.matrix.block_shape[0], measured.matrix.shape[1]
    null = None if mutual is None else null_mutual(users, items, measured.density)
    return Values(None, None, mutual, null, mutual)


FAMILY = Family(
    section="repetition",
    title="Repetition",
    explanation="Whether blocks repeat each other.",
    metrics=(
        MetricSpec(
            "repetition as stored",
            partial(_share, "stored"),
            _FORMULA,
            threshold=1.5,
            reason="× floor; on the sample independent blocks have 1.0, cells 1.2, unshuffled blocks 13.1",
        ),
        MetricSpec(
            "repetition sorted by degree",
            partial(_share, "by_degree"),
            f"{_FORMULA}, of users and items sorted by degree in each block",
        ),
        MetricSpec(
            "repetition relinked",
            partial(_share, "relinked"),
            f"{_FORMULA}, of users and items matched by their nearest",
            threshold=3.0,
            reason="× floor; somebody matches users, and items, across blocks by their neighbours: how much of one "
            "pattern comes back",
        ),
        MetricSpec(
            "mutual nearest users across row blocks",
            _mutual,
            "share of a row block's users whose nearest user in another has them as nearest in turn",
            note="share of a row block's users",
        ),
    ),
)
