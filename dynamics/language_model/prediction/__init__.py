"""What a training step will do: drives, the change of parameters, predicted and actual changes."""
