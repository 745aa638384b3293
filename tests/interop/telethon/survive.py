"""Calls in spite of trouble, by Telethon's MTProto layer. What it proves: ../README.md."""

import argparse
import asyncio
import collections
import json
import logging
import os
import random
import signal
import sys
import time

import demo
from telethon.crypto import AuthKey
from telethon.network import MTProtoSender

LOST_AFTER_SECONDS = 45
CONNECT_ATTEMPTS_MAX = 5
KEEPALIVE_SECONDS = 3
BATCH_SECONDS = 0.01
CLOCK_TOLERANCE_SECONDS = 2


class Clock:
    """This process's idea of the time, wrong by so many seconds.

    What Telethon's MTProto layer knows of the time it asks `time.time()`, anew each time: for the
    ids of messages, for the age of those it gets, and in the key exchange. `datetime.now()` is read
    by events about users only, of which there are none here; timers run on `time.monotonic()`,
    which a clock that is set does not move.
    """

    def __init__(self):
        self.ahead = 0
        right = time.time
        time.time = lambda: right() + self.ahead


class Troubles:
    """What went wrong, and was mended by Telethon alone."""

    def __init__(self):
        self.reconnects = 0
        # Bodies of calls, and how often each was without an answer when a connection broke.
        self.interrupted = collections.Counter()
        self.bad_salts = 0
        self.clock_corrections = 0
        self.unasked_answers = 0


class Sender(MTProtoSender):
    """Telethon's own, with its troubles counted."""

    def __init__(self, auth_key, troubles):
        super().__init__(auth_key, loggers=demo.Loggers(), updates_queue=asyncio.Queue())
        self.troubles = troubles

    async def _reconnect(self, last_error):
        self.troubles.reconnects += 1
        requests = (state.request for state in self._pending_state.values())
        calls = (request.body for request in requests if isinstance(request, demo.Call))
        self.troubles.interrupted.update(calls)
        await super()._reconnect(last_error)

    async def _handle_bad_server_salt(self, message):
        self.troubles.bad_salts += 1
        await super()._handle_bad_server_salt(message)

    async def _handle_rpc_result(self, message):
        self.troubles.unasked_answers += message.obj.req_msg_id not in self._pending_state
        await super()._handle_rpc_result(message)


class Client:
    def __init__(self, options):
        self.options = options
        self.clock = Clock()
        self.troubles = Troubles()
        self.random = random.Random(1)
        self.sender = None
        self.numbers = {}
        self.server_pid = options.server_pid
        self.kill_at = None
        self.kill = None
        demo.trust(options)

    async def run(self):
        keepalive = asyncio.create_task(self.keep_alive())
        calls, parts = self.options.calls, self.options.parts
        for part in range(parts):
            self.clock.ahead = self.options.clock[part % len(self.options.clock)]
            await self.make_calls(range(calls * part // parts + 1, calls * (part + 1) // parts + 1))
        keepalive.cancel()
        await self.sender.disconnect()

    async def make_calls(self, holders):
        """One part of them."""
        if not self.sender or self.options.new_senders:
            await self.renew_sender()
            offset = 0
        else:
            offset = self.sender._state.time_offset
        self.kill_at = holders[len(holders) // 2] if self.options.kills else None
        left = iter(holders)
        workers = min(self.options.workers, len(holders))
        await asyncio.gather(*(self.work(left) for _ in range(workers)))
        if self.kill:
            await self.kill
        corrected = self.sender._state.time_offset
        wrong = abs(corrected + self.clock.ahead)
        assert wrong <= CLOCK_TOLERANCE_SECONDS, f"the clock is still wrong by {wrong} s"
        self.troubles.clock_corrections += abs(corrected - offset) > CLOCK_TOLERANCE_SECONDS

    async def keep_alive(self):
        """Does what `TelegramClient._keepalive_loop` does every 60 s."""
        while True:
            await asyncio.sleep(KEEPALIVE_SECONDS)
            if self.sender and self.sender._transport_connected():
                self.sender._keepalive_ping(self.random.getrandbits(63))

    async def renew_sender(self):
        """A sender that has nothing of the last one but its key, as after a new start."""
        key = None
        if self.sender:
            key = AuthKey(bytes(self.sender.auth_key.key))
            await self.sender.disconnect()
        for _ in range(CONNECT_ATTEMPTS_MAX):
            self.sender = Sender(key, self.troubles)
            try:
                return await self.sender.connect(demo.connection_to(self.options))
            except asyncio.IncompleteReadError:
                # Cut in a key exchange, which Telethon leaves to the application.
                pass
        raise AssertionError(f"no connection in {CONNECT_ATTEMPTS_MAX} attempts")

    async def work(self, holders):
        for holder in holders:
            try:
                ticket = await asyncio.wait_for(
                    self.sender.send(demo.take(holder)), LOST_AFTER_SECONDS
                )
            except asyncio.TimeoutError:
                raise AssertionError(f"call {holder} is lost") from None
            assert ticket.holder == holder, f"call {holder} got the answer to {ticket.holder}"
            self.numbers[holder] = ticket.number
            if len(self.numbers) == self.kill_at:
                self.kill = asyncio.create_task(self.kill_server())
            await asyncio.sleep(self.random.uniform(0, 2 * self.options.pause))

    async def kill_server(self):
        """Just like that, while calls are being made; has it started again."""
        # Any moment between two batches of answers will do, but that in which one has just come.
        await asyncio.sleep(self.random.uniform(0, BATCH_SECONDS))
        os.kill(self.server_pid, signal.SIGKILL)
        print("killed", flush=True)
        self.server_pid = int(await asyncio.to_thread(sys.stdin.readline))


async def main():
    options = parse_arguments()
    client = Client(options)
    started = time.monotonic()
    await client.run()
    report = vars(client.troubles) | {
        "seconds": time.monotonic() - started,
        "interrupted": {
            demo.holder_of(body): times for body, times in client.troubles.interrupted.items()
        },
        "numbers": client.numbers,
    }
    print(json.dumps(report))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    demo.add_arguments(parser)
    parser.add_argument("--server-pid", type=int, help="what to kill")
    parser.add_argument("--workers", type=int, default=32, help="calls in flight at most")
    parser.add_argument("--pause", type=float, default=0, help="seconds a worker rests, on average")
    parser.add_argument("--parts", type=int, default=1, help="that the calls are divided into")
    parser.add_argument("--new-senders", action="store_true", help="one for each part")
    parser.add_argument("--kills", action="store_true", help="the server, in the middle of each")
    parser.add_argument(
        "--clock",
        type=lambda text: [int(seconds) for seconds in text.split(",")],
        default=[0],
        metavar="SECONDS,...",
        help="by how much it is ahead, in each part",
    )
    return parser.parse_args()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main())
