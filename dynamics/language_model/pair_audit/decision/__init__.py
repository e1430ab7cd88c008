"""Which pairs are kept, and the data set with these pairs alone."""
