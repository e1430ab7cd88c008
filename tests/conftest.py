"""One Hypothesis profile for every test: the same examples on every machine, and no deadlines on shared ones."""

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=100)
settings.load_profile("repeatable")
