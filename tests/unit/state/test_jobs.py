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
