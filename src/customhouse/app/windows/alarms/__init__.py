"""Watching a house: gathers what alarms are judged by, keeps the board over restarts, posts notices, shows what stands."""

from customhouse.app.windows.alarms.kept import Kept, kept
from customhouse.app.windows.alarms.post import Outcome, try_webhook
from customhouse.app.windows.alarms.watch import AlarmWatch

__all__ = ["AlarmWatch", "Kept", "Outcome", "kept", "try_webhook"]
