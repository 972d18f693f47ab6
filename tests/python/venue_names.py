"""Unmodified clients under the venues' own names, which this process finds at HOST:PORT.

SSL_CERT_FILE=authority.pem python venue_names.py HOST:PORT TOKEN KEY-ID KEY-FILE TICKER

Prints one JSON object: the ids of the books that each client has.
"""

import asyncio
import json
import socket
import ssl
import sys

import websockets
from kalshi.auth import KalshiAuth
from kalshi.config import KalshiConfig
from kalshi.ws.client import KalshiWebSocket
from py_clob_client_v2.client import ClobClient

address, token, key_id, key, ticker = sys.argv[1:]
host, port = address.split(":")
look_up = socket.getaddrinfo


def at_gateway(_name, _port, *rest, **named):
    return look_up(host, int(port), *rest, **named)


socket.getaddrinfo = at_gateway


async def market_channel():
    # What Python 3.13 demands of a certificate.
    context = ssl.create_default_context()
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    url = "wss://ws-subscriptions-clob.polymarket.com/ws/market"
    async with websockets.connect(url, ssl=context) as socket_:
        await socket_.send(json.dumps({"type": "market", "assets_ids": [token]}))
        return json.loads(await socket_.recv())[0]["asset_id"]


async def kalshi():
    auth = KalshiAuth.from_key_path(key_id, key)
    async with KalshiWebSocket(auth=auth, config=KalshiConfig()).connect() as session:
        stream = await session.subscribe_orderbook_delta(tickers=[ticker])
        async for _ in stream:
            return list(session._orderbook_mgr._books)


clob = ClobClient("https://clob.polymarket.com", chain_id=137)
shown = {"clob": clob.get_order_book(token)["asset_id"]}
shown["market_channel"] = asyncio.run(market_channel())
shown["kalshi"] = asyncio.run(kalshi())
print(json.dumps(shown), flush=True)
