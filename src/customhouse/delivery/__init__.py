"""The rounds: one lane per destination, each with its own bookmark, so that none slows another."""
