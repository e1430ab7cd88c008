"""What an audit found, summed up and drawn, from its results alone."""
