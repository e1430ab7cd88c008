"""The figures of feng2024: the loss of one pair and its gradient field, in ratio coordinates.

x1 = pi(y_w) / ref(y_w) and x2 = pi(y_l) / ref(y_l). With ref = 1, as the paper draws it, x1 and x2 are the
probabilities themselves, and only the triangle x1 + x2 <= 1 can be reached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from dynamics import ratio_field, ratio_flow, ratio_hitting_time, ratio_loss
from figures.registry import Arrays, figure
from figures.style import CHOSEN, PAGE_WIDTH, REJECTED

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing
