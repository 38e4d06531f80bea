"""What the pages Destinations and Alarms are shown: the newest reading of the watcher, the watch's board, and who acts."""

from customhouse.app.rules import newest
from customhouse.app.windows import destinations as shared
from customhouse.app.windows.alarms import AlarmWatch
from customhouse.app.windows.watcher import Watcher
from customhouse.app.workspace import Workspace
from customhouse.console.pages.alarms import AlarmLine, AlarmsShown
from customhouse.console.pages.destinations import Done, Effects
from customhouse.model.standing import DestinationState

_ASKED_BY = "console"


class DestinationsOf:
    """The destinations of a watched house."""

    def __init__(self, workspace: Workspace, watcher: Watcher) -> None:
        """Show what the watcher saw, under the configuration of now."""
        self._workspace = workspace
        self._watcher = watcher

    def all(self) -> list[DestinationState]:
        """Return every destination. Raises Unavailable, OSError."""
        return shared.destinations(self._workspace, newest(self._workspace).configuration, self._watcher.newest())

    def look(self) -> None:
        """Have the house looked at now: something has just been changed. Raises Unavailable, OSError."""
        self._watcher.look()

    def effects(self, state: DestinationState) -> Effects:
        """Return what each act would do."""
        return Effects(
            pause=shared.effect_of_pause(state),
            resume=shared.effect_of_resume(state),
            replay=shared.effect_of_replay(state),
        )

    def act(self, what: str, name: str) -> Done:
        """Have delivery do it. Raises Unavailable when it does not answer."""
        act = {"pause": shared.pause, "resume": shared.resume, "replay": shared.replay}[what]
        answer = act(self._workspace, name, _ASKED_BY)
        return Done(answer.ok, answer.message)


class AlarmsOf:
    """The board of a watch."""

    def __init__(self, watch: AlarmWatch) -> None:
        """Show what the watch knows."""
        self._watch = watch

    def shown(self) -> AlarmsShown:
        """Return what stands, and how the webhook fares."""
        state = self._watch.state()
        post = state.post
        return AlarmsShown(
            alarms=[
                AlarmLine(
                    severity=alarm.severity, alarm=alarm.name, subject=alarm.subject, since=round(alarm.since * 1e6),
                    told=alarm.told, mend=alarm.mend,
                )
                for alarm in state.board.standing()
            ],
            looked_at=round(state.at * 1e6) if state.at else None, watching=state.watching,
            enabled=self._watch.enabled(), webhook=post.configured, failures=post.failures, answer=post.told,
            answered_at=round(post.told_at * 1e6) if post.told_at else None, waiting=len(state.waiting),
            dropped=post.dropped,
        )  # fmt: skip
