"""The walk: read a batch, run the stages, settle. Plain synchronous Python."""
