"""One file per stage of the road. Pure over batches."""
