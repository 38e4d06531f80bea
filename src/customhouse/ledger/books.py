"""
The books as they are kept: one counter per source, hour and move from account to account.

Each owner process posts into its own state in the transaction that settles the batch; readers add the states up. Flows
are kept, not balances: a balance is a sum of flows, and the flows also say how many passed each station.
"""

from collections.abc import Iterable

from customhouse.model.contracts import State, Transaction
from customhouse.model.posting import Posting

TABLE = "books"
_SEPARATOR = "\x1f"


def post(transaction: Transaction, postings: Iterable[Posting]) -> None:
    """Enter postings into the books of the state whose transaction this is."""
    for p in postings:
        key = _SEPARATOR.join((p.moved_from, p.moved_to, p.source, str(p.hour)))
        transaction.add(TABLE, key.encode(), p.count)


def flows(*states: State) -> list[Posting]:
    """Return everything ever posted into these states, summed per source, hour and move."""
    sums: dict[bytes, int] = {}
    for state in states:
        for key, count in state.counters(TABLE).items():
            sums[key] = sums.get(key, 0) + count
    found = []
    for key, count in sorted(sums.items()):
        moved_from, moved_to, source, hour = key.decode().split(_SEPARATOR)
        found.append(Posting(source, int(hour), moved_from, moved_to, count))
    return found


def balances(postings: Iterable[Posting]) -> dict[str, int]:
    """Return the balance of every account: what moved in less what moved out. They sum to zero."""
    accounts: dict[str, int] = {}
    for p in postings:
        accounts[p.moved_from] = accounts.get(p.moved_from, 0) - p.count
        accounts[p.moved_to] = accounts.get(p.moved_to, 0) + p.count
    return accounts
