"""Find what a method costs at a given reasoning, by interpolation along its sweep.

A budget's chosen point hangs on one or two dev questions where a sweep falls off a cliff. The price at equal
reasoning does not: of a method's points, V among them, the front is taken (no other point reasons as well at
a smaller loss), and between neighbours on the front the loss is interpolated. A sweep with more points has
more chances for a lucky one, so prices of a long grid flatter a little.
"""

import numpy as np
from numpy.typing import NDArray

from benchmarks.statistics.fronts import find_front
from benchmarks.statistics.intervals import Floats


def find_best(reasoning: Floats) -> Floats:
    """Find the best reasoning (...) of points (..., P)."""
    return np.asarray(reasoning.max(axis=-1))


def find_price(reasoning: Floats, loss: Floats, target: Floats, carried: Floats | None = None) -> Floats:
    """Interpolate the loss (...) at which a sweep reaches the reasoning `target` (...).

    Args:
        reasoning, loss: of the points, (..., P); the first is V, whose loss is 0. carried: another loss of
            the same points that is wanted at that place; the front is that of `loss` all the same.

    A target above the best point gets that point's loss.
    """
    front = find_loss_front(reasoning, loss)
    wanted = np.minimum(target, find_best(np.where(front, reasoning, -np.inf)))[..., None]
    below = np.where(front & (reasoning <= wanted), reasoning, -np.inf)
    above = np.where(front & (reasoning >= wanted), reasoning, np.inf)
    # Below every point of the front stands the one with the least loss.
    start = np.where(np.isfinite(below).any(axis=-1), below.argmax(axis=-1), above.argmin(axis=-1))
    end = above.argmin(axis=-1)
    values = loss if carried is None else carried
    (r0, l0), (r1, l1) = ((_take(reasoning, places), _take(values, places)) for places in (start, end))
    span = r1 - r0
    share = np.where(span > 0, (wanted[..., 0] - r0) / np.where(span > 0, span, 1.0), 0.0)
    return np.asarray(l0 + share * (l1 - l0))


def find_loss_front(reasoning: Floats, loss: Floats) -> NDArray[np.bool_]:
    """Find the points (..., P) that no other beats, reasoning as well at less loss, or better at no more.

    Of points that are alike the first counts.
    """
    r, other = reasoning[..., :, None], reasoning[..., None, :]
    own, others = loss[..., :, None], loss[..., None, :]
    earlier = np.tri(reasoning.shape[-1], k=-1, dtype=bool)
    repeated = ((other == r) & (others == own) & earlier).any(axis=-1)
    return np.asarray(find_front(reasoning, -loss) & ~repeated)


def _take(values: Floats, places: NDArray[np.int64]) -> Floats:
    return np.asarray(np.take_along_axis(values, places[..., None], axis=-1)[..., 0])
