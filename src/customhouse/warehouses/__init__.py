"""One file per warehouse: each batch is loaded exactly once."""
