"""History from files: rows, shapes, ids, batches, and the record of how far it is; without a house."""

import contextlib
import gzip
import io
import json
import re

import pytest

from customhouse.app.upkeep.history import rows as rows_module
from customhouse.app.upkeep.history.asked import plan_asked, shape_asked
from customhouse.app.upkeep.history.ids import Counts, digest, message_id
from customhouse.app.upkeep.history.progress import Record, Refused, content_of, held
from customhouse.app.upkeep.history.rows import csv_header, form_of, json_rows, opened
from customhouse.app.upkeep.history.run import Import, Plan
from customhouse.app.upkeep.history.shape import Shape, for_columns, shape_of, shaped
from customhouse.model.contracts import Limits
from customhouse.model.errors import Misconfigured, Unavailable

EVENT = {"type": "track", "event": "Seen", "userId": "u", "timestamp": "2020-01-01T00:00:00Z"}


def ready(tmp_path, text, *, form="jsonl", limits=None, skip=0, protocol="auto", **more):
    """Return every row of a file made ready."""
    body = text if isinstance(text, bytes) else text.encode()
    work = Import(Plan(form=form, source="s", **more), limits or Limits(), protocol, tmp_path / "counts")
    return [each for batch in work.ready(io.BytesIO(body), skip) for each in batch]


def lines(*events):
    return "".join(json.dumps(event) + "\n" for event in events)


def sent(found):
    return [json.loads(each.body) for each in found if not each.reason]


def reasons(found):
    return [(each.row.number, each.reason) for each in found if each.reason]


# Rows.


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.jsonl", "jsonl"),
        ("a.NDJSON", "jsonl"),
        ("a.csv.gz", "csv"),
        ("a.tsv", "csv"),
        ("a.txt", None),
        ("a.gz", None),
    ],
)
def test_the_ending_says_what_a_file_holds(name, form):
    assert form_of(name) == form


def test_rows_that_cannot_be_read_are_rows_with_a_reason(monkeypatch):
    monkeypatch.setattr(rows_module, "LONGEST_LINE", 40)
    body = b'{"a":1}\n\nnot json\n[1]\n{"long":"%b"}\n{"b":2}' % (b"x" * 100)
    found = list(json_rows(io.BytesIO(body)))
    assert [(row.number, row.line, row.reason) for row in found] == [
        (1, 1, ""), (2, 3, "event_unreadable"), (3, 4, "event_unreadable"), (4, 5, "line_too_long"), (5, 6, ""),
    ]  # fmt: skip
    assert found[4].values == {"b": 2}


def test_one_json_array_is_told_with_the_command_that_mends_it():
    with pytest.raises(Misconfigured, match="jq"):
        list(json_rows(io.BytesIO(b'\n [{"a":1}]')))


def test_a_broken_row_of_csv_does_not_take_its_neighbours_along():
    body = b'\xef\xbb\xbfid,note\n1,"a, b"\n2\n3,"c"d\n4,\xff\n5,"two\nlines"\n\n6,x,y\n7,z\n'
    columns, found = csv_header(io.BytesIO(body), ",")
    assert columns == ["id", "note"]
    told = [(row.number, row.reason, row.values.get("note", "")) for row in found]
    assert told == [
        (1, "", "a, b"), (2, "csv_ragged", ""), (3, "csv_unreadable", ""), (4, "not_utf8", ""),
        (5, "", "two\nlines"), (6, "csv_ragged", "x"), (7, "", "z"),
    ]  # fmt: skip


def test_a_quote_that_is_never_closed_does_not_swallow_memory():
    body = b'id,note\n1,"open\n' + b"x" * 100 + b"\n" + b"y,z\n" * 60_000
    _, found = csv_header(io.BytesIO(body), ",")
    refused = [row for row in found if row.reason]
    assert refused[0].reason == "csv_unreadable"
    assert len(refused) < 10


@pytest.mark.parametrize("body", [b"", b"\n", b"a,a\n1,2\n"])
def test_a_header_that_cannot_be_used_is_refused(body):
    with pytest.raises(Misconfigured):
        csv_header(io.BytesIO(body), ",")


def test_compressed_files_are_known_by_their_content_and_damage_is_told(tmp_path):
    path = tmp_path / "a.jsonl"
    whole = gzip.compress(b'{"a":1}\n' * 50_000, mtime=0)
    path.write_bytes(whole)
    with opened(path, io.BytesIO()) as (file, at):
        assert sum(1 for _ in json_rows(file)) == 50_000
        assert at() == len(whole)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Misconfigured, match="cut short"), opened(path, io.BytesIO()) as (file, _):
        list(json_rows(file))


