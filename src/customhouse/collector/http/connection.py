"""
One client's connection: questions in, answers out in the same order, nothing without a bound or a deadline.

Pipelining, back-pressure in both directions and an orderly end are what a server adds to a parser; they are here.
"""

import asyncio
import logging
from collections import deque
from typing import Protocol, cast

import httptools

from customhouse.collector.http import answers
from customhouse.collector.http.arrival import Arrival, Stop
from customhouse.collector.http.host import Answer, Commons
from customhouse.model.http import Reply, Request

_logger = logging.getLogger(__name__)
_LINGER = 5.0
"""Seconds a connection that was refused stays open for reading, so that the client sees the answer, not a reset."""


class _Turn:
    """One request's place in the order of answers."""

    __slots__ = ("connection", "head", "line", "lingers", "reply")

    def __init__(self, connection: "Connection", line: str) -> None:
        self.connection = connection
        self.line = line
        """The Connection header of the answer."""
        self.head = False
        self.lingers = False
        self.reply: Reply | None = None

    def __call__(self, reply: Reply | None) -> None:
        """Take the answer when it is there; None is a fault of our own."""
        if reply is None:
            _logger.error("a request failed after it was handed over")
            self.line = answers.CLOSE
        self.reply = reply or answers.INTERNAL
        self.connection.flush()


class Owner(Protocol):
    """Who keeps the connections."""

    def joined(self, connection: "Connection") -> bool:
        """Take note of a connection; False when there is no room for it."""

    def lost(self, connection: "Connection") -> None:
        """Forget a connection."""


