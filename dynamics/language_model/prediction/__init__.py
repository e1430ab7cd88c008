"""What steps on preference pairs do to a language model, to first order and exactly."""
