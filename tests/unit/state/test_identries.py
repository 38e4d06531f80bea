import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from customhouse.model.errors import Broken
from customhouse.state.identries import NOBODY, TOP_POSITION, Entries, claim, owner, pack, strongest, unpack

POSITIONS = st.integers(0, TOP_POSITION)
ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 2), st.integers(0, NOBODY), st.integers(0, 9))
)


def columns(rows):
    table = [list(column) for column in zip(*rows, strict=True)] or [[]] * 5
    keys = np.array([table[1], table[2]], np.uint64).T.reshape(-1, 2)
    return Entries(np.array(table[0], np.int64), keys, np.array(table[3], np.uint64), np.array(table[4], np.uint64))


def rows_of(entries):
    return [
        (int(day), *key.tolist(), int(word), int(fingerprint))
        for day, key, word, fingerprint in zip(*entries, strict=True)
    ]


@given(POSITIONS, st.booleans())
def test_a_claim_tells_who_made_it(position, quarantined):
    assert owner(claim(position, quarantined=quarantined)) == (position, quarantined)


@given(POSITIONS, POSITIONS)
def test_the_stronger_claim_is_the_smaller_word(one, other):
    earlier, later = sorted((one, other))
    assert claim(earlier, quarantined=False) <= claim(later, quarantined=False)
    assert claim(later, quarantined=True) <= claim(earlier, quarantined=True)
    assert claim(one, quarantined=False) < claim(other, quarantined=True) < NOBODY


@given(ROWS)
def test_what_is_packed_is_unpacked(rows):
    assert rows_of(unpack(pack(columns(rows)))) == rows


def test_an_entry_takes_36_bytes():
    assert len(pack(columns([(1, 2, 3, 4, 5)] * 100))) - len(pack(columns([]))) == 3600


@pytest.mark.parametrize(
    "spoil", [lambda b: b[:-1], lambda b: b"IDS" + b[3:], lambda b: b[:3] + b"\x02" + b[4:], lambda _: b""]
)
def test_what_is_spoilt_is_refused(spoil):
    with pytest.raises(Broken):
        unpack(spoil(pack(columns([(1, 2, 3, 4, 5)]))))


@given(ROWS)
def test_of_each_day_and_key_the_strongest_stays(rows):
    best = {}
    for *which, word, fingerprint in rows:
        best[tuple(which)] = min(best.get(tuple(which), (word, fingerprint)), (word, fingerprint))
    assert sorted(rows_of(strongest(columns(rows)))) == sorted((*which, *claimed) for which, claimed in best.items())
