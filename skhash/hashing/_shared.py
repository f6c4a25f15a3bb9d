"""The space that both blocks share as they come, such as that of both encoders of CLIP."""

from typing import Any

import numpy as np
from scipy import linalg

from .._blocks import BLOCKS
from ._moments import eigen, of_one_sign

_SHARED_AXES = 128
_WIDE = 1024  # columns, past which the shared axes are sought among the blocks' principal axes


class SharedSpace:
    """What both blocks are in one space as they come: centred unit vectors along common axes."""

    def __init__(self, blocks, features, rows):
        self.weight, self.features = 0.0, features
        self.axes: Any = None
        self.values: Any = None
        image, text = (blocks[b].shape[1] for b in BLOCKS)
        if image != text:
            return
        if image <= _WIDE:
            self.axes = np.eye(image)
        else:  # wide blocks vary along few axes
            self.axes = linalg.qr(np.hstack([features[b].axes for b in BLOCKS]), mode="economic")[0]
        units = np.vstack([self.of(blocks, rows, block) for block in (0, 1)])
        self.axes = of_one_sign(self.axes @ eigen(units.T @ units)[1][:, :_SHARED_AXES])
        self.values = [self.of(blocks, rows, block) for block in (0, 1)]

    def of(self, blocks, rows, block) -> Any:
        """Return the unit vectors of some rows of a block, (m, a), if there is such a space."""
        if self.axes is None:
            return None
        name = BLOCKS[block]
        return self.features[name].directions(blocks[name][rows], self.axes)

    def with_values(self, values, weight=None):
        """Return the same for other rows, or with another weight."""
        other = object.__new__(SharedSpace)
        other.features, other.axes, other.values = self.features, self.axes, values
        other.weight = self.weight if weight is None else weight
        return other

    def take(self, rows, weight):
        """Return the same for some of the rows, with another weight."""
        return self.with_values([v[rows] for v in self.values], weight)

    def join(self, predicted, block):
        """Append the vectors of a block to what is predicted from it."""
        if not self.weight:
            return predicted
        return np.hstack([predicted, self.weight**0.5 * self.values[block]])

    def join_target(self, target):
        """Append the mean of both blocks' vectors to the target."""
        if not self.weight:
            return target
        return np.hstack([target, self.weight**0.5 * (self.values[0] + self.values[1]) / 2])
