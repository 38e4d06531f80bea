"""Append-only Delta tables that anyone can read while one process writes; queries on them with DuckDB."""
