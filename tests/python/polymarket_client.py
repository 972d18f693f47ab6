"""Books of polymarket-client through the gateway, one JSON object a line, every half second.

python polymarket_client.py HOST:PORT TOKEN...
"""

import asyncio
import dataclasses
import json
import sys

from polymarket.clients.async_public import AsyncPublicClient
from polymarket.environments import PRODUCTION, _create_environment
from polymarket.streams import MarketSpec

address, tokens = sys.argv[1], sys.argv[2:]
books = {}


def apply(event):
    payload = event.payload
    if event.type == "book":
        sides = {"BUY": payload.bids, "SELL": payload.asks}
        books[payload.asset_id] = {
            side: {str(level.price): str(level.size) for level in levels}
            for side, levels in sides.items()
        }
    elif event.type == "price_change":
        for change in payload.price_changes:
            levels = books[change.asset_id][change.side]
            if change.size:
                levels[str(change.price)] = str(change.size)
            else:
                levels.pop(str(change.price), None)


async def show():
    while True:
        await asyncio.sleep(0.5)
        print(json.dumps(books), flush=True)


async def main():
    config = dataclasses.replace(
        PRODUCTION._config,
        clob_url=f"http://{address}",
        clob_market_ws_url=f"ws://{address}/ws/market",
    )
    environment = _create_environment(name="gateway", config=config)
    async with AsyncPublicClient(environment) as client:
        printing = asyncio.create_task(show())
        async for event in await client.subscribe(MarketSpec(token_ids=tokens)):
            apply(event)
        await printing


asyncio.run(main())
