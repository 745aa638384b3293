"""Drives Telethon's MTProto layer. What a client program is asked and answers: ../README.md."""

import argparse
import asyncio
import json
import logging
import struct
import sys
import time

from telethon.crypto import AuthKey, rsa
from telethon.errors import MethodInvalidError, RPCError
from telethon.network import MTProtoSender, authenticator, connection
from telethon.tl.alltlobjects import tlobjects
from telethon.tl.functions import PingRequest
from telethon.tl.tlobject import TLObject, TLRequest
from telethon.tl.types import Updates

BATCH = 100
TICKS = 3
LONG_TEXT = "mtproto " * 8192


class DemoText(TLObject):
    CONSTRUCTOR_ID = 0xE84244AB

    def __init__(self, text):
        self.text = text

    @classmethod
    def from_reader(cls, reader):
        return cls(reader.tgread_string())


class DemoDone(TLObject):
    CONSTRUCTOR_ID = 0x68EDE0D4

    @classmethod
    def from_reader(cls, reader):
        return cls()


class DemoTick(TLObject):
    """Passed off as an update, because Telethon hands on no other push."""

    CONSTRUCTOR_ID = 0x225122F0
    SUBCLASS_OF_ID = Updates.SUBCLASS_OF_ID

    def __init__(self, number, count):
        self.number = number
        self.count = count

    @classmethod
    def from_reader(cls, reader):
        return cls(reader.read_int(), reader.read_int())


class Call(TLRequest):
    """A function given by its bytes."""

    def __init__(self, constructor, arguments=b""):
        self.body = struct.pack("<I", constructor) + arguments

    def _bytes(self):
        return self.body


def demo_echo(text):
    return Call(0xA5526C53, TLObject.serialize_bytes(text))


def demo_fail(code, text):
    return Call(0x3799DF25, struct.pack("<i", code) + TLObject.serialize_bytes(text))


def demo_subscribe(count, interval_ms):
    return Call(0xA88FAD9C, struct.pack("<ii", count, interval_ms))


def unknown():
    return Call(0xBAD0C0DE)


class Loggers(dict):
    def __missing__(self, name):
        return logging.getLogger(name)


class Client:
    def __init__(self, options):
        self.options = options
        self.exchanges = 0
        self.pushes = asyncio.Queue()
        self.exchange = authenticator.do_authentication
        authenticator.do_authentication = self.count_exchange
        tlobjects.update((kind.CONSTRUCTOR_ID, kind) for kind in (DemoText, DemoDone, DemoTick))
        with open(options.key, encoding="ascii") as key:
            rsa.add_key(key.read(), old=False)

    async def count_exchange(self, plain_sender):
        self.exchanges += 1
        return await self.exchange(plain_sender)

    async def connect(self, auth_key):
        sender = MTProtoSender(auth_key, loggers=Loggers(), updates_queue=self.pushes)
        await sender.connect(self.connection())
        return sender

    def connection(self):
        host, port = self.options.address.rsplit(":", 1)
        proxy = (host, int(port), self.options.secret) if self.options.secret else None
        kind = CONNECTIONS[self.options.transport]
        return kind(host, int(port), 2, loggers=Loggers(), proxy=proxy)


CONNECTIONS = {
    "full": connection.ConnectionTcpFull,
    "abridged": connection.ConnectionTcpAbridged,
    "intermediate": connection.ConnectionTcpIntermediate,
    "obfuscated-abridged": connection.ConnectionTcpObfuscated,
    "secret-padded": connection.ConnectionTcpMTProxyRandomizedIntermediate,
}


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

    await expect_error(sender, demo_fail(418, "TEAPOT"), 418, "TEAPOT")
    await expect_error(sender, unknown(), 400, "METHOD_INVALID")

    started = time.monotonic()
    for number in range(options.calls):
        await echo(sender, f"call {number}")
    report["calls_ms"] = elapsed_ms(started)
    await echo(sender, LONG_TEXT)
    await asyncio.gather(*(echo(sender, f"together {number}") for number in range(BATCH)))

    await sender.send(demo_subscribe(TICKS, interval_ms=10))
    pushed = [(await client.pushes.get()).number for _ in range(TICKS)]
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
    answer = await sender.send(demo_echo(text))
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
    parser.add_argument("--address", required=True, metavar="HOST:PORT")
    parser.add_argument("--key", required=True, help="the server's public key, PKCS#1 PEM")
    parser.add_argument("--transport", choices=CONNECTIONS, required=True)
    parser.add_argument("--secret", help="32 hex digits")
    parser.add_argument("--calls", type=int, default=1000)
    return parser.parse_args()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main())
