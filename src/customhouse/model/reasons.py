"""
Every reason and flag, in one closed vocabulary. A word is used as it stands in replies, metrics, books, CLI and docs.

Words are never renamed and never removed (a test holds this); details are free text and never labels.
"""

from typing import Literal

from msgspec import Struct

Kind = Literal["refused", "quarantined", "dropped", "retry", "expired", "flag"]


class Reason(Struct, frozen=True):
    """One word, what it means, and what to do."""

    word: str
    kind: Kind
    meaning: str
    remedy: str


_ALL = (
    # The door takes nothing of the request; counted per request, because what cannot be read cannot be counted.
    Reason("missing_write_key", "refused", "The request names no write key.", "Set the SDK's write key."),
    Reason(
        "unknown_write_key",
        "refused",
        "No source has this write key.",
        "Compare it with `sources` in customhouse.yaml.",
    ),
    Reason("source_disabled", "refused", "The source is switched off.", "Set `enabled: true` on the source."),
    Reason("body_missing", "refused", "The request has no body.", "Send a JSON body."),
    Reason(
        "body_too_large",
        "refused",
        "The body is over `limits.body_bytes`.",
        "Send smaller batches, or raise the limit.",
    ),
    Reason(
        "body_unreadable",
        "refused",
        "The body's compression is broken or unknown.",
        "Send gzip, deflate, br, zstd or none.",
    ),
    Reason("body_inflates", "refused", "The unpacked body is over the size or ratio limit.", "Send smaller batches."),
    Reason(
        "body_not_json",
        "refused",
        "The body is not the JSON this route expects.",
        "Compare it with the protocol's page.",
    ),
    Reason("batch_empty", "refused", "The batch holds no event.", "Send at least one event."),
    Reason(
        "batch_too_long", "refused", "The batch holds more events than `limits.batch_events`.", "Send smaller batches."
    ),
    Reason("too_busy", "refused", "More is waiting for the disk than the door may hold.", "SDKs retry by themselves."),
    Reason(
        "disk_low",
        "refused",
        "Free disk space is under `limits.free_disk_bytes`.",
        "Free space; the door opens by itself.",
    ),
    Reason(
        "log_unavailable",
        "refused",
        "The log could not make the events durable.",
        "See the collector's log; SDKs retry.",
    ),
    Reason("draining", "refused", "The door is closing for a restart.", "SDKs retry by themselves."),
    # The event is kept whole.
    Reason(
        "event_too_large",
        "quarantined",
        "The event is over `limits.event_bytes`.",
        "Send less, or raise the limit and replay.",
    ),
    Reason("event_too_deep", "quarantined", "The event nests deeper than `limits.depth`.", "Flatten it."),
    Reason(
        "event_unreadable",
        "quarantined",
        "The event is not a JSON object with fields of the expected types.",
        "Mend the sender.",
    ),
    Reason("type_missing", "quarantined", "The event names no type.", "Send `type`."),
    Reason("type_unknown", "quarantined", "The event's type is none of the protocol's.", "Send a known `type`."),
    Reason("name_missing", "quarantined", "A track event names no event.", "Send `event`."),
    Reason("identity_missing", "quarantined", "Neither a user id nor an anonymous id is given.", "Send one of them."),
    Reason(
        "event_unplanned",
        "quarantined",
        "The tracking plan does not know this event.",
        "Add it to `plan/`, or allow unknown events.",
    ),
    Reason(
        "schema_violation",
        "quarantined",
        "The event breaks its schema in the tracking plan.",
        "Repair the sender or the plan; replay.",
    ),
    Reason(
        "requirement_missing",
        "quarantined",
        "An identifier or context field the plan requires is missing.",
        "Mend the sender; replay.",
    ),
    Reason(
        "poison",
        "quarantined",
        "A stage failed on this event alone.",
        "Report the bug with the event's id; replay after the fix.",
    ),
    Reason(
        "destination_refused",
        "quarantined",
        "A destination refused the event for good.",
        "See its answer; repair and replay.",
    ),
    Reason(
        "delivery_deadline",
        "quarantined",
        "A destination did not take the event in time.",
        "Mend the destination; replay.",
    ),
    # The event ends on purpose.
    Reason(
        "duplicate",
        "dropped",
        "An event with this source and message id was accepted before.",
        "Nothing: retries are normal.",
    ),
    Reason("discarded", "dropped", "Somebody discarded the event from quarantine.", "Nothing."),
    # A destination may take it later.
    Reason("unreachable", "retry", "No connection to the destination.", "Check its address and network."),
    Reason("timeout", "retry", "The destination did not answer in time.", "Check its health."),
    Reason("server_error", "retry", "The destination answered with a fault of its own.", "Check its health."),
    Reason("throttled", "retry", "The destination asks to slow down.", "Nothing: the lane waits."),
    Reason(
        "unauthorized",
        "retry",
        "The destination does not accept our credentials; the lane is parked.",
        "Mend them; reload.",
    ),
    # It was kept as long as policy says.
    Reason("backlog_budget", "expired", "The lane's backlog outgrew its budget.", "Mend the destination; replay."),
    Reason(
        "log_retention",
        "expired",
        "The log's retention removed it before it was dealt with.",
        "Raise retention or add capacity.",
    ),
    # Remarkable, and nothing more.
    Reason(
        "duplicate_conflict",
        "flag",
        "A duplicate whose content differs from the first.",
        "Find the sender that reuses ids.",
    ),
    Reason(
        "message_id_missing",
        "flag",
        "The client sent no message id; one was made from the event's id.",
        "Use an SDK that sends one.",
    ),
    Reason("clock_corrected", "flag", "The client's clock was off; the time was corrected.", "Nothing."),
    Reason(
        "clock_future",
        "flag",
        "The time lay in the future and was set to the time of receipt.",
        "Check the sender's clock.",
    ),
    Reason(
        "clock_past",
        "flag",
        "The time was impossibly old and was set to the time of receipt.",
        "Check the sender's clock.",
    ),
    Reason("time_missing", "flag", "The client sent no time; the time of receipt is used.", "Send `timestamp`."),
    Reason(
        "time_unreadable", "flag", "The client's time could not be read; the time of receipt is used.", "Send ISO 8601."
    ),
    Reason(
        "json_repaired",
        "flag",
        "The JSON held NaN, infinities or broken characters, which were replaced.",
        "Mend the sender.",
    ),
    Reason("replayed", "flag", "The event left quarantine and travelled the road again.", "Nothing."),
)

REASONS: dict[str, Reason] = {reason.word: reason for reason in _ALL}
"""All documented words."""
