"""
Batches to the door of the running house, as any client sends them: one after the other, so that order is kept.

The door may be busy, draining, or start again; then the same batch is sent once more, and the message ids see to it
that nothing counts twice.
"""

import base64
import http.client
import time
from collections.abc import Callable

import msgspec
from msgspec import Struct

from customhouse.app.process import announcement
from customhouse.app.workspace import Workspace
from customhouse.model.errors import Misconfigured, Problem, Unavailable
from customhouse.model.secret import Secret

_PATH = "/v1/import"
_ANSWER_SECONDS = 60.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_LONGEST_WAIT = 60.0
"""Seconds: a longer Retry-After is not waited out in one piece."""
_ANSWER_BYTES = 64 * 1024


class _Refusal(Struct):
    code: str = ""
    message: str = ""


class Door:
    """The import route of one source. `patience` is how many seconds it may say no, or not answer, in one go."""

    def __init__(
        self, workspace: Workspace, host: str, key: Secret, *, patience: float, waiting: Callable[[str], None]
    ) -> None:
        """Send nothing yet. `waiting` is told why, each time there is a pause."""
        self._workspace = workspace
        self._host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 -- read, not bound
        self._authorization = "Basic " + base64.b64encode(f"{key.reveal()}:".encode()).decode()
        self._patience = patience
        self._waiting = waiting
        self._connection: http.client.HTTPConnection | None = None

    def send(self, body: bytes) -> None:
        """
        Send one batch until it is acknowledged.

        Raises Unavailable when that took longer than patience has, Misconfigured when it will never be.
        """
        until, pause = time.monotonic() + self._patience, _FIRST_PAUSE
        while True:
            why, after = self._try(body)
            if not why:
                return
            wait = min(after if after is not None else pause, _LONGEST_WAIT)
            if time.monotonic() + wait > until:
                raise Unavailable(f"{why}; run the same command again, and it goes on where it stopped")
            self._waiting(why)
            time.sleep(wait)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _try(self, body: bytes) -> tuple[str, float | None]:
        """Send once; return why it did not work, and how long the door wants to be left alone."""
        try:
            if self._connection is None:
                self._connection = self._connect()
            headers = {"Content-Type": "application/json", "Authorization": self._authorization}
            self._connection.request("POST", _PATH, body=body, headers=headers)
            response = self._connection.getresponse()
            answer = response.read(_ANSWER_BYTES)
        except Unavailable as error:
            return str(error), None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return f"the door does not answer ({type(error).__name__})", None
        if response.status == http.client.OK:
            return "", None
        self.close()
        if response.status in {408, 429} or response.status >= 500:
            return f"the door said {response.status} ({_said(answer).code or 'busy'})", _seconds(response)
        said = _said(answer)
        message = f"the door refused the batch with {response.status}: {said.message or said.code or 'no reason given'}"
        raise Misconfigured([Problem(_PATH, message, "mend that, and run the same command again")])

    def _connect(self) -> http.client.HTTPConnection:
        said = announcement(self._workspace, "collector")
        if said is None:
            raise Unavailable("the house is closed; start it with `customhouse run`")
        return http.client.HTTPConnection(self._host, said.port, timeout=_ANSWER_SECONDS)


def _said(answer: bytes) -> _Refusal:
    try:
        return msgspec.json.decode(answer, type=_Refusal)
    except msgspec.MsgspecError:
        return _Refusal()


def _seconds(response: http.client.HTTPResponse) -> float | None:
    text = response.headers.get("Retry-After", "").strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 9 else None
