"""What must survive between batches: one transaction per batch, one writer per file."""
