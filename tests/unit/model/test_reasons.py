"""Words that stand in books, metrics and other people's dashboards. To add one, add its line to `reasons.frozen`."""

from pathlib import Path

from customhouse.model.reasons import REASONS

FROZEN = [tuple(line.split(" ")) for line in Path(__file__).with_name("reasons.frozen").read_text().splitlines()]


def test_no_word_vanishes_or_changes_its_kind():
    missing = [f"{kind} {word}" for kind, word in FROZEN if word not in REASONS or REASONS[word].kind != kind]
    assert missing == []


def test_every_word_is_frozen():
    frozen = {word for _, word in FROZEN}
    assert [word for word in REASONS if word not in frozen] == []


def test_no_word_is_listed_twice():
    assert len(FROZEN) == len({word for _, word in FROZEN})


def test_every_word_can_be_a_label_and_is_explained():
    for word, reason in REASONS.items():
        assert word == reason.word
        assert word.isidentifier() and word == word.lower()
        assert reason.meaning.endswith(".")
        assert reason.remedy.endswith(".")
