"""
Who may look: sessions for people who typed the password, a token for programs, and a proof that a form is ours.

Nothing is kept: a session is its own proof, signed with a key that changes with the password. Roles come with their own
room; until then whoever is let in may do everything.
"""

import hashlib
import hmac
import time
from collections.abc import Callable

from starlette.requests import HTTPConnection

from customhouse.model.secret import Secret

SESSION = "customhouse_session"
FORM = "customhouse_form"
"""Cookies: who is in, and what a form's proof is made from."""
SESSION_SECONDS = 12 * 3600
_FREE_TRIES = 5
_LONGEST_REST = 60.0


class Access:
    """The door of the console. `key` is the workspace's own secret; sessions outlive a restart with it."""

    def __init__(
        self, key: bytes, password: Secret | None, token: Secret | None, clock: Callable[[], float] = time.time
    ) -> None:
        """Open to everybody who can reach the port when there is neither password nor token."""
        self._password = password.reveal().encode() if password else None
        self._token = token.reveal().encode() if token else None
        self._key = hmac.digest(key, b"console-session\0" + (self._password or b""), "sha256")
        self._clock = clock
        self._failures = 0
        self._rest_until = 0.0

    @property
    def guarded(self) -> bool:
        """Tell whether one has to say who one is."""
        return self._password is not None or self._token is not None

    @property
    def takes_password(self) -> bool:
        """Tell whether people can get in at all."""
        return self._password is not None

    def inside(self, connection: HTTPConnection) -> bool:
        """Tell whether a request may see the house."""
        if not self.guarded:
            return True
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        if self._token is not None and scheme.lower() == "bearer":
            return hmac.compare_digest(token.strip().encode("utf-8", "replace"), self._token)
        return self._valid(connection.cookies.get(SESSION, ""))

    def enter(self, password: str) -> str | None:
        """Return a session for the right password, None for a wrong one or while too many were wrong."""
        now = self._clock()
        if self._password is None or now < self._rest_until:
            return None
        if not hmac.compare_digest(password.encode("utf-8", "replace"), self._password):
            self._failures += 1
            if self._failures >= _FREE_TRIES:
                self._rest_until = now + min(2.0 ** (self._failures - _FREE_TRIES), _LONGEST_REST)
            return None
        self._failures = 0
        until = f"{int(now) + SESSION_SECONDS}"
        return f"{until}.{self._sign('session', until)}"

    def resting(self) -> int:
        """Return for how many seconds no password is looked at."""
        return max(0, round(self._rest_until - self._clock() + 0.5)) if self._rest_until > self._clock() else 0

    def proof(self, cookie: str) -> str:
        """Return what a form must carry to be ours: only a page that knows the cookie's signature has it."""
        return self._sign("form", cookie)

    def proven(self, cookie: str, proof: str) -> bool:
        """Tell whether a form came from a page of ours."""
        return bool(cookie) and hmac.compare_digest(proof.encode("utf-8", "replace"), self.proof(cookie).encode())

    def _valid(self, session: str) -> bool:
        until, _, signature = session.partition(".")
        if not until.isdigit() or len(until) > 12 or int(until) < self._clock():
            return False
        return hmac.compare_digest(signature.encode("utf-8", "replace"), self._sign("session", until).encode())

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose}\0{text}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()
