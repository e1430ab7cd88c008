"""Shapes of the arrays that this package passes around, as types: documentation for a reader, checked in the tests.

``runs`` stands for any number of leading axes, those of a batch of runs. The names of axes are bound within one call: a
function from ``Theta`` to ``FlatLogProbs`` keeps its runs. ``tests/dynamics/test_shapes.py`` imports the annotated
modules with the import hook of jaxtyping, and beartype then checks every call. Outside these tests the
annotations are not checked; public functions raise ``InvalidArgument`` for wrong arguments.
"""

from jaxtyping import Float
from torch import Tensor

Theta = Float[Tensor, "*runs parameters"]
"""Parameters of a policy, and gradients with respect to them."""

LogProbs = Float[Tensor, "*runs_and_responses"]
"""Log-probabilities (nats), ``(*runs, responses)`` or ``(*runs, prompts, responses)``."""

FlatLogProbs = Float[Tensor, "*runs all_responses"]
"""Log-probabilities (nats) with prompts and responses in one axis, and derivatives with respect to them."""

FlatReference = Float[Tensor, "*#runs all_responses"]
"""Log-probabilities (nats) of the reference, which may be the same for several runs."""

Lengths = Float[Tensor, "*#runs all_responses"]
"""Number of tokens of every response, which may differ from run to run."""

Scores = Float[Tensor, "*responses parameters"]
"""Scores, the gradients of log pi, ``(*policy.shape, parameters)``."""

Derivatives = Float[Tensor, "*responses"]
"""Derivatives of log pi along a direction in the parameters, ``policy.shape``."""

PerPair = Float[Tensor, "*pairs"]
"""One number for each pair."""

Drives = Float[Tensor, "pairs *responses"]
"""Drives of every response, one row for each pair, ``(pairs, *policy.shape)``."""

RecordedLogProbs = Float[Tensor, "step loss learning_rate seed *responses"]
"""Log-probabilities (nats) of a trajectory."""

RecordedTheta = Float[Tensor, "loss learning_rate seed parameters"]
"""Parameters of every run of a trajectory."""

RecordedRatio = Float[Tensor, "step loss learning_rate seed"]
"""Log-ratios (nats) of two responses along a trajectory."""
