"""Durable when append returns. One file per kind of log."""
