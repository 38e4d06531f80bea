"""
The peer of the door: uvicorn with a bare ASGI handler that reads the body and says yes. No auth, no decode, no disk.

    python -m bench.peer [N]    as a destination: every Nth request is answered 503
"""

import socket
import sys
from itertools import count

import uvicorn

_EVERY = int(sys.argv[1]) if len(sys.argv) > 1 else 0
_numbers = count(1)


async def handler(scope, receive, send):
    """Answer one request."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"16")]
    status = 503 if _EVERY and next(_numbers) % _EVERY == 0 else 200
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"success":true}'})


def main() -> None:
    """Serve on a free port and say which."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        handler, loop="uvloop", http="httptools", access_log=False, log_level="error", lifespan="off"
    )
    print(listening.getsockname()[1], flush=True)
    uvicorn.Server(config).run([listening])
    sys.exit(0)


if __name__ == "__main__":
    main()
