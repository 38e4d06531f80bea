"""
Persons as windows name them: by a keyed reference that tells the same person again, and tells nobody who it is.

A reference may stand in addresses, titles and logs; an id that a client sent may not. Only this workspace's key makes a
reference of an id, and nothing makes an id of a reference.
"""

import hmac
import re
from typing import Literal

PersonKind = Literal["user", "anonymous", "group"]
_REFERENCE = re.compile(r"p_[0-9a-f]{16}")
_BYTES = 8


class Persons:
    """Makes references, with the workspace's reference key."""

    def __init__(self, key: bytes) -> None:
        """Take the key; it is never shown."""
        self._key = key

    def reference(self, kind: PersonKind, person: str) -> str:
        """Return the reference of an id of a kind: `p_` and sixteen hexadecimal characters."""
        text = f"{kind}\0{person}".encode("utf-8", "surrogatepass")
        return f"p_{hmac.digest(self._key, text, 'sha256')[:_BYTES].hex()}"

    def references(self, typed: str) -> tuple[str, ...]:
        """Return what somebody may mean who typed this: a reference as it stands, or an id as user and as visitor."""
        text = typed.strip()
        if not text or _REFERENCE.fullmatch(text):
            return (text,) if text else ()
        return self.reference("user", text), self.reference("anonymous", text)


def known(text: str) -> tuple[str, ...]:
    """Return the references in an address (`p_…,p_…`), at most four; what is none is left out."""
    return tuple(part for part in text.split(",")[:4] if _REFERENCE.fullmatch(part))
