"""schema/demo.tl and the connections, as Telethon has them."""

import asyncio
import logging
import struct

from telethon.crypto import rsa
from telethon.network import connection
from telethon.network.connection.http import HttpPacketCodec
from telethon.tl.alltlobjects import tlobjects
from telethon.tl.tlobject import TLObject, TLRequest
from telethon.tl.types import Updates


class Text(TLObject):
    CONSTRUCTOR_ID = 0xE84244AB

    def __init__(self, text):
        self.text = text

    @classmethod
    def from_reader(cls, reader):
        return cls(reader.tgread_string())


class Done(TLObject):
    CONSTRUCTOR_ID = 0x68EDE0D4

    @classmethod
    def from_reader(cls, reader):
        return cls()


class Tick(TLObject):
    """Passed off as an update, because Telethon hands on no other push."""

    CONSTRUCTOR_ID = 0x225122F0
    SUBCLASS_OF_ID = Updates.SUBCLASS_OF_ID

    def __init__(self, number, count):
        self.number = number
        self.count = count

    @classmethod
    def from_reader(cls, reader):
        return cls(reader.read_int(), reader.read_int())


class Ticket(TLObject):
    CONSTRUCTOR_ID = 0xD5C316EE

    def __init__(self, holder, number):
        self.holder = holder
        self.number = number

    @classmethod
    def from_reader(cls, reader):
        return cls(reader.read_long(), reader.read_int())


tlobjects.update((kind.CONSTRUCTOR_ID, kind) for kind in (Text, Done, Tick, Ticket))


class Call(TLRequest):
    """A function given by its bytes."""

    def __init__(self, constructor, arguments=b""):
        self.body = struct.pack("<I", constructor) + arguments

    def _bytes(self):
        return self.body


def echo(text):
    return Call(0xA5526C53, TLObject.serialize_bytes(text))


def fail(code, text):
    return Call(0x3799DF25, struct.pack("<i", code) + TLObject.serialize_bytes(text))


def subscribe(count, interval_ms):
    return Call(0xA88FAD9C, struct.pack("<ii", count, interval_ms))


def take(holder):
    return Call(0xEA0A666E, struct.pack("<q", holder))


def holder_of(take_body):
    return struct.unpack("<Iq", take_body)[1]


def unknown():
    return Call(0xBAD0C0DE)


class Loggers(dict):
    def __missing__(self, name):
        return logging.getLogger(name)


class HttpCodec(HttpPacketCodec):
    """Telethon's, except that it reads: that one takes any line for the last and cut off.

    It wants Content-Length as the last header, as that one does.
    """

    async def read_packet(self, reader):
        while line := await reader.readline():
            if line.lower().startswith(b"content-length: "):
                await reader.readexactly(len(b"\r\n"))
                return await reader.readexactly(int(line.split()[1]))
        raise asyncio.IncompleteReadError(line, None)


class ConnectionHttp(connection.ConnectionHttp):
    packet_codec = HttpCodec


CONNECTIONS = {
    "full": connection.ConnectionTcpFull,
    "abridged": connection.ConnectionTcpAbridged,
    "intermediate": connection.ConnectionTcpIntermediate,
    "obfuscated-abridged": connection.ConnectionTcpObfuscated,
    "http": ConnectionHttp,
    "secret-abridged": connection.ConnectionTcpMTProxyAbridged,
    "secret-intermediate": connection.ConnectionTcpMTProxyIntermediate,
    "secret-padded": connection.ConnectionTcpMTProxyRandomizedIntermediate,
}


def add_arguments(parser):
    """Says where the server is and how it is reached."""
    parser.add_argument("--address", required=True, metavar="HOST:PORT")
    parser.add_argument("--key", required=True, help="the server's public key, PKCS#1 PEM")
    parser.add_argument("--transport", choices=CONNECTIONS, required=True)
    parser.add_argument("--secret", help="a proxy secret, in hex")
    parser.add_argument("--calls", type=int, default=1000)


def trust(options):
    with open(options.key, encoding="ascii") as key:
        rsa.add_key(key.read(), old=False)


def connection_to(options):
    host, port = options.address.rsplit(":", 1)
    proxy = (host, int(port), options.secret) if options.secret else None
    kind = CONNECTIONS[options.transport]
    return kind(host, int(port), 2, loggers=Loggers(), proxy=proxy)
