"""A relay as one writes it with `websockets`: one connection to the venue, every message to the clients of its market.

Arguments: port, venue's WebSocket URL, file with one token per line.
"""

import asyncio
import json
import sys

import websockets
from websockets.asyncio.server import serve

port, venue, tokens = int(sys.argv[1]), sys.argv[2], open(sys.argv[3]).read().split()
subscribers = {token: set() for token in tokens}
books = {}


async def follow():
    async with websockets.connect(venue, max_size=None, compression=None) as upstream:
        for first in range(0, len(tokens), 400):
            message = {"type": "market", "assets_ids": tokens[first : first + 400]}
            if first:
                message = {"operation": "subscribe", "assets_ids": tokens[first : first + 400]}
            await upstream.send(json.dumps(message))
        async for text in upstream:
            events = json.loads(text)
            for event in events if isinstance(events, list) else [events]:
                if event.get("event_type") == "book":
                    books[event["asset_id"]] = event
                    named = [event["asset_id"]]
                else:
                    named = [change["asset_id"] for change in event.get("price_changes", [])]
                clients = set().union(*(subscribers.get(token, set()) for token in named)) if named else set()
                websockets.broadcast(clients, text if not isinstance(events, list) else json.dumps(event))


async def client(connection):
    try:
        async for text in connection:
            wanted = json.loads(text)["assets_ids"]
            for token in wanted:
                subscribers.setdefault(token, set()).add(connection)
            await connection.send(json.dumps([books[token] for token in wanted if token in books]))
    except websockets.ConnectionClosed:
        pass
    finally:
        for members in subscribers.values():
            members.discard(connection)


async def main():
    async with serve(client, "127.0.0.1", port, compression=None, max_size=None):
        await follow()


asyncio.run(main())
