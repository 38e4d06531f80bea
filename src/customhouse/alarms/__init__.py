"""Alarms: what must wake somebody, when it began, when it ended, and how it is told."""
