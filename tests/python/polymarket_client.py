"""Books of polymarket-client through the gateway, one JSON object a line, every half second.

python polymarket_client.py HOST:PORT TOKEN...

GAMMA in the environment is HOST:PORT of the catalog; its markets and events are read first.
"""

import asyncio
import dataclasses
import json
import os
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


async def read_catalog(client):
    markets = []
    while not markets:
        await asyncio.sleep(0.2)
        pages = client.list_markets(clob_token_ids=tokens[:2])
        markets = [market async for market in pages.iter_items()]
    market = markets[0]
    assert market.outcomes.yes.token_id == tokens[0] and market.state.active, market
    assert (await client.get_market(slug=market.slug)).id == market.id
    events = [event async for event in client.list_events().iter_items()]
    listed = {one.condition_id for event in events for one in event.markets}
    assert market.condition_id in listed, events
    assert (await client.get_event(id=market.events[0].id)).title == market.events[0].title


async def main():
    config = dataclasses.replace(
        PRODUCTION._config,
        clob_url=f"http://{address}",
        gamma_url=f"http://{os.environ['GAMMA']}",
        clob_market_ws_url=f"ws://{address}/ws/market",
    )
    environment = _create_environment(name="gateway", config=config)
    async with AsyncPublicClient(environment) as client:
        await read_catalog(client)
        printing = asyncio.create_task(show())
        async for event in await client.subscribe(MarketSpec(token_ids=tokens)):
            apply(event)
        await printing


asyncio.run(main())
