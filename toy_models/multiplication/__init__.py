"""A small language model that knows the times table but for 11 x 12, and what DPO does to its answer to that."""
