"""The exact kernel of grad log pi over all parameters, without written-out gradients, and its check."""
