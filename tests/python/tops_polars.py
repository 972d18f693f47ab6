"""Best prices in polars while they arrive: tops_polars.py ws://HOST:PORT/v1/stream BATCHES TOKEN..."""
import json, sys
import polars as pl
from websockets.sync.client import connect

URL, BATCHES, TOKENS = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
ROWS = 50  # rows of a batch
SCHEMA = {"token": pl.String, "receive_time": pl.Int64, "state": pl.String, "bid": pl.String, "ask": pl.String}
PRICE = pl.Decimal(18, 6)  # exact

def row(event):
    best = [side and side[0] for side in (event["bid"], event["ask"])]
    return [event["token"], event["receive_time"], event["state"], *best]

tops = pl.DataFrame(schema=SCHEMA)
with connect(URL + "?kinds=top&interval_ms=10", max_size=None) as socket:
    socket.send(json.dumps({"subscribe": TOKENS}))
    for _ in range(BATCHES):
        events = []
        while len(events) < ROWS:
            event = json.loads(socket.recv())
            if event["kind"] == "error":
                sys.exit(event["error"])
            if event["kind"] == "top":
                events.append(event)
        tops.extend(pl.DataFrame([row(event) for event in events], SCHEMA, orient="row"))
        live = tops.filter(pl.col("state") == "live").with_columns(
            pl.from_epoch("receive_time", time_unit="ns"),
            (pl.col("ask").cast(PRICE) - pl.col("bid").cast(PRICE)).alias("spread"),
        )
        spreads = live.group_by("token").agg(pl.len(), pl.col("spread").mean(), pl.col("receive_time").max())
        print(spreads, flush=True)
tops.write_parquet("tops.parquet")
