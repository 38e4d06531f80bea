"""One file per case. Each has `rounds(scale)`, which yields the figures of one round after the other, by name."""
