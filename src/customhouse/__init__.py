"""Customhouse: every acknowledged event is accounted for."""
