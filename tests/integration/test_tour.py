"""The tour is true: every command of every chapter is typed into a house of its own, and prints what the chapter shows."""

from pathlib import Path

import pytest
from tour import Reader, commands, settle_in

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((ROOT / "docs" / "tour").glob("*.md"))


@pytest.mark.parametrize("chapter", CHAPTERS, ids=[chapter.stem for chapter in CHAPTERS])
def test_chapter(chapter, tmp_path):
    settle_in(tmp_path, ROOT)
    with Reader(tmp_path) as reader:
        assert reader.follow(chapter.read_text()) > 5


def test_there_are_seven_chapters():
    assert len(CHAPTERS) == 7


def test_what_is_not_as_shown_is_noticed(tmp_path):
    (tmp_path / ".venv").mkdir()
    with Reader(tmp_path) as reader:
        assert reader.follow("```console\n$ A=1\n$ printf 'a   b\\nc'; echo $A\na b\n…\n```\n") == 2
        with pytest.raises(AssertionError, match="expected"):
            reader.follow("```console\n$ echo one\ntwo\n```\n")
        with pytest.raises(AssertionError, match="code 3"):
            reader.follow("```console\n$ exit 3\n```\n")


def test_several_lines_are_one_command():
    (command,) = commands("```console\n$ cat <<END\n> a\n> END\na\n```\n")
    assert command.text == "cat <<END\na\nEND" and command.came("a\n") and not command.came("b\n")
