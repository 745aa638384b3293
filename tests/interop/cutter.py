"""A TCP proxy that cuts connections in the middle of a packet. It knows the full framing only.

Says where it is in a line of JSON, and answers each line on its standard input with another one:
how many connections and packets there were, and how many of them it has cut.
"""

import argparse
import asyncio
import contextlib
import json
import math
import random
import sys

# Of a connection for one call: the call, which has an old salt, the refusal, the call again, the
# acknowledgement of the refusal, the answer.
PACKETS = 5


class Cutter:
    def __init__(self, options):
        self.options = options
        self.counts = {"connections": 0, "packets": 0, "cuts": 0}

    async def run(self):
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        print(json.dumps({"addresses": [f"{host}:{port}"]}), flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(self.counts), flush=True)

    async def serve(self, client_reader, client_writer):
        # Its own generator, so that what becomes of the nth connection is the seed's choice alone.
        chance = random.Random(f"{self.options.seed}/{self.counts['connections']}")
        self.counts["connections"] += 1
        host, port = self.options.to.rsplit(":", 1)
        with contextlib.suppress(OSError):
            server_reader, server_writer = await asyncio.open_connection(host, int(port))
            fate = Fate(chance, self.options, self.counts)
            await first_of(
                fate.carry(client_reader, server_writer), fate.carry(server_reader, client_writer)
            )
            await close(server_writer)
        await close(client_writer)


class Fate:
    """Of one connection: after how many packets, both ways together, it is cut."""

    def __init__(self, chance, options, counts):
        self.chance = chance
        self.counts = counts
        if options.packets:
            # Each packet has the same chance.
            self.left = int(math.log(1 - chance.random()) / math.log(1 - options.packets))
        elif chance.random() < options.connections:
            self.left = chance.randrange(PACKETS)
        else:
            self.left = math.inf

    async def carry(self, reader, writer):
        """Returns once the connection has ended or is to be cut."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(4)
                packet = head + await reader.readexactly(int.from_bytes(head, "little") - 4)
                self.counts["packets"] += 1
                if self.left == 0:
                    self.counts["cuts"] += 1
                    # The other way ends too, but between its packets.
                    self.left = math.inf
                    writer.write(packet[: self.chance.randrange(1, len(packet))])
                    return
                self.left -= 1
                writer.write(packet)
                await writer.drain()


async def first_of(*carriers):
    tasks = [asyncio.create_task(carrier) for carrier in carriers]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def close(writer):
    """Sends what was written, then the end."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", required=True, metavar="HOST:PORT")
    parser.add_argument("--seed", required=True)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--packets", type=float, help="share of packets in which to cut")
    what.add_argument("--connections", type=float, help="share of connections to cut")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(Cutter(parse_arguments()).run())
