"""Watching a training run: probes, looks at them while a trainer trains, and the comparison with the prediction.

``callback`` is what a trainer calls. It draws its ``probes`` and completes them with a ``panel`` of further responses;
``prediction`` says before training what will happen to them; ``looks`` measures them; ``run_log`` keeps what was
measured, and ``comparison`` and ``page`` set the outcome beside the prediction.
"""
