"""Does the map mean something: the age must follow when places are taken away in the map's order.

Petsiuk et al. 2018, "RISE: Randomized Input Sampling for Explanation of Black-box Models", section 4.3, made signed:
places of a crop give way one after the other, those first that the map says make it look oldest, and the age must fall
sooner than in a random order; in the reverse order it must fall later, or rise. The random order is that of the same
map with its cells shuffled: places of the same size and smoothness, for single pixels strewn over a face would be noise
that a network takes for age by itself.

What gives way is replaced by the same places of another face that is answered the same age. A blurred or painted place
is not an absent one to an age network: it is a smooth one, and looks young wherever it lies. Another face of the same
age shows what such places look like on average; the age of the whole exchange is the same, so that a curve tells only
what the order does.

Insertion, from the other face to the crop in the map's order, shows the same pictures as deletion in the reverse
order, from its end to its beginning. It is read off, not asked again.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agepred_edge import enlarge_map
from agepred_train.cells import CellGrid
from agepred_train.explain.explainers import Column, Explainer

ORDERS = ("map", "random", "reverse")
STEPS = 10
"""A tenth of the pixels more from picture to picture."""
SHARES = np.arange(STEPS + 1) / STEPS
"""Shares of the pixels that are replaced, [STEPS + 1]."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curves:
    """Ages in years while one crop becomes another, an array [STEPS + 1] for each order; they begin and end alike."""

    map: Column
    random: Column
    reverse: Column


def delete(
    explainer: Explainer, crop: NDArray[np.uint8], other: NDArray[np.uint8], cells: NDArray[np.float32], seed: int
) -> Curves:
    """Replace a crop in the three orders and ask for its age each time.

    Args:
        explainer: whose ages count.
        crop: [side, side, 3].
        other: what it is replaced by, [side, side, 3].
        cells: the map [h, w].
        seed: of the shuffled cells.
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(cells.ravel()).reshape(cells.shape)
    by_map = order_of(cells, explainer.side, explainer.grid)
    orders = (by_map, order_of(shuffled, explainer.side, explainer.grid), by_map[::-1])
    between = [mixed(crop, other, order, share) for order in orders for share in SHARES[1:-1]]
    first, *ages, last = explainer.ages(np.stack([crop, *between, other]))
    rows = np.reshape(ages, (len(ORDERS), STEPS - 1))
    curves = [np.concatenate([[first], row, [last]]) for row in rows]
    return Curves(**dict(zip(ORDERS, curves, strict=True)))


def order_of(cells: NDArray[np.float32], side: int, grid: CellGrid) -> NDArray[np.intp]:
    """Return the crop's pixels, as places in the flattened crop, by the map's value, the largest first."""
    heat = enlarge_map(cells, side, first=grid.first, step=grid.step)
    return np.argsort(-heat.ravel(), kind="stable")


def mixed(
    crop: NDArray[np.uint8], other: NDArray[np.uint8], order: NDArray[np.intp], share: float
) -> NDArray[np.uint8]:
    """Return the crop with the first share of the pixels in that order replaced by those of the other."""
    result = crop.reshape(-1, 3).copy()
    replaced = order[: round(share * len(order))]
    result[replaced] = other.reshape(-1, 3)[replaced]
    return result.reshape(crop.shape)


def area(curve: Column) -> float:
    """Return the mean of a curve over the shares, by trapezoids, less the age of the whole crop: years."""
    return float((curve[1:] + curve[:-1]).mean() / 2 - curve[0])
