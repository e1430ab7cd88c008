"""Where a constraint makes the optima of RLHF and DPO differ (wipf2024 Section 3): small worlds, one function each.

Every function returns a frozen dataclass of arrays, and is fast enough to be driven by sliders:

    ipywidgets.interact(lambda radius: draw(trust_region(radius=radius)), radius=(0.01, 0.3))

RLHF here has the true reward, so that only the constraint can make a difference. It is KL(pi, pi*) up to a constant;
DPO is its expected loss when all pairs are compared equally often and labelled by the same reward.
"""

from toy_models.constrained.modes import TwoModes, moments, two_modes
from toy_models.constrained.objectives import dpo, forward_kl, rlhf
from toy_models.constrained.ties import TiedPrompts, TiedResponses, tied_prompts, tied_responses
from toy_models.constrained.trust_region import TrustRegion, trust_region
from toy_models.constrained.two_responses import TwoResponses, two_responses

__all__ = [
    "TiedPrompts",
    "TiedResponses",
    "TrustRegion",
    "TwoModes",
    "TwoResponses",
    "dpo",
    "forward_kl",
    "moments",
    "rlhf",
    "tied_prompts",
    "tied_responses",
    "trust_region",
    "two_modes",
    "two_responses",
]
