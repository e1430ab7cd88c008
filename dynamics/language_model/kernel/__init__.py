"""The exact kernel <g_i, g_j> of log pi(y | x) of a causal language model, and the memory that it needs."""
