"""What a lane has yet to do: what is owed, decoded once for all lanes, and the batch it has in hand."""
