"""Prints the books that kalshi-sdk keeps, as JSON, once a second: ADDRESS KEY TICKER..."""

import asyncio
import json
import sys

from kalshi.auth import KalshiAuth
from kalshi.config import KalshiConfig
from kalshi.ws.client import KalshiWebSocket

address, key, *tickers = sys.argv[1:]


def levels(side):
    return [[f"{price:f}", f"{size:f}"] for price, size in sorted(side.items())]


async def read(stream):
    async for _ in stream:
        pass


async def main():
    config = KalshiConfig(
        base_url=f"http://{address}/trade-api/v2",
        ws_base_url=f"ws://{address}/trade-api/ws/v2",
    )
    client = KalshiWebSocket(auth=KalshiAuth.from_key_path("any", key), config=config)
    async with client.connect() as session:
        stream = await session.subscribe_orderbook_delta(tickers=tickers, maxsize=1_000_000)
        reader = asyncio.create_task(read(stream))
        while not reader.done():
            await asyncio.sleep(1)
            books = session._orderbook_mgr._books
            shown = {t: {"yes": levels(b.yes), "no": levels(b.no)} for t, b in books.items()}
            print(json.dumps(shown), flush=True)
        await reader


asyncio.run(main())
