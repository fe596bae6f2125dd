"""Where a fit begins: points spread evenly over a law's box of starts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from workbench.scaling.laws.law import Law


def spread(law: Law, count: int, seed: int) -> NDArray[np.float64]:
    """`[S, P]` points of a scrambled Sobol sequence, in the coordinates that are fitted.

    Args:
        law: whose box.
        count: how many.
        seed: of the scrambling.

    Raises:
        ValueError: for no starts.
    """
    if count < 1:
        raise ValueError(f"starts is {count}, not a number from 1")
    boxes = np.asarray([parameter.box for parameter in law.parameters])
    sobol = qmc.Sobol(len(boxes), scramble=True, rng=np.random.default_rng(seed))
    points = sobol.random_base2(int(np.ceil(np.log2(count))))[:count]
    return boxes[:, 0] + points * (boxes[:, 1] - boxes[:, 0])
