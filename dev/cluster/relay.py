"""Gives the API server the address that pods call it by. A program of its own: `relay.py ADDRESS PORT TARGET_PORT`.

Pods look for the API server at the first address of the services' network. There is no kube-proxy here, so what arrives
there is handed on to the API server on loopback, as it is: TLS is between the pod and the API server.
"""

import asyncio
import sys

_CHUNK = 1 << 16


async def listen(address: str, port: int, target_port: int) -> asyncio.Server:
    """A server that hands every connection on to `target_port` of 127.0.0.1. Raises OSError if it cannot listen."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target_reader, target_writer = await asyncio.open_connection("127.0.0.1", target_port)
        except OSError:
            # The API server is down: the pod sees its connection closed, and tries again.
            writer.close()
            return
        await asyncio.gather(_pump(reader, target_writer), _pump(target_reader, writer))
        target_writer.close()
        writer.close()

    return await asyncio.start_server(serve, address, port)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction, until its sender is done or one side is gone."""
    try:
        while part := await reader.read(_CHUNK):
            writer.write(part)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()


async def main(address: str, port: str, target_port: str) -> None:
    """Runs until the process is ended."""
    await (await listen(address, int(port), int(target_port))).serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
