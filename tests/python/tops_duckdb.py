"""Stores best prices and queries them with DuckDB: tops_duckdb.py ws://HOST:PORT/v1/stream EVENTS TOKEN..."""
import json, sys
import duckdb
from websockets.sync.client import connect

URL, EVENTS, TOKENS = sys.argv[1], int(sys.argv[2]), sys.argv[3:]

with connect(URL + "?kinds=top&interval_ms=10", max_size=None) as socket, open("tops.ndjson", "w") as file:
    socket.send(json.dumps({"subscribe": TOKENS}))
    for _ in range(EVENTS):
        file.write(socket.recv() + "\n")

print(duckdb.sql("""
    WITH tops AS (
        SELECT token, state, make_timestamp_ns(receive_time) AS received,
               bid[1]::DECIMAL(18, 6) AS bid, ask[1]::DECIMAL(18, 6) AS ask
        FROM read_ndjson('tops.ndjson', columns = {kind: 'VARCHAR', token: 'VARCHAR', state: 'VARCHAR',
                         receive_time: 'BIGINT', bid: 'VARCHAR[]', ask: 'VARCHAR[]'})
        WHERE kind = 'top'
    )
    SELECT token, count(*) AS tops, avg(ask - bid) AS spread, max(received) AS newest
    FROM tops WHERE state = 'live' GROUP BY token ORDER BY token
"""))
