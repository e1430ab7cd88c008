"""What the papers say, and what is true."""
