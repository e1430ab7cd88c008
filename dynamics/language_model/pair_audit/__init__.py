"""The audit of a preference data set: which of its pairs push their own chosen response down.

The path of a pair through the modules: ``containers`` turns a file into records, ``reading`` decides which columns are
read, ``rows`` makes a pair of a record (``data`` does all three), ``tokens`` makes the tokens of a pair as a trainer
does, ``columns`` computes its numbers, ``results`` keeps them on the disk, and ``summary`` sums them up. ``run`` is the
loop, ``processes`` shares it among several processes, and ``fingerprint`` identifies the model, so that the results of
two models are not mixed.
"""
