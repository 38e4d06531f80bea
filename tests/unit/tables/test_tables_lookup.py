import pyarrow as pa

from customhouse.tables.columns import days, texts
from customhouse.tables.datafile import Shape
from customhouse.tables.delta import DeltaFolder
from customhouse.tables.lookup import Ask, held, rows

SHAPE = Shape(
    schema=pa.schema([("id", pa.string()), ("word", pa.string()), ("day", pa.date32())]),
    statistics=("id",),
    lookups=("id", "word"),
)


def filled(folder):
    table = DeltaFolder(folder, SHAPE)
    for number in range(3):
        ids = texts([f"{number}{nth:03}" for nth in range(100)])
        words = texts([f"word {number} {nth}" for nth in range(100)])
        table.append(pa.Table.from_arrays([ids, words, days([0] * 100)], schema=SHAPE.schema), "w", number)
    table.close()


def test_no_table_holds_nothing(tmp_path):
    assert rows(tmp_path / "none", Ask("true", [])) == []


def test_a_row_is_found_by_any_column(tmp_path):
    filled(tmp_path / "t")
    assert [row["id"] for row in rows(tmp_path / "t", Ask("word = ?", ["word 1 42"]))] == ["1042"]
    assert [row["id"] for row in rows(tmp_path / "t", Ask("id = ?", ["2007"], prune="id = '2007'"))] == ["2007"]
    assert rows(tmp_path / "t", Ask("id = ?", ["x"], prune="id = 'x'")) == []


def test_a_value_is_never_read_as_sql(tmp_path):
    filled(tmp_path / "t")
    assert rows(tmp_path / "t", Ask("word = ?", ["' or true --"])) == []


def test_an_answer_is_cut_at_the_limit(tmp_path):
    filled(tmp_path / "t")
    assert len(rows(tmp_path / "t", Ask("true", [], limit=7))) == 7


def test_held_values_are_told_from_others(tmp_path):
    filled(tmp_path / "t")
    assert held(tmp_path / "t", "id", texts(["0005", "1005", "0", "9999", "1005"])) == {"0005", "1005"}
