"""The audit of a preference data set: which of its pairs push their own chosen response down.

``rows`` and ``data`` read pairs, ``columns`` computes what is known of one, ``run`` and ``results`` stream it into a
file that outlives interruptions, ``processes`` share the work, ``summary`` ends it, ``fingerprint`` knows the model
again.
"""