# Shapes.


def test_columns_become_fields_of_the_types_asked_for(tmp_path):
    shape = shape_asked(
        ["user id=userId", "when=timestamp", "total=properties.order.total:number", "n=properties.n:integer", "ok=traits.ok:boolean",
         "raw=properties.raw:json", "day=properties.day:time(%d/%m/%Y)", "*=properties"],
        ["event=Order Completed", "context.campaign.name=import"],
        None,
    )  # fmt: skip
    body = 'user id,when,total,n,ok,raw,day,rest,empty\n7,1577836800,12.50,3,yes,"{""a"":[1]}",31/12/2019,more,\n'
    (event,) = sent(ready(tmp_path, body, form="csv", shape=shape))
    assert re.fullmatch(r"import-[0-9a-f]{32}", event.pop("messageId"))
    assert event == {
        "userId": "7", "timestamp": "2020-01-01T00:00:00.000Z", "type": "track", "event": "Order Completed",
        "properties": {"order": {"total": 12.5}, "n": 3, "raw": {"a": [1]}, "day": "2019-12-31T00:00:00.000Z", "rest": "more"},
        "traits": {"ok": True}, "context": {"campaign": {"name": "import"}},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "value"),
    [("number", "abc"), ("number", "nan"), ("number", "1e999"), ("number", "1,5"), ("integer", "1.5"), ("boolean", "maybe"),
     ("json", "{"), ("time", "yesterday"), ("time(%d.%m.%Y)", "2020-01-01")],
)  # fmt: skip
def test_a_value_of_another_type_refuses_its_row_and_is_not_repeated(tmp_path, kind, value):
    shape = shape_asked([f"x=properties.x:{kind}"], [], None)
    body = f'userId,timestamp,event,x\nu,2020-01-01,E,"{value}"\nu,2020-01-01,E,\n'
    found = ready(tmp_path, body, form="csv", shape=shape)
    assert reasons(found) == [(1, "mapping_failed")]
    assert found[0].detail.startswith("x: is not ")
    assert value not in found[0].detail
    assert "properties" not in sent(found)[0]


def test_columns_that_are_named_like_fields_need_no_word(tmp_path):
    body = "userId,timestamp,event,properties.total,note\nu,2020-01-01,E,5,n\n"
    columns, _ = csv_header(io.BytesIO(body.encode()), ",")
    shape, unused = for_columns(Shape(), columns)
    assert unused == ["note"]
    (event,) = sent(ready(tmp_path, body, form="csv"))
    assert event["properties"] == {"total": "5"}
    assert {rule.source for rule in shape.rules} == {"userId", "timestamp", "event", "properties.total"}


@pytest.mark.parametrize(
    ("maps", "sets", "words"),
    [
        (["a=userid"], [], "userId"),
        (["a=properties.x:float"], [], "number"),
        (["a"], [], "no `=`"),
        (["=userId"], [], "no `=`"),
        ([], ["who=me"], "no field"),
    ],
)
def test_a_mapping_that_cannot_be_meant_is_refused_with_a_hint(maps, sets, words):
    with pytest.raises(Misconfigured, match=words):
        shape_asked(maps, sets, None)


def test_a_column_the_file_does_not_have_is_refused(tmp_path):
    with pytest.raises(Misconfigured, match="user_id"):
        for_columns(shape_of([("userid", "userId")], []), ["user_id", "when"])
    with pytest.raises(Misconfigured, match="no column is named"):
        for_columns(Shape(), ["a", "b"])


def test_a_mapping_may_be_kept_in_a_file(tmp_path):
    path = tmp_path / "map.yaml"
    path.write_text("format: 1\nmap:\n  user id: userId\n  when: timestamp\nset:\n  event: Done\n")
    (event,) = sent(ready(tmp_path, "user id,when\nu,2020-01-01\n", form="csv", shape=shape_asked([], [], path)))
    assert (event["userId"], event["event"]) == ("u", "Done")
    path.write_text("map: {a: userId}\nmapp: {}\n")
    with pytest.raises(Misconfigured, match="mapp"):
        shape_asked([], [], path)