class Connection(Arrival, asyncio.Protocol):
    """One client: the request now arriving, and the queue of those not yet answered."""

    __slots__ = ("_blocked", "_charged", "_continue", "_deadline", "_deaf", "_owner", "_still", "_transport", "_turns")

    def __init__(self, commons: Commons, owner: Owner) -> None:
        """Wait to be connected."""
        super().__init__(commons)
        self._owner = owner
        self._turns: deque[_Turn] = deque()
        self._transport: asyncio.Transport | None = None
        self._deadline = commons.now + commons.listen.header_timeout
        self._blocked = False
        """The client does not read its answers."""
        self._still = False
        """Nothing is read from the client."""
        self._deaf = False
        """Nothing more that the client says will be answered."""
        self._continue = False
        """The client waits to be told to send its body."""
        self._charged = 0
        """Bytes of the arriving body that are booked with the commons."""

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many already."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) else ""
        if not self._owner.joined(self):
            self._transport.write(answers.render(answers.TOO_MANY_CONNECTIONS, self._commons.date, answers.CLOSE))
            self._close(linger=False)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (the transport's signature)
        """Forget everything. Answers that are still to come find nobody and are dropped; what they speak of is kept."""
        self._transport = None
        del self._parser  # it holds our methods: without this, each connection would wait for the cycle collector
        self._turns.clear()
        self._charge(0)
        self._owner.lost(self)

    def data_received(self, data: bytes) -> None:
        """Parse what came. Whole requests are handed over from inside the parser's callbacks."""
        if self._deaf:
            return
        self._span += len(data)
        self._complete = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._end(answers.UPGRADE_REFUSED)
        except httptools.HttpParserError as error:
            cause = error.__context__
            if cause is not None and not isinstance(cause, Stop):
                _logger.exception("a request failed while it was read", exc_info=cause)
            self._end(cause.reply if isinstance(cause, Stop) else answers.MALFORMED)
        if self._complete:
            self._span = 0
        elif not self._deaf:
            self._expect_more(first=self._span == len(data))

    def eof_received(self) -> bool:
        """Stay for answers under way when the client only closed its own side."""
        if self._turns:
            self._deaf = True
            self._turns[-1].line = answers.CLOSE
        return bool(self._turns)

    def pause_writing(self) -> None:
        """Read no more from a client that does not read its answers."""
        self._blocked = True
        self._deadline = self._commons.now + self._commons.listen.write_timeout
        self._pace()

    def resume_writing(self) -> None:
        """Go on."""
        self._blocked = False
        self._deadline = self._commons.now + self._commons.listen.idle_timeout
        self._pace()

    # What becomes of requests.

    def take(self, request: Request, line: str) -> None:
        """Hand a whole request over, and take its answer when its turn comes."""
        self._continue = False
        if self._deaf:
            return
        if self._charged:
            self._charge(0)
        turn = _Turn(self, line)
        turn.head = request.method == "HEAD"
        self._turns.append(turn)
        if line == answers.CLOSE:
            self._deaf = True
        answer: Answer
        try:
            answer = self._commons.host.handle(request)
        except Exception:
            _logger.exception("a request failed")
            answer, turn.line = answers.INTERNAL, answers.CLOSE
        if isinstance(answer, Reply):
            turn.reply = answer
            self.flush()
        else:
            answer.then(turn)
            if len(self._turns) >= self._commons.listen.pipeline_depth:
                self._pace()

    def expected(self) -> None:
        """Ask for the body the client holds back, once everything before it has been answered."""
        self._continue = True
        if not self._turns and self._transport is not None:
            self._continue = False
            self._transport.write(answers.CONTINUE)

    # Bounds on what has not arrived yet.

    def _expect_more(self, *, first: bool) -> None:
        """Give the rest of a request a deadline and a bound."""
        commons, listen = self._commons, self._commons.listen
        if not self._head_done:
            if self._span > listen.header_bytes:
                self._end(answers.HEADERS_TOO_LARGE)
            elif first:
                self._deadline = commons.now + listen.header_timeout
            return
        if not self._charged:
            self._deadline = commons.now + listen.body_timeout
        self._charge(self._size + 1)
        if commons.buffered > listen.buffered_bytes:
            self._end(self.refusal("too_busy"))
        elif self._span > 2 * self._limit + listen.header_bytes:  # chunks of next to nothing
            self._end(self.refusal("body_too_large"))

    def _charge(self, size: int) -> None:
        self._commons.buffered += size - self._charged
        self._charged = size

    def _pace(self) -> None:
        """Stop or go on reading, as answers come off the queue and out of the buffer."""
        still = self._blocked or len(self._turns) >= self._commons.listen.pipeline_depth
        if self._transport is None or still is self._still or self._transport.is_closing():
            return
        self._still = still
        if still:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # Answers, and the end.

    def flush(self) -> None:
        """Write every answer whose turn it is."""
        turns, transport, commons = self._turns, self._transport, self._commons
        if transport is None or transport.is_closing():
            return
        while turns and (reply := turns[0].reply) is not None:
            turn = turns.popleft()
            if commons.draining and not turns and not self._url:
                turn.line = answers.CLOSE
            transport.write(answers.render(reply, commons.date, turn.line, head=turn.head))
            if turn.line == answers.CLOSE:
                self._close(linger=turn.lingers)
                return
        self._deadline = commons.now + (commons.listen.write_timeout if self._blocked else commons.listen.idle_timeout)
        if self._still:
            self._pace()
        if self._continue:
            self.expected()

    def _end(self, reply: Reply) -> None:
        """Answer with a fault after everything that was asked before, then close: what follows cannot be trusted."""
        if self._deaf:
            return
        self._deaf = True
        self._charge(0)
        turn = _Turn(self, answers.CLOSE)
        turn.head = self._head_done and self._parser.get_method() == b"HEAD"
        turn.lingers = True
        turn.reply = reply
        self._turns.append(turn)
        self.flush()

    def _close(self, *, linger: bool) -> None:
        self._deaf = True
        self._turns.clear()
        if self._transport is None:
            return
        if linger and self._transport.can_write_eof():
            self._transport.write_eof()
            self._deadline = self._commons.now + min(_LINGER, self._commons.listen.write_timeout)
        else:
            self._transport.close()

    def cut(self) -> None:
        """End at once."""
        if self._transport is not None:
            self._transport.abort()

    def drain(self) -> None:
        """Close when nothing is under way; otherwise the last answer closes."""
        if self._transport is not None and not (self._turns or self._span or self._url):
            self._transport.close()

    def sweep(self, now: float) -> None:
        """Hold the connection to its deadline."""
        if now < self._deadline:
            return
        if self._blocked or (self._deaf and not self._turns):
            self.cut()
        elif self._turns:
            self._deadline = now + self._commons.listen.idle_timeout  # it waits for us, not we for it
        elif self._span:
            self._end(answers.TIMED_OUT)
        elif self._transport is not None:
            self._deadline = now + self._commons.listen.write_timeout
            self._close(linger=False)  # from here on deaf: should the client not read what is left, it is cut next time
