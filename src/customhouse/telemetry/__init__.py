"""Structured logs and measurements; used by hosts only."""