def test_json_of_another_shape_is_mapped_by_paths(tmp_path):
    shape = shape_asked(["who.id=userId", "at=timestamp", "a.b=properties.b", "name=event"], [], None)
    found = ready(tmp_path, lines({"who": {"id": 7}, "at": 1577836800000, "a.b": 1, "name": "X"}), shape=shape)
    (event,) = sent(found)
    assert (event["userId"], event["timestamp"], event["properties"]) == (7, "2020-01-01T00:00:00.000Z", {"b": 1})


def test_two_columns_for_one_place_are_told():
    row = rows_module.Row(1, 1, {"a": "1", "b": "2"})
    _, wrong = shaped(shape_of([("a", "properties.x"), ("b", "properties.x.y")], []), row)
    assert wrong == "b: its place is taken by another column"


@pytest.mark.parametrize(
    ("name", "form", "delimiter", "between"),
    [("a.tsv", "", "", "\t"), ("a.csv", "", ";", ";"), ("-", "csv", "\\t", "\t")],
)
def test_what_stands_between_columns(name, form, delimiter, between):
    assert plan_asked(name, form, "s", Shape(), delimiter, undated=False).delimiter == between


def test_standard_input_says_what_it_holds():
    with pytest.raises(Misconfigured, match="--format"):
        plan_asked("-", "", "s", Shape(), "", undated=False)


# Events.


def test_a_row_that_is_an_event_is_sent_byte_for_byte(tmp_path):
    text = (
        '{ "type":"track","event":"E","userId":"u","timestamp":"2020-01-01","messageId":"m","properties":{"n":1.50} }'
    )
    (found,) = ready(tmp_path, text + "\n")
    assert found.body == text.encode()
    (found,) = ready(tmp_path, text.replace('"messageId":"m",', "") + "\n")
    assert found.body.startswith(b'{"messageId":"import-') and found.body.endswith(b'"properties":{"n":1.50} }')


def test_an_id_of_the_row_is_kept_and_rows_without_one_get_one_from_what_they_say(tmp_path):
    same = {**EVENT, "properties": {"b": 1, "a": 2}}
    again = {"properties": {"a": 2, "b": 1}, **EVENT}
    found = sent(ready(tmp_path, lines({**EVENT, "messageId": "mine"}, same, {**EVENT, "messageId": None}, again)))
    ids = [event["messageId"] for event in found]
    first = message_id(digest(same), 1)
    assert ids == ["mine", first, message_id(digest({**EVENT, "messageId": None}), 1), f"{first}-2"]
    # The same rows elsewhere, later and skipped: the same ids.
    later = sent(ready(tmp_path, lines(same, {"other": 1}, again), skip=2))
    assert [event["messageId"] for event in later] == [f"{first}-2"]


def test_csv_and_column_order_make_no_other_id(tmp_path):
    one = sent(ready(tmp_path, "userId,event,timestamp\nu,E,2020-01-01\n", form="csv"))
    two = sent(ready(tmp_path, "timestamp,userId,event,name\n2020-01-01,u,E,\n", form="csv"))
    assert one[0]["messageId"] == two[0]["messageId"]


def test_counts_hold_in_little_memory_and_leave_nothing_behind(tmp_path):
    with contextlib.closing(Counts(tmp_path / "counts")) as counts:
        assert [counts.count(key) for key in (b"a", b"b", b"a", b"a")] == [1, 1, 2, 3]
    assert list(tmp_path.iterdir()) == []


def test_what_the_house_could_not_read_stays_here_with_its_reason(tmp_path):
    body = lines(
        EVENT,
        {**EVENT, "userId": " "},
        {**EVENT, "event": ""},
        {**EVENT, "type": "trak"},
        {**EVENT, "properties": [1]},
        {**EVENT, "properties": {"x": "y" * 40_000}},
        {**EVENT, "timestamp": "yesterday"},
        {name: value for name, value in EVENT.items() if name != "timestamp"},
        {name: value for name, value in EVENT.items() if name != "type"},
    )
    found = ready(tmp_path, body)
    assert [reason for _, reason in reasons(found)] == [
        "identity_missing", "name_missing", "type_unknown", "event_unreadable", "event_too_large", "time_unreadable", "time_missing",
    ]  # fmt: skip
    assert len(sent(found)) == 2
    assert all(each.detail for each in found if each.reason)
    assert len(sent(ready(tmp_path, body, undated=True))) == 4


def test_the_family_of_the_source_says_how_it_is_read(tmp_path):
    merge = lines({"type": "merge", "userId": "u", "previousId": "p", "timestamp": "2020-01-01"})
    assert reasons(ready(tmp_path, merge, protocol="rudderstack")) == []
    assert reasons(ready(tmp_path, merge, protocol="segment")) == [(1, "type_unknown")]


