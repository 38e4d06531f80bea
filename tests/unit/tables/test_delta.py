import json
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from customhouse.model.errors import Broken, Misconfigured, Unavailable
from customhouse.tables.columns import days, texts, times
from customhouse.tables.datafile import Shape
from customhouse.tables.delta import DeltaFolder, Upkeep

DAY = 86_400_000_000
NOON = 20_454 * DAY + DAY // 2
SHAPE = Shape(
    schema=pa.schema(
        [("id", pa.string()), ("who", pa.string()), ("at", pa.timestamp("us", tz="UTC")), ("day", pa.date32())]
    ),
    statistics=("id", "at"),
    lookups=("id",),
    repetitive=("who",),
)


def rows(*ids: str, at: int = NOON, who: str = "someone@example.com") -> pa.Table:
    moments = [at] * len(ids)
    return pa.Table.from_arrays(
        [texts(ids), texts([who] * len(ids)), times(moments), days(moments)], schema=SHAPE.schema
    )


def stored(folder: Path) -> list[str]:
    return sorted(DeltaTable(folder).to_pyarrow_table(columns=["id"]).column("id").to_pylist())


class Clock:
    now = 1_000_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_new_table_is_empty_and_knows_no_writer(tmp_path):
    table = DeltaFolder(tmp_path / "t", SHAPE)
    assert table.last("a") is None
    assert stored(tmp_path / "t") == []


def test_rows_of_several_days_are_one_commit(tmp_path):
    table = DeltaFolder(tmp_path / "t", SHAPE)
    both = pa.concat_tables([rows("a", "b"), rows("c", at=NOON + DAY)])
    commit = table.append(both, "w", 7)
    opened = DeltaTable(tmp_path / "t")
    assert opened.version() == commit == 1
    assert sorted(part["day"] for part in opened.partitions()) == ["2026-01-01", "2026-01-02"]
    assert opened.to_pyarrow_table().sort_by("id").to_pydict() == both.to_pydict()
    assert opened.transaction_version("w") == 7


def test_a_version_is_committed_once_per_writer(tmp_path):
    table = DeltaFolder(tmp_path / "t", SHAPE)
    table.append(rows("a"), "w", 5, b"first")
    table.append(rows("again"), "w", 5, b"second")
    table.append(rows("older"), "w", 4, b"third")
    table.append(rows("other"), "x", 5, b"fourth")
    assert stored(tmp_path / "t") == ["a", "other"]
    assert table.last("w").note == b"first"
    assert table.last("x").note == b"fourth"


def test_what_was_committed_is_known_after_reopening(tmp_path):
    table = DeltaFolder(tmp_path / "t", SHAPE)
    table.append(rows("a"), "w", 5, b"\x00\xffnote")
    table.append(rows("b"), "x", 9, b"")
    table.close()
    again = DeltaFolder(tmp_path / "t", SHAPE)
    assert (again.last("w").version, again.last("w").note, again.last("w").commit) == (5, b"\x00\xffnote", 1)
    assert (again.last("x").version, again.last("x").note, again.last("x").commit) == (9, b"", 2)
    assert again.append(rows("a"), "w", 5) == 1


def test_no_rows_still_move_the_version(tmp_path):
    table = DeltaFolder(tmp_path / "t", SHAPE)
    table.append(rows(), "w", 3, b"nothing")
    assert stored(tmp_path / "t") == []
    assert table.last("w").version == 3


def test_a_thousand_commits_with_cleaning_lose_nothing(tmp_path):
    clock = Clock()
    table = DeltaFolder(tmp_path / "t", SHAPE, Upkeep(keep_seconds=0.0, checkpoint_commits=50), clock)
    table.append(rows("first"), "seldom", 1, b"long ago")
    clock.now = 4e9  # beyond any file's time, so that keeping is a matter of what is needed
    for number in range(1, 1001):
        table.append(rows(f"{number:04}"), "w", number, str(number).encode())
        table.tend()
    log = sorted(path.name for path in (tmp_path / "t" / "_delta_log").iterdir())
    files = list((tmp_path / "t").glob("day=*/*.parquet"))
    assert len(log) < 120
    assert len(files) < 50
    table.close()
    again = DeltaFolder(tmp_path / "t", SHAPE)
    assert again.last("seldom").note == b"long ago"
    assert again.last("w").note == b"1000"
    assert DeltaTable(tmp_path / "t").transaction_version("seldom") == 1
    assert stored(tmp_path / "t") == sorted(["first", *(f"{number:04}" for number in range(1, 1001))])


def test_merged_files_stay_for_readers_and_go_later(tmp_path):
    clock = Clock()
    table = DeltaFolder(tmp_path / "t", SHAPE, Upkeep(keep_seconds=600.0), clock)
    for number in range(16):
        table.append(rows(f"{number:02}"), "w", number)
    early = DeltaTable(tmp_path / "t").to_pyarrow_dataset()
    table.tend()
    assert len(DeltaTable(tmp_path / "t").file_uris()) == 1
    assert early.count_rows() == 16
    assert len(list((tmp_path / "t").glob("day=*/*.parquet"))) == 17
    clock.now += 601
    table.tend()
    assert len(list((tmp_path / "t").glob("day=*/*.parquet"))) == 1
    assert stored(tmp_path / "t") == [f"{number:02}" for number in range(16)]


