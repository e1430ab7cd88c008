"""The numbers of an audit: of each pair alone, of a step on all pairs at once, and of a short training run."""
