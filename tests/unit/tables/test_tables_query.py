from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from customhouse.model.errors import Misconfigured, Unavailable
from customhouse.tables.columns import days, texts
from customhouse.tables.datafile import Shape
from customhouse.tables.delta import DeltaFolder, Upkeep
from customhouse.tables.query import Bounds, names, query, reading

SHAPE = Shape(schema=pa.schema([("id", pa.string()), ("body", pa.string()), ("day", pa.date32())]), statistics=("id",))


@pytest.fixture
def lake(tmp_path) -> Path:
    table = DeltaFolder(tmp_path / "things", SHAPE)
    table.append(rows(["a", "b"]), "w", 1)
    table.close()
    (tmp_path / "no table").mkdir()
    return tmp_path


def rows(ids: list[str]) -> pa.Table:
    bodies = ['{"total": 2.5}'] * len(ids)
    return pa.Table.from_arrays([texts(ids), texts(bodies), days([0] * len(ids))], schema=SHAPE.schema)


def test_every_table_is_a_view_of_its_name(lake):
    assert names(lake) == ["things"]
    answer = query(lake, "select id, (body::json ->> 'total')::double as total, day from things order by id desc")
    assert answer.to_pydict()["id"] == ["b", "a"]
    assert answer.to_pydict()["total"] == [2.5, 2.5]


def test_an_answer_can_be_read_batch_by_batch(lake):
    with reading(lake, "select id from things order by id") as batches:
        assert batches.read_all().to_pydict() == {"id": ["a", "b"]}


def test_an_unknown_table_is_answered_with_the_list_of_tables(lake):
    with pytest.raises(Misconfigured) as error:
        query(lake, "select * from thing")
    assert "there are these tables: things" in str(error.value)


def test_a_lake_that_does_not_exist_yet_has_no_tables(tmp_path):
    assert names(tmp_path / "none") == []
    with pytest.raises(Misconfigured, match="none yet"):
        query(tmp_path / "none", "select * from events")


@pytest.mark.parametrize("sql", ["select nope from things", "selec 1", "select 'x'::int", "select id +", ""])
def test_a_wrong_statement_is_said_in_words(lake, sql):
    with pytest.raises(Misconfigured):
        query(lake, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('/etc/passwd')",
        "select * from '/etc/passwd'",
        "select * from glob('/etc/*')",
        "select * from read_parquet('{lake}/things/*/*.parquet')",
        "select * from query('copy (select 1) to ''{lake}/out.csv''')",
        "copy things to '{lake}/out.csv'",
        "copy (select 1) to '{lake}/out.csv'",
        "explain analyze copy (select 1) to '{lake}/out.csv'",
        "attach '{lake}/other.db'",
        "export database '{lake}/dump'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "set memory_limit = '100GB'",
        "create table x as select 1",
        "delete from things",
        "select 1; copy (select 1) to '{lake}/out.csv'",
        "select * from lake",
    ],
)
def test_a_statement_reads_the_tables_and_nothing_else(lake, sql):
    before = sorted(path.name for path in lake.iterdir())
    with pytest.raises(Misconfigured):
        query(lake, sql.format(lake=lake))
    assert sorted(path.name for path in lake.iterdir()) == before


def test_more_memory_than_given_is_refused_in_words(lake):
    with pytest.raises(Unavailable, match="more memory"):
        query(lake, "select list(i) from range(20000000) t(i)", Bounds(memory="20MB", spill="0B", threads=1))


def test_a_query_asks_again_when_a_merge_takes_its_files(lake, monkeypatch):
    """The log is read, then the writer merges and cleans at once; only then are the files read."""
    real = DeltaTable.to_pyarrow_dataset
    merges = []

    def merge_after(table, *args, **kwargs):
        found = real(table, *args, **kwargs)
        if not merges:
            merges.append(1)
            writer = DeltaFolder(lake / "things", SHAPE, Upkeep(keep_seconds=-1.0))
            for number in range(2, 17):
                writer.append(rows([str(number)]), "w", number)
            writer.tend()
            writer.tend()
        return found

    monkeypatch.setattr(DeltaTable, "to_pyarrow_dataset", merge_after)
    assert query(lake, "select count(distinct id) as n, count(body) as m from things").to_pydict() == {
        "n": [17],
        "m": [17],
    }


def test_a_file_that_is_gone_for_good_is_unavailable(lake):
    for path in lake.glob("things/day=*/*.parquet"):
        path.unlink()
    with pytest.raises(Unavailable, match="went away"):
        query(lake, "select max(body) from things")
