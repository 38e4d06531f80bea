"""Upkeep of a workspace over the years: formats and their migration, back-up, restore, history."""
