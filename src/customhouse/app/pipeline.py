"""The pipeline process, put together: the log, the state, the stages with their memories, and the worker that walks."""

import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from customhouse.app.lanes import floor
from customhouse.app.process import Process, write_whole
from customhouse.app.retention import SECONDS, retain
from customhouse.app.road import Rules, road
from customhouse.app.rules import newest
from customhouse.app.workspace import Workspace
from customhouse.log.embedded import EmbeddedLog
from customhouse.model.contracts import Remembering
from customhouse.model.errors import Broken
from customhouse.model.frames import OWED_TOPIC
from customhouse.pipeline.judgement import Road
from customhouse.pipeline.worker import Parts, Worker
from customhouse.stages.dedupe import Dedupe
from customhouse.state.embedded import EmbeddedState
from customhouse.state.ids import MappedIndex
from customhouse.state.jobs import Jobs

_SEED_FORMAT = "1"


class PartitionMemory:
    """What the stages of one partition remember on disk."""

    def __init__(self, folder: Path) -> None:
        """Open the dedupe index; what it has lost is given back from the owed log."""
        self.index = MappedIndex.open(folder)
        self.synced_through = self.index.synced_through
        self.stages: Mapping[str, Remembering] = {}

    def checkpoint(self, position: int) -> None:
        """Make the index safe through a position of `owed`."""
        self.index.checkpoint(position)
        self.synced_through = position


class Roads:
    """The road of every partition under the newest rules."""

    def __init__(self, workspace: Workspace, rules: Rules) -> None:
        """Start with these rules; memories are opened when a partition is first walked."""
        self._workspace = workspace
        self._secret = workspace_secret(workspace)
        self._memories: dict[int, PartitionMemory] = {}
        self._roads: dict[int, Road] = {}
        self.rules = rules

    def adopt(self, rules: Rules) -> None:
        """Judge the next batch by other rules. What the stages remember stays."""
        self.rules = rules
        self._roads.clear()

    def road(self, partition: int) -> Road:
        """Return the road of a partition."""
        if partition not in self._roads:
            self._roads[partition] = road(self.rules, self.memory(partition).index, self._secret)
        return self._roads[partition]

    def memory(self, partition: int) -> PartitionMemory:
        """Return what the stages of a partition remember."""
        memory = self._memories.get(partition)
        if memory is None:
            memory = self._memories[partition] = PartitionMemory(self._workspace.ids(partition))
            dedupe = Dedupe(memory.index, self.rules.configuration.dedupe.window_days, self._secret)
            memory.stages = {dedupe.name: dedupe}
        return memory

    def dispensable(self, partition: int) -> int:
        """Return the position of `owed` through which neither a lane nor an index that lost its newest entries reads."""
        return min(floor(self._workspace, OWED_TOPIC, partition), self.memory(partition).synced_through)

    def forget(self, now: int) -> None:
        """Drop what lies behind the dedupe window."""
        today = now // 86_400_000_000
        for memory in self._memories.values():
            memory.index.forget(today - self.rules.configuration.dedupe.window_days)


def run(process: Process) -> None:
    """Run the pipeline process until it is told to stop."""
    workspace = process.workspace
    roads = Roads(workspace, newest(workspace))
    log = EmbeddedLog(workspace.log, fault=process.fault)
    state = EmbeddedState(workspace.state("pipeline"), fault=process.fault)
    parts = Parts(log, state, Jobs(workspace.jobs("pipeline")), process.logger, process.meter, process.fault)
    worker = Worker(parts, roads.road, roads.memory)
    tend = _tending(process, roads, log)
    process.announce(roads.rules.versions.config)
    worker.run(process.stop.is_set, tend)
    state.close()
    log.close()


def _tending(process: Process, roads: Roads, log: EmbeddedLog) -> Callable[[], None]:
    """Return what is done between batches: adopt a new configuration, write measurements, remove old log."""
    due = time.monotonic() + SECONDS

    def tend() -> None:
        nonlocal due
        if process.reload.is_set():
            process.reload.clear()
            roads.adopt(newest(process.workspace))
            with process.chore("announcing"):
                process.announce(roads.rules.versions.config)
        process.write_meters()
        if time.monotonic() >= due:
            due = time.monotonic() + SECONDS
            kept = roads.rules.configuration.retention
            with process.chore("retention"):
                retain(
                    log,
                    OWED_TOPIC,
                    roads.dispensable,
                    process.logger,
                    days=kept.owed_days,
                    size=kept.log_bytes,
                )
                roads.forget(time.time_ns() // 1000)

    return tend


def workspace_secret(workspace: Workspace) -> int:
    """Return the 64-bit secret that seeds this workspace's hashes, made once; with it gone, the index starts anew."""
    path = workspace.data / "state" / "secret"
    if not path.exists():
        write_whole(path, f"{_SEED_FORMAT} {secrets.token_hex(8)}\n".encode())
        path.chmod(0o600)
    found = path.read_text().split()
    if len(found) != 2 or found[0] != _SEED_FORMAT:
        raise Broken(f"{path} has a format this version does not know")
    return int(found[1], 16)
