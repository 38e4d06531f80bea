"""Jobs: asked in one process, carried out in another, and nobody is the worse for a disk that takes no answer."""

import json

import pytest

from customhouse.model.errors import Unavailable
from customhouse.state.jobs import Answer, Jobs


def put(folder, verb):
    path = folder / f"0001-{verb}.job"
    path.write_text(json.dumps({"id": path.stem, "verb": verb, "arguments": {}, "format": 1}))
    return path


def test_a_job_is_done_once_and_answered(tmp_path):
    jobs, done = Jobs(tmp_path), []
    put(tmp_path, "replay")

    def perform(job):
        done.append(job.verb)
        return Answer(ok=True, message="done")

    assert [jobs.carry_out(perform), jobs.carry_out(perform)] == [1, 0]
    assert done == ["replay"]
    assert json.loads((tmp_path / "0001-replay.answer").read_text())["message"] == "done"


def test_a_job_whose_answer_cannot_be_written_stays(tmp_path):
    jobs, done = Jobs(tmp_path), []
    path = put(tmp_path, "replay")
    obstacle = path.with_suffix(".partial")
    obstacle.mkdir()

    def perform(job):
        done.append(job.verb)
        return Answer(ok=True, message="done")

    with pytest.raises(Unavailable, match="cannot be written"):
        jobs.carry_out(perform)
    assert path.exists()
    obstacle.rmdir()
    assert jobs.carry_out(perform) == 1
    assert not path.exists()


def test_every_job_leaves_a_line_that_names_counts_and_no_ids(tmp_path):
    jobs = Jobs(tmp_path)
    job = {"id": "1", "verb": "replay", "arguments": {"ids": ["a1b2", "c3d4"], "lane": "hook"}, "asked_by": "console"}
    (tmp_path / "1.job").write_text(json.dumps({**job, "format": 1}))
    jobs.carry_out(lambda _: Answer(ok=True, message="done", details={"done": 2, "ids": ["a1b2"]}))
    (line,) = jobs.audit(10)
    assert (line.verb, line.asked_by, line.about, line.details) == (
        "replay", "console", {"ids": 2, "lane": "hook"}, {"done": 2},
    )  # fmt: skip
    assert "a1b2" not in (tmp_path / "audit.jsonl").read_text()


def test_the_audit_is_read_from_its_end_and_survives_half_a_line(tmp_path):
    jobs = Jobs(tmp_path)
    for number in range(30):
        put(tmp_path, f"reload{number:02d}")
        jobs.carry_out(lambda _: Answer(ok=True, message="done"))
    with (tmp_path / "audit.jsonl").open("ab") as file:
        file.write(b'{"at": 1, "ve')
    assert [line.verb for line in jobs.audit(4)] == ["reload29", "reload28", "reload27"]
