"""Books of py-clob-client-v2 through the gateway, one JSON object a line, every half second.

python py_clob_client.py HOST:PORT TOKEN...
"""

import json
import sys
import time

from py_clob_client_v2.client import ClobClient
from py_clob_client_v2.clob_types import BookParams

address, tokens = sys.argv[1], sys.argv[2:]
client = ClobClient(f"http://{address}", chain_id=137)
assert client.get_ok() == "OK" and client.get_version() == 2
assert abs(client.get_server_time() - time.time()) < 60
parameters = [BookParams(token_id=token) for token in tokens]


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
