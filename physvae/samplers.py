"""Points in the unit cube, point by point in a fixed order, in any number without storing them.

Sobol sequence (Sobol' 1967, 10.1016/0041-5553(67)90144-9), scrambled (Matoušek 1998,
10.1006/jcom.1998.0489): fills the cube most evenly, best where n is a power of two.

Latin hypercube (McKay, Beckman & Conover 1979, 10.1080/00401706.1979.10489755): in every dimension
the n cells of width 1/n hold a point each,

    x_i = (π(i) + r_i) / n,   r_i ~ U(0, 1)

with one permutation π of 0 … n − 1 a dimension. A permutation is not drawn but computed at i: a
Feistel network on an even number of bits is one to one whatever its round function F,

    L, R ← R, L ⊕ F(R + key)

and where the result is n or more it is mapped again until it is not (Black & Rogaway 2002,
10.1007/3-540-45760-7_9). F is the mixing of SplitMix (Steele, Lea & Flood 2014,
10.1145/2660193.2660195).
"""

import warnings
from collections.abc import Callable, Iterator

import numpy as np
from scipy.stats.qmc import Sobol

MOST = 2**30  # points of a Sobol sequence of 30 bits
_ROUNDS = 6
_LEAST_BITS = 3  # of half a number; fewer leave too few permutations


def sobol(n: int, dimensions: int, seed: int, rows: int) -> Iterator[np.ndarray]:
    """Scrambled Sobol points [row, dimension], `rows` at a time."""
    engine = Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed))
    for start in range(0, n, rows):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The balance properties")
            points = engine.random(min(rows, n - start))
        yield points


def lhs(n: int, dimensions: int, seed: int, rows: int) -> Iterator[np.ndarray]:
    """Latin hypercube points [row, dimension], `rows` at a time."""
    random = np.random.default_rng(seed)
    keys = random.integers(2**63, size=(dimensions, _ROUNDS), dtype=np.uint64)
    for start in range(0, n, rows):
        index = np.arange(start, min(start + rows, n), dtype=np.uint64)
        cells = np.stack([permuted(index, n, key) for key in keys], -1)
        yield (cells + random.random(cells.shape)) / n


def independent(n: int, dimensions: int, seed: int, rows: int) -> Iterator[np.ndarray]:
    """Independent uniform points [row, dimension], `rows` at a time."""
    random = np.random.default_rng(seed)
    for start in range(0, n, rows):
        yield random.random((min(rows, n - start), dimensions))


SAMPLERS: dict[str, Callable[[int, int, int, int], Iterator[np.ndarray]]] = {
    "sobol": sobol,
    "lhs": lhs,
    "random": independent,
}


def permuted(index: np.ndarray, n: int, keys: np.ndarray) -> np.ndarray:
    """Where a permutation of 0 … n - 1 sends some of its indices.

    Parameters
    ----------
    index : array [i] of uint64
        Below n.
    n : int
        At most 2⁶².
    keys : array [round] of uint64
        Decide which permutation.

    Examples
    --------
    >>> places = permuted(np.arange(5, dtype=np.uint64), 5, np.arange(6, dtype=np.uint64))
    >>> sorted(places.tolist())
    [0, 1, 2, 3, 4]
    """
    half = max(_LEAST_BITS, -(-(n - 1).bit_length() // 2))
    place = _feistel(index, np.uint64(half), keys)
    while (beyond := place >= n).any():
        place[beyond] = _feistel(place[beyond], np.uint64(half), keys)
    return place


def _feistel(number: np.ndarray, half: np.uint64, keys: np.ndarray) -> np.ndarray:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = number >> half, number & mask
    for key in keys:
        left, right = right, left ^ (_mixed(right + key) & mask)
    return (left << half) | right


def _mixed(number: np.ndarray) -> np.ndarray:
    number = (number ^ (number >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    number = (number ^ (number >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return number ^ (number >> np.uint64(31))
