"""Figures of blocks: keep rates, how far counts are from them, and the matrix from afar."""

import numpy as np

from fractalrs.statistics import Floats
from fractalrs.validation.measure.measured import Measured
from fractalrs.validation.metrics.spec import Family, FigureSpec
from fractalrs.validation.wording import number, size

BEYOND = 5.0
"""Blocks that are further out, in standard deviations, are told: by chance 1 in 1.7 million."""


def _deviation(measured: Measured) -> Floats | None:
    planned, counts = measured.planned, measured.degrees.block_train
    if planned is None or not measured.has_known_blocks:
        return None
    expected = float(planned.statistics["counts"][0]) * planned.rates
    if planned.options["drop_incomplete"]:
        # Dropped users are missing from all blocks of a row block alike, or nearly so.
        totals = counts.sum(axis=1, keepdims=True)
        expected *= totals / np.maximum(expected.sum(axis=1, keepdims=True), 1e-12)
    spread = np.sqrt(np.maximum(expected * (1 - planned.rates), 1e-12))
    return np.asarray((counts - expected) / spread)


def _describe_rates(rates: Floats) -> str:
    low, mean, high = np.nanmin(rates), np.nanmean(rates), np.nanmax(rates)
    return f"{size(rates)} blocks with keep rates from {number(low)} to {number(high)}, {number(mean)} on average."


def _describe_deviation(deviation: Floats) -> str:
    far = int(np.count_nonzero(np.abs(deviation) > BEYOND))
    return (
        f"{size(deviation)} blocks from {number(np.nanmin(deviation))} to {number(np.nanmax(deviation))} standard "
        f"deviations; {number(far) if far else 'none'} beyond {number(BEYOND)}."
    )


def _describe_density(counts: Floats) -> str:
    empty = int(np.count_nonzero(~(counts > 0)))
    return (
        f"{size(counts)} bins of at most {number(np.nanmax(counts))} interactions, {number(np.nanmean(counts))} on "
        f"average; {number(empty) if empty else 'none'} empty."
    )


DEVIATION = FigureSpec(
    name="block_deviation",
    title="Deviation of each block",
    caption="How far the number of interactions in each block is from what its keep rate lets expect. White noise is "
    "good; a pattern of rows, columns or patches is not. Plus and minus mark blocks beyond 5 standard deviations: by "
    "chance 1 in 1.7 million.",
    data=_deviation,
    draw="block_deviation",
    describe=_describe_deviation,
)

FAMILY = Family(
    section="blocks",
    title="Blocks",
    explanation="What each block keeps.",
    figures=(
        FigureSpec(
            name="keep_rates",
            title="Keep rates",
            caption="One cell a block: the share of the real interactions that the block keeps. The more the rows "
            "differ, the more does the activity of users; the more the columns, the popularity of items.",
            data=lambda measured: measured.keep,
            draw="keep_rates",
            describe=_describe_rates,
        ),
        DEVIATION,
        FigureSpec(
            name="density",
            title="Density of the expanded matrix",
            caption="Interactions of contiguous users and items, colours logarithmic, empty bins blank. Blocks show "
            "as a grid; the fractal structure shows as copies of the whole picture inside its cells, and a shuffle "
            "takes it away.",
            data=lambda measured: measured.degrees.density.astype(np.float64),
            draw="density",
            describe=_describe_density,
        ),
    ),
)
