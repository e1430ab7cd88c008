"""The audit of a preference data set: which of its pairs push their own chosen response down, and what to do about it.

A pair passes through the rooms in this order, and enters none of them twice:

- ``reading``: from a file to the tokens that a trainer makes of each row
- ``measuring``: from tokens to numbers, one pass over the data set after the other
- ``results``: the numbers on the disk, one line for each row
- ``report``: the results summed up and drawn
- ``decision``: the data set with the pairs that are kept

``measuring`` imports from ``reading`` and ``results``; ``report`` and ``decision`` import from those two and not from
``measuring``, so that neither needs the model.
"""
