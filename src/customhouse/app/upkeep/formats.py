"""
Every kind of file in the data folder: its format, who reads it, what becomes of it when the format changes.

A kind that is missing here is a mistake: nobody would check it, and a test that walks a real data folder says so. A
back-up is made from the same table, so that nothing is forgotten and nothing is copied in two ways.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from msgspec import Struct

from customhouse.app.upkeep import identity, migrations, versions
from customhouse.app.upkeep.versions import Look
from customhouse.app.workspace import Workspace
from customhouse.log import mark, segment
from customhouse.model.errors import Misconfigured, Problem
from customhouse.model.frames import OWED_TOPIC, RECEIPTS_TOPIC, RECEIVED_TOPIC
from customhouse.state import embedded

Keeping = Literal["first", "log", "state", "ids", "lake", "as it is", "not"]
"""How a back-up takes a kind: by one of its careful ways, as it is, or not at all. `first` counts what the logs hold."""


class Kind(Struct, frozen=True):
    """One kind of file."""

    name: str
    patterns: tuple[str, ...]
    """Paths below the data folder, with `*` for anything inside one name."""
    version: int
    """The format this version writes and knows; 0 where a file has nothing that could have one."""
    stands: str
    """Where its format stands."""
    reader: str
    rule: str
    """What becomes of older files."""
    keeping: Keeping
    look: Look | None = None
    """How the format of a file is found out; None where there is nothing to find."""


_KEPT = "read as it is by later versions until retention removes it"
_STEP = "a step of the data folder rewrites it"
_ANEW = "thrown away and made anew from the log"
_FLEETING = "written anew by every start; an older one is not read"

# Numbers that stand here and not as a name belong to rooms that are slow to load; a test holds them to theirs.
KINDS = (
    Kind("format of the data folder", ("format",), migrations.FORMAT, "first line", "`app/upkeep/migrations.py`",
         "numbered steps, done by `customhouse run`", "as it is", versions.first_line),
    Kind("identity", ("identity.json",), identity.FORMAT, "field `format`", "`app/upkeep/identity.py`",
         _STEP, "as it is", versions.json_field),
    Kind("key of references", ("keys/reference",), 0, "none: 32 random bytes", "`app/upkeep/identity.py`",
         "a step would add another file", "as it is"),
    Kind("accepted configuration", ("config/*.json",), 1, "field `format`", "`app/workspace.py`",
         "kept for ever and read by every later version", "as it is", versions.json_field),
    Kind("rollback on its way", ("config/rollback",), 1, "field `format`", "`app/upkeep/written.py`",
         "gone within seconds", "as it is", versions.json_field),
    Kind("import", ("imports/*.json",), 1, "field `format`", "`app/upkeep/history/progress.py`",
         "refused in words; begin anew with `--again`", "first", versions.json_field),
    Kind("rows an import refused", ("imports/*.refused.jsonl",), 1, "field `format` of each line",
         "people", "never read again", "as it is"),
    Kind("log segment", ("log/*/*/*.seg",), segment.FORMAT, "header of the file", "`log/segment.py`",
         _KEPT, "log", versions.segment),
    Kind("frame of the log received", (f"log/{RECEIVED_TOPIC}/*/*.seg",), 1, "first value of the newest frame",
         "`model/frames.py`", _KEPT, "log", versions.newest_frame),
    Kind("frame of the log owed", (f"log/{OWED_TOPIC}/*/*.seg",), 1, "first value of the newest frame",
         "`model/frames.py`", _KEPT, "log", versions.newest_frame),
    Kind("frame of the log receipts", (f"log/{RECEIPTS_TOPIC}/*/*.seg",), 1, "first value of the newest frame",
         "`model/frames.py`", _KEPT, "log", versions.newest_frame),
    Kind("durable mark", ("log/*/*/durable",), mark.FORMAT, "each of its two slots", "`log/mark.py`",
         "written anew by the log's writer", "log", versions.durable_mark),
    Kind("state", ("state/*.db", "state/*.db-wal", "state/*.db-shm"), embedded.FORMAT, "`PRAGMA user_version`",
         "`state/embedded.py`", _STEP, "state", versions.sqlite),
    Kind("checkpoint of the index of ids", ("state/ids/*/checkpoint.json",), 1, "field `format`",
         "`state/ids.py`", _ANEW, "ids", versions.json_field),
    Kind("table of the index of ids", ("state/ids/*/*.ids",), 1, "header of the file",
         "`state/idtable.py`", _ANEW, "ids", versions.id_table),
    Kind("seed of hashes", ("state/secret",), 1, "first word", "`app/pipeline.py`", _STEP, "as it is",
         versions.first_line),
    Kind("table of the lake", ("lake/*/_delta_log/*", "lake/*/*=*/*.parquet"), 1,
         "table property `customhouse.format`", "`tables/delta.py`",
         "Delta and Parquet; columns are added, never changed", "lake", versions.delta_table),
    Kind("job and answer", ("jobs/*/*.job", "jobs/*/*.answer"), 1, "field `format`", "`state/jobs.py`",
         "a job of another format is answered with a refusal", "not"),
    Kind("audit of jobs", ("jobs/*/audit.jsonl",), 1, "field `format` of each line", "`state/jobs.py`",
         "lines of another format are left out of what is shown", "as it is"),
    Kind("what runs now", ("run/*.json", "run/*.metrics", "run/*.msgpack"), 1, "field `format`",
         "`app/process.py`, `app/lanes.py`, `telemetry/measure.py`", _FLEETING, "not"),
    Kind("lock", ("run/*.lock", "imports/*.lock", "log/*/*/writer.lock", "lake/*/_writer.lock"), 0, "none: it is empty", "its owner",
         "nothing stands in it", "not"),
    Kind("draft", ("*.partial", "*/*.partial", "*/*/*.partial", "*/*/*/*.partial", "state/ids/*/checkpoint.json.new", "imports/*.scratch",
                   "lake/*/_commit.tmp", "lake/.*/*", "lake/.*/*/*"), 0, "that of what it becomes", "its writer",
         "removed, or written over", "not"),
)  # fmt: skip

_BY_PARTS = ("log/", "state/ids/", "lake/", "run/")
"""Folders a back-up takes in its own careful ways, or not at all."""


def kind_of(path: str) -> Kind | None:
    """Return the kind of a file, named by its path below the data folder; None when nobody knows it."""
    return next((kind for kind in KINDS if any(matches(path, pattern) for pattern in kind.patterns)), None)


def matches(path: str, pattern: str) -> bool:
    """Tell whether a path fits a pattern, part by part."""
    parts, wanted = path.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


def left_out(path: str) -> bool:
    """Tell whether a back-up does not take a file as it is. What nobody knows is taken: better too much."""
    kind = kind_of(path)
    return path.startswith(_BY_PARTS) or (kind is not None and kind.keeping != "as it is")


def is_first(path: str) -> bool:
    """Tell whether a file counts what the logs hold, so that a back-up must take it before them."""
    kind = kind_of(path)
    return kind is not None and kind.keeping == "first"


def problems(workspace: Workspace, *, thorough: bool = True) -> list[Problem]:
    """
    Return every file whose format this version does not know or cannot make out, each with what to do.

    `thorough` looks at every file, and is for `doctor`. Otherwise of each partition only the newest is looked at, and
    tables of the lake are left to who opens them: that takes milliseconds, however much is stored.
    """
    found: list[Problem] = []
    for kind in KINDS:
        if kind.look is None or (kind.keeping == "lake" and not thorough):
            continue
        for path in _files(workspace.data, kind, thorough=thorough):
            problem = _problem(kind, path, kind.look)
            if problem is not None and (thorough or problem.message.startswith("it has format")):
                found.append(problem)
    return found


def refuse(workspace: Workspace) -> None:
    """Raise Misconfigured, in words, when a newer version has written into the data folder. Takes milliseconds."""
    migrations.refuse_newer(workspace.data)
    if found := problems(workspace, thorough=False):
        raise Misconfigured(found)


def _problem(kind: Kind, path: Path, look: Look) -> Problem | None:
    known = kind.version
    try:
        version = look(path)
    except (OSError, ValueError) as error:
        hint = "restore it from a back-up, or report this with `customhouse doctor --json`"
        return Problem(str(path), f"{kind.name}: its format cannot be read ({type(error).__name__})", hint)
    if version is None or version <= known:
        return None
    hint = "use the version of customhouse that wrote it, or a newer one; or restore a back-up taken before"
    return Problem(str(path), f"it has format {version} ({kind.name}); this version knows format {known}", hint)


def _files(data: Path, kind: Kind, *, thorough: bool) -> Iterator[Path]:
    """Yield the files of a kind to look at; of a table of the lake its folder, of a partition its newest segment."""
    pattern = kind.patterns[0]
    if kind.look in (versions.delta_table, versions.newest_frame):
        yield from sorted({path.parent for path in data.glob(pattern)})
        return
    by_folder: dict[Path, list[Path]] = {}
    for path in data.glob(pattern):
        by_folder.setdefault(path.parent, []).append(path)
    for _, paths in sorted(by_folder.items()):
        # States and announcements stand side by side in one folder; segments, tables of ids and versions follow
        # one another, and the newest was written by the newest version.
        yield from sorted(paths) if thorough or kind.keeping == "state" else [max(paths)]


def row(kind: Kind) -> str:
    """Return a kind as a row of the table in `docs/operations/formats.md`."""
    patterns = "<br>".join(f"`{pattern}`" for pattern in kind.patterns)
    back_up = {"as it is": "as it is", "not": "no"}.get(kind.keeping, "at one moment")
    cells = (kind.name, patterns, str(kind.version or "–"), kind.stands, kind.reader, kind.rule, back_up)
    return f"| {' | '.join(cells)} |"
