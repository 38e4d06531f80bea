"""
The measurements of the house: every name with its kind, its labels and what it says.

A closed list, so that the reference page is complete and no label is ever made from what a client sent: a label's values
come from the configuration or from the vocabulary of reasons.
"""

from typing import Literal

from msgspec import Struct

from customhouse.model.errors import Broken


class Metric(Struct, frozen=True):
    """One measurement. Durations are in seconds, sizes in bytes."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str


_ALL = (
    Metric("customhouse_stage_duration_seconds", "histogram", ("stage",), "Time a stage took for one batch."),
    Metric("customhouse_batch_duration_seconds", "histogram", (), "Time from reading a batch to its settlement."),
    Metric(
        "customhouse_lane_duration_seconds", "histogram", ("destination",), "Time of one delivery to a destination."
    ),
    Metric("customhouse_commit_duration_seconds", "histogram", (), "Time of one durable commit at the door."),
    Metric(
        "customhouse_acknowledgement_duration_seconds",
        "histogram",
        ("source",),
        "Time from a request's last byte to its acknowledgement.",
    ),
    Metric("customhouse_requests_total", "counter", ("protocol", "status"), "Requests the door has answered."),
    Metric("customhouse_uncommitted_bytes", "gauge", (), "Bytes that wait at the door for the disk."),
    Metric("customhouse_free_disk_bytes", "gauge", (), "Free space where the log stands."),
    Metric("customhouse_restarts_total", "counter", ("child",), "Processes the supervisor had to start again."),
    Metric("customhouse_attempts_total", "counter", ("destination", "result"), "Requests sent to a destination."),
    Metric("customhouse_lane_parked", "gauge", ("destination",), "1 while a lane waits for somebody to mend it."),
    Metric("customhouse_alarm", "gauge", ("alarm", "subject"), "1 while an alarm stands, 0 once it has ended."),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
"""What processes may measure. Counts of events are not here: they are derived from the books."""

DERIVED: tuple[Metric, ...] = (
    Metric(
        "customhouse_unaccounted_events", "gauge", (), "Events the books cannot account for. Anything but 0 is a fault."
    ),
    Metric("customhouse_balance_events", "gauge", ("account",), "Events that stand in an account of the books now."),
    Metric(
        "customhouse_lag_events", "gauge", ("topic", "destination"), "Events that wait in a topic or for a destination."
    ),
    Metric("customhouse_lag_seconds", "gauge", ("topic", "destination"), "Age of the oldest event that waits there."),
    Metric("customhouse_process_cpu_seconds_total", "counter", ("process",), "Processor time used since start."),
    Metric("customhouse_process_resident_bytes", "gauge", ("process",), "Resident memory, shared pages counted whole."),
    Metric("customhouse_process_proportional_bytes", "gauge", ("process",), "Memory, shared pages counted by share."),
    Metric("customhouse_process_private_bytes", "gauge", ("process",), "The same without mapped files."),
    Metric("customhouse_process_open_fds", "gauge", ("process",), "Open file descriptors."),
    Metric(
        "customhouse_process_start_time_seconds", "gauge", ("process",), "When the process started, seconds since 1970."
    ),
)
"""What the window of metrics adds by itself."""


def metric(name: str, kind: str, labels: dict[str, str]) -> Metric:
    """Return the metric of this name. Raises Broken when it is not listed so: that is a mistake in our code."""
    found = METRICS.get(name)
    if found is None or found.kind != kind or set(labels) != set(found.labels):
        raise Broken(f"{name} is not listed as a {kind} with labels {sorted(labels)}")
    return found
