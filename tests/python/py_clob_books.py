"""Books of py-clob-client-v2 through the gateway, one JSON object a line, every half second.

python py_clob_books.py HOST:PORT TOKEN...
"""

import json
import sys
import time

from py_clob_client_v2.client import ClobClient
from py_clob_client_v2.clob_types import BookParams, PricesHistoryParams

address, tokens = sys.argv[1], sys.argv[2:]
client = ClobClient(f"http://{address}", chain_id=137)
assert client.get_ok() == "OK" and client.get_version() == 2
assert abs(client.get_server_time() - time.time()) < 60
parameters = [BookParams(token_id=token) for token in tokens]


page = client.get_markets()
while not page["data"]:
    time.sleep(0.2)
    page = client.get_markets()
assert page["next_cursor"] == "LTE=" and page["count"] == len(page["data"])
market = page["data"][0]
assert client.get_market(market["condition_id"])["question"] == market["question"]
assert client.get_simplified_markets()["data"][0]["condition_id"] == market["condition_id"]
assert client.get_sampling_markets()["next_cursor"] == "LTE="
assert client.get_sampling_simplified_markets()["next_cursor"] == "LTE="
assert "history" in client.get_prices_history(PricesHistoryParams(market=tokens[0], interval="1d"))
assert client.get_fee_rate_bps(tokens[0]) >= 0


def levels(side):
    return {level["price"]: level["size"] for level in side}


while True:
    time.sleep(0.5)
    books = [book for book in client.get_order_books(parameters) if "state" not in book]
    middles = client.get_midpoints(parameters)
    assert all(float(middle) < 1 for middle in middles.values())
    print(
        json.dumps({b["asset_id"]: {"BUY": levels(b["bids"]), "SELL": levels(b["asks"])} for b in books}),
        flush=True,
    )
