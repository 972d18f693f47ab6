"""Prints each spread of at least a cent of a live book: strategy.py ws://HOST:PORT/v1/stream TOKEN..."""
import asyncio, json, sys
from decimal import Decimal
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

URL, TOKENS = sys.argv[1], sys.argv[2:]
books, last = {}, {}  # by token: sides, price -> size; number of the last event

def on_event(event):
    token = event.get("token")
    if event.get("reason") in ("slow_client", "gap"):
        books.pop(token, None)  # until the next snapshot
    if event["kind"] == "snapshot":
        books[token] = {"bids": {}, "asks": {}}
    if book := books.get(token):
        last[token] = event["sequence"]
        for side in book:
            for price, size in event.get(side, ()):
                book[side][Decimal(price)] = size
                if size == "0":
                    del book[side][Decimal(price)]
        if event["state"] == "live" and book["bids"] and book["asks"]:
            bid, ask = max(book["bids"]), min(book["asks"])
            if ask - bid >= Decimal("0.01"):
                print(token, bid, ask, ask - bid, flush=True)

async def main():
    async for socket in connect(URL + "?kinds=change", max_size=None):  # again when it is lost
        resume = {token: last[token] + 1 for token in books}
        await socket.send(json.dumps({"resume": resume, "subscribe": [t for t in TOKENS if t not in books]}))
        try:
            async for text in socket:
                on_event(json.loads(text))
        except ConnectionClosed as error:
            print("lost:", error, file=sys.stderr)
            await asyncio.sleep(1)

asyncio.run(main())
