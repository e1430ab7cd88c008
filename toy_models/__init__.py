"""Small worlds whose answers are known, one in each module; import the modules by name."""