def test_batches_fit_one_request(tmp_path):
    body = lines(*({**EVENT, "properties": {"n": n, "x": "y" * 900}} for n in range(1200)), *([1] * 30))
    work = Import(Plan(form="jsonl", source="s"), Limits(body_bytes=100_000), "auto", tmp_path / "counts")
    sizes = [(len(batch), sum(len(each.body) for each in batch)) for batch in work.ready(io.BytesIO(body.encode()))]
    assert sum(count for count, _ in sizes) == 1230
    assert all(size < 100_000 for _, size in sizes)
    few = Import(Plan(form="jsonl", source="s"), Limits(batch_events=7), "auto", tmp_path / "counts")
    assert max(len(batch) for batch in few.ready(io.BytesIO(lines(*[EVENT] * 50).encode()))) == 7


def test_almost_json_is_sent_as_json(tmp_path):
    (event,) = sent(
        ready(tmp_path, '{"type":"track","event":"E","userId":"u","timestamp":"2020-01-01","properties":{"n":NaN}}\n')
    )
    assert event["properties"] == {"n": None}


# The record.


def test_an_import_is_known_by_content_and_source(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(lines(EVENT))
    content = content_of(path, lambda _: None)
    with held(tmp_path / "imports", content, "web", "shape", again=False) as progress:
        progress.record.rows = 5
        progress.save(durably=True)
    with held(tmp_path / "imports", content, "web", "shape", again=False) as progress:
        assert progress.record.rows == 5
    with held(tmp_path / "imports", content, "other", "shape", again=False) as progress:
        assert progress.record.rows == 0
    with held(tmp_path / "imports", content, "web", "shape", again=True) as progress:
        assert progress.record.rows == 0


def test_one_process_at_a_time_and_one_shape_per_import(tmp_path):
    with held(tmp_path / "imports", "c", "web", "shape", again=False) as progress:
        progress.save(durably=True)
        with pytest.raises(Unavailable), held(tmp_path / "imports", "c", "web", "shape", again=False):
            pass
    with (
        pytest.raises(Misconfigured, match="another mapping"),
        held(tmp_path / "imports", "c", "web", "other", again=False),
    ):
        pass


def test_a_record_of_another_format_is_refused_in_words(tmp_path):
    with held(tmp_path / "imports", "c", "web", "shape", again=False) as progress:
        progress.save(durably=True)
    (path,) = (tmp_path / "imports").glob("*.json")
    path.write_text(path.read_text().replace('"format":1', '"format":2'))
    with (
        pytest.raises(Misconfigured, match="version of customhouse"),
        held(tmp_path / "imports", "c", "web", "shape", again=False),
    ):
        pass
    assert Record(content="c", source="web", shape="s").format == 1


def test_the_list_of_refused_rows_begins_where_the_record_stands(tmp_path):
    path = tmp_path / "x.refused.jsonl"
    path.write_text("somebody else's\n")
    bad = ready(tmp_path, "no\nnor this\n")
    with contextlib.closing(Refused(path, 0)) as refused:
        size = refused.add(bad[:1])
        assert refused.add(bad[1:]) > size
    assert (tmp_path / "x.refused.jsonl.old").read_text() == "somebody else's\n"
    with contextlib.closing(Refused(path, size)) as refused:
        refused.add(bad[1:])
    told = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["format"], line["row"], line["text"]) for line in told] == [(1, 1, "no"), (1, 2, "nor this")]
    assert path.stat().st_mode & 0o077 == 0


def test_a_disk_that_refuses_is_told_in_words(tmp_path):
    bad = ready(tmp_path, "no\n")
    with pytest.raises(Unavailable, match="cannot be written"):
        Refused(tmp_path / "no such folder" / "x.refused.jsonl", 0).add(bad)
    with held(tmp_path / "imports", "c", "web", "shape", again=False) as progress:
        (tmp_path / "imports").rename(tmp_path / "elsewhere")
        with pytest.raises(Unavailable, match="cannot be written"):
            progress.save()


def test_rows_that_are_settled_are_left_out(tmp_path):
    events = [{**EVENT, "properties": {"n": n}} for n in range(5)]
    assert [event["properties"]["n"] for event in sent(ready(tmp_path, lines(*events), skip=3))] == [3, 4]
    assert ready(tmp_path, lines(*events), skip=5) == []
