"""Replays a recorded day to kalshi-sdk and prints its books at the end, as JSON: ADDRESS KEY TICKER..."""

import asyncio
import json
import sys

from kalshi.auth import KalshiAuth
from kalshi.config import KalshiConfig
from kalshi.ws.client import KalshiWebSocket
from kalshi.ws.connection import ConnectionState

address, key, *tickers = sys.argv[1:]
config = KalshiConfig(
    base_url=f"http://{address}/trade-api/v2",
    # The range and the speed are part of the address; `from=` and `to=` too.
    ws_base_url=f"ws://{address}/trade-api/ws/v2?speed=max",
)


def levels(side):
    return [[f"{price:f}", f"{size:f}"] for price, size in sorted(side.items())]


async def read(stream):
    async for _ in stream:
        pass


async def main():
    ended = asyncio.Event()
    books = {}

    async def on_state_change(_, state):
        # The range has ended: close code 1000, on which the client would connect again for the same range.
        if state == ConnectionState.RECONNECTING and not ended.is_set():
            held = client._orderbook_mgr._books
            books.update({t: {"yes": levels(b.yes), "no": levels(b.no)} for t, b in held.items()})
            ended.set()

    auth = KalshiAuth.from_key_path("any", key)
    client = KalshiWebSocket(auth=auth, config=config, on_state_change=on_state_change)
    async with client.connect() as session:
        stream = await session.subscribe_orderbook_delta(tickers=tickers, maxsize=1_000_000)
        reader = asyncio.create_task(read(stream))
        await ended.wait()
        print(json.dumps(books), flush=True)
    await reader


asyncio.run(main())
