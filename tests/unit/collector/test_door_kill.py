import asyncio
import os
import re
import signal
import subprocess
import sys

import pytest
from loopback import Client, basic, on_loop, post, track

from customhouse.log.embedded import EmbeddedLog
from customhouse.model.frames import RECEIVED_TOPIC, decode_door

CHILD = """
import asyncio, sys
from pathlib import Path
import uvloop
from customhouse.collector.commit import Commit, Terms
from customhouse.collector.config import LimitsConfig, ListenConfig, SourceConfig
from customhouse.collector.door import Door
from customhouse.collector.serve import serve
from customhouse.collector.sources import Register
from customhouse.log.embedded import EmbeddedLog
from customhouse.protocols.segment import Segment

async def main():
    commit = Commit(EmbeddedLog(Path(sys.argv[1])), Terms())
    register = Register({"shop": SourceConfig(write_key="shop-key")}, LimitsConfig(), 1)
    door = Door((Segment(),), commit, register)
    await serve(ListenConfig(port=0), door, commit, asyncio.Event(), lambda port: print(port, flush=True))

uvloop.run(main())
"""


@pytest.mark.slow
def test_a_killed_door_has_kept_every_event_it_acknowledged(tmp_path):
    acknowledged = set()

    async def caller(port, name):
        client = await Client.to(port)
        for nth in range(1_000_000):
            id_ = f"{name}-{nth}"
            try:
                answer = await client.ask(post("/v1/track", track(messageId=id_), basic()))
            except (ConnectionError, asyncio.IncompleteReadError):
                break
            assert answer.status == 200
            acknowledged.add(id_)
        client.close()

    async def main(child, round_):
        port = int(await asyncio.to_thread(child.stdout.readline))
        callers = asyncio.gather(*(caller(port, f"{round_}-{nth}") for nth in range(8)))
        await asyncio.sleep(0.5)
        os.kill(child.pid, signal.SIGKILL)
        await callers

    for round_ in range(3):
        with subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as child:
            try:
                on_loop(main(child, round_))
            finally:
                child.kill()

    log = EmbeddedLog(tmp_path)
    frames = log.read(RECEIVED_TOPIC, 0, after=-1, limit=1 << 30)
    log.close()
    kept = set()
    for frame in frames:
        for envelope in decode_door(frame.body).envelopes:
            for letter in envelope.letters:
                kept.add(re.search(rb'"messageId": ?"([^"]+)"', letter.body)[1].decode())
    assert len(acknowledged) > 100
    assert acknowledged <= kept