def test_files_that_no_commit_names_are_removed_after_a_restart(tmp_path):
    table = DeltaFolder(tmp_path / "t", SHAPE)
    table.append(rows("a"), "w", 1)
    orphan = tmp_path / "t" / "day=2026-01-01" / "orphan.parquet"
    orphan.write_bytes(b"half a file")
    table.close()
    clock = Clock()
    again = DeltaFolder(tmp_path / "t", SHAPE, Upkeep(keep_seconds=10.0), clock)
    again.tend()
    assert orphan.exists()
    clock.now += 11
    again.tend()
    assert not orphan.exists()
    assert stored(tmp_path / "t") == ["a"]


def test_a_personal_column_stands_in_no_statistic(tmp_path):
    table = DeltaFolder(tmp_path / "t", SHAPE, Upkeep(checkpoint_commits=20))
    for number in range(40):
        table.append(rows(f"{number:02}", who="marker-of-a-person"), "w", number)
        table.tend()
    for path in (tmp_path / "t" / "_delta_log").iterdir():
        assert b"marker-of-a-person" not in path.read_bytes()
    actions = DeltaTable(tmp_path / "t").get_add_actions(flatten=True)
    assert "min.id" in actions.column_names
    assert "min.who" not in actions.column_names


def test_statistics_prune_files(tmp_path):
    table = DeltaFolder(tmp_path / "t", SHAPE)
    table.append(rows("a", "b"), "w", 1)
    table.append(rows("m", "n"), "w", 2)
    opened = DeltaTable(tmp_path / "t")
    assert len(opened.file_uris(file_pruning_predicate="id = 'n'")) == 1
    assert len(opened.file_uris(file_pruning_predicate="id = 'z'")) == 0


def test_a_second_writer_is_refused_while_the_first_lives(tmp_path):
    first = DeltaFolder(tmp_path / "t", SHAPE)
    with pytest.raises(Unavailable, match="another process"):
        DeltaFolder(tmp_path / "t", SHAPE)
    first.close()
    DeltaFolder(tmp_path / "t", SHAPE).close()


def test_a_format_from_the_future_is_refused(tmp_path):
    DeltaFolder(tmp_path / "t", SHAPE).close()
    first = tmp_path / "t" / "_delta_log" / f"{0:020d}.json"
    lines = [json.loads(line) for line in first.read_text().splitlines()]
    for line in lines:
        if "metaData" in line:
            line["metaData"]["configuration"]["customhouse.format"] = "99"
    first.write_text("\n".join(json.dumps(line) for line in lines))
    with pytest.raises(Misconfigured, match="it has format 99"):
        DeltaFolder(tmp_path / "t", SHAPE)


def test_another_schema_is_refused(tmp_path):
    DeltaFolder(tmp_path / "t", SHAPE).close()
    other = Shape(schema=pa.schema([("id", pa.string()), ("day", pa.date32())]), statistics=("id",))
    with pytest.raises(Broken, match="columns"):
        DeltaFolder(tmp_path / "t", other)


def test_a_commit_by_another_program_is_seen_and_followed(tmp_path):
    table = DeltaFolder(tmp_path / "t", SHAPE)
    for number in range(3):
        table.append(rows(str(number)), "w", number, b"note")
    DeltaTable(tmp_path / "t").optimize.compact()
    with pytest.raises(Unavailable, match="another program"):
        table.append(rows("3"), "w", 3)
    assert table.append(rows("3"), "w", 3) == 5
    assert stored(tmp_path / "t") == ["0", "1", "2", "3"]


def test_a_disk_that_refuses_is_unavailable_and_leaves_nothing(tmp_path):
    table = DeltaFolder(tmp_path / "t", SHAPE)
    table.append(rows("a"), "w", 1)
    (tmp_path / "t" / "day=2026-01-02").write_bytes(b"a file where a folder should be")
    with pytest.raises(Unavailable):
        table.append(rows("b", at=NOON + DAY), "w", 2)
    (tmp_path / "t" / "day=2026-01-02").unlink()
    assert table.last("w").version == 1
    table.append(rows("b", at=NOON + DAY), "w", 2)
    assert stored(tmp_path / "t") == ["a", "b"]


def test_a_draft_left_by_a_crash_never_changes_a_commit(tmp_path):
    table = DeltaFolder(tmp_path / "t", SHAPE)
    table.append(rows("a"), "w", 1)
    commit = tmp_path / "t" / "_delta_log" / f"{1:020d}.json"
    before = commit.read_bytes()
    (tmp_path / "t" / "_commit.tmp").hardlink_to(commit)
    table.append(rows("b"), "w", 2)
    assert commit.read_bytes() == before
    assert stored(tmp_path / "t") == ["a", "b"]


def read_on(folder: Path, stop, results) -> None:
    seen = 0
    while not stop.is_set():
        count = DeltaTable(folder).to_pyarrow_dataset().count_rows()
        assert count >= seen
        seen = count
    results.put(DeltaTable(folder).to_pyarrow_dataset().count_rows())


def test_readers_see_every_row_once_while_the_writer_commits_and_merges(tmp_path):
    table = DeltaFolder(tmp_path / "t", SHAPE, Upkeep(checkpoint_commits=10))
    context = get_context("spawn")
    stop, results = context.Event(), context.Queue()
    reader = context.Process(target=read_on, args=(tmp_path / "t", stop, results))
    reader.start()
    for number in range(200):
        table.append(rows(*(f"{number}-{nth}" for nth in range(10))), "w", number)
        table.tend()
    stop.set()
    assert results.get(timeout=60) == 2000
    reader.join(timeout=60)
    assert reader.exitcode == 0
