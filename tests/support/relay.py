#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""relay.py PORT DELAY_MS: relays TCP connections to PORT on 127.0.0.1, each byte delayed by
DELAY_MS in either direction. Says "listening on N" on stdout; ends at SIGTERM."""
import asyncio
import collections
import sys


async def pump(reader, writer, delay_s):
    """Reading and writing go on side by side: the delay must not bound the rate."""
    loop = asyncio.get_running_loop()
    queue, arrived = collections.deque(), asyncio.Event()

    async def drain():
        while True:
            while not queue:
                arrived.clear()
                await arrived.wait()
            due, data = queue.popleft()
            await asyncio.sleep(max(0, due - loop.time()))
            if not data:
                writer.close()
                return
            writer.write(data)
            await writer.drain()

    drainer = asyncio.ensure_future(drain())
    try:
        data = None
        while data != b"":
            data = await reader.read(65536)
            queue.append((loop.time() + delay_s, data))
            arrived.set()
        await drainer
    except ConnectionError:
        drainer.cancel()
        writer.close()


async def main():
    port, delay_s = int(sys.argv[1]), int(sys.argv[2]) / 1000

    async def accepted(reader, writer):
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(
            pump(reader, to_writer, delay_s), pump(to_reader, writer, delay_s)
        )

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    print("listening on", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
