"""Small worlds with an answer."""
