"""Drives Telethon's MTProto layer. What a client program is asked and answers: ../README.md."""

import argparse
import asyncio
import json
import logging
import sys
import time

import demo
from telethon.crypto import AuthKey
from telethon.errors import MethodInvalidError, RPCError
from telethon.network import MTProtoSender, authenticator
from telethon.tl.functions import PingRequest

BATCH = 100
TICKS = 3
LONG_TEXT = "mtproto " * 8192


class Client:
    def __init__(self, options):
        self.options = options
        self.exchanges = 0
        self.pushes = asyncio.Queue()
        self.exchange = authenticator.do_authentication
        authenticator.do_authentication = self.count_exchange
        demo.trust(options)

    async def count_exchange(self, plain_sender):
        self.exchanges += 1
        return await self.exchange(plain_sender)

    async def connect(self, auth_key):
        sender = MTProtoSender(auth_key, loggers=demo.Loggers(), updates_queue=self.pushes)
        await sender.connect(demo.connection_to(self.options))
        return sender

    async def take_pushes(self, sender):
        """The numbers of the pushes, in the order in which they came."""
        # Over HTTP they come in answers, and Telethon never asks for one: its client's pings do.
        while self.options.transport == "http" and self.pushes.qsize() < TICKS:
            await sender.send(PingRequest(4711))
        return [(await self.pushes.get()).number for _ in range(TICKS)]


async def main():
    options = parse_arguments()
    client = Client(options)
    started = time.monotonic()
    sender = await client.connect(None)
    report = {"exchange_ms": elapsed_ms(started)}

    started = time.monotonic()
    pong = await sender.send(PingRequest(4711))
    assert pong.ping_id == 4711, f"pong carries {pong.ping_id}"
    report["ping_ms"] = elapsed_ms(started)

    await expect_error(sender, demo.fail(418, "TEAPOT"), 418, "TEAPOT")
    await expect_error(sender, demo.unknown(), 400, "METHOD_INVALID")

    started = time.monotonic()
    for number in range(options.calls):
        await echo(sender, f"call {number}")
    report["calls_ms"] = elapsed_ms(started)
    await echo(sender, LONG_TEXT)
    await asyncio.gather(*(echo(sender, f"together {number}") for number in range(BATCH)))

    await sender.send(demo.subscribe(TICKS, interval_ms=10))
    pushed = await client.take_pushes(sender)
    assert pushed == list(range(1, TICKS + 1)), f"pushes {pushed}"
    report["pushes"] = len(pushed)

    stored = bytes(sender.auth_key.key)
    print("restart", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await echo(sender, "the same sender after the restart")
    assert sender.auth_key.key == stored, "the key changed by itself"
    await sender.disconnect()
    sender = await client.connect(AuthKey(stored))
    await echo(sender, "a new sender with the stored key")
    assert sender.auth_key.key == stored, "the stored key was replaced"
    assert client.exchanges == 1, f"{client.exchanges} key exchanges"
    await sender.disconnect()
    print(json.dumps(report))


async def echo(sender, text):
    answer = await sender.send(demo.echo(text))
    assert answer.text == text, f"{text[:40]!r} came back as {answer.text[:40]!r}"


async def expect_error(sender, call, code, text):
    try:
        answer = await sender.send(call)
        raise AssertionError(f"{text} was not answered, but {answer}")
    except RPCError as error:
        assert error.code == code, f"{text} came with {error.code}"
        assert isinstance(error, MethodInvalidError) or error.message == text, f"{error}"


def elapsed_ms(started):
    return (time.monotonic() - started) * 1000


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    demo.add_arguments(parser)
    return parser.parse_args()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main())
