"""Prints the books that kalshi-sdk keeps, as JSON, once a second: ADDRESS KEY TICKER..."""

import asyncio
import json
import sys

from kalshi import KalshiClient
from kalshi.auth import KalshiAuth
from kalshi.config import KalshiConfig
from kalshi.ws.client import KalshiWebSocket

address, key, *tickers = sys.argv[1:]


def levels(side):
    return [[f"{price:f}", f"{size:f}"] for price, size in sorted(side.items())]


def read_catalog(config, auth):
    """Markets and events over REST; every model of the package is strict."""
    with KalshiClient(auth=auth, config=config) as client:
        markets = list(client.markets.list_all(tickers=tickers, limit=2))
        assert {market.ticker for market in markets} == set(tickers), markets
        market = client.markets.get(tickers[0])
        assert market.status == "active" and market.yes_bid <= market.yes_ask, market
        events = list(client.events.list_all(with_nested_markets=True))
        listed = {market.ticker for event in events for market in event.markets}
        assert set(tickers) <= listed, listed


async def read(stream):
    async for _ in stream:
        pass


async def main():
    config = KalshiConfig(
        base_url=f"http://{address}/trade-api/v2",
        ws_base_url=f"ws://{address}/trade-api/ws/v2",
    )
    auth = KalshiAuth.from_key_path("any", key)
    read_catalog(config, auth)
    client = KalshiWebSocket(auth=auth, config=config)
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
