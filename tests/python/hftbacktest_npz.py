"""Opens a file of `ringbook export --to hftbacktest`: hftbacktest_npz.py FILE LOCAL_NS... Prints, as JSON, the book of
each reader at each of these times, and the trades of NumPy's rows."""
import json
import sys

import numpy

file, times = sys.argv[1], [int(time) for time in sys.argv[2:]]
TICK = 0.001
EXCHANGE, LOCAL, BUY, SELL = (1 << bit for bit in (31, 30, 29, 28))
# Not that of the package, so that it need not be there.
EVENT = numpy.dtype(
    [("ev", "u8"), ("exch_ts", "i8"), ("local_ts", "i8"), ("px", "f8"), ("qty", "f8"), ("order_id", "u8"),
     ("ival", "i8"), ("fval", "f8")], align=True
)
rows = numpy.load(file)["data"]


def with_numpy():
    assert rows.dtype == EVENT, rows.dtype
    for flag, column in ((EXCHANGE, "exch_ts"), (LOCAL, "local_ts")):
        assert (numpy.diff(rows[column][rows["ev"] & flag > 0]) >= 0).all(), column
    assert (rows["exch_ts"] <= rows["local_ts"]).all()
    assert (rows["ev"][0] & 0xff, rows["ev"][0] & (EXCHANGE | LOCAL)) == (3, EXCHANGE | LOCAL)
    return {"books": {side: [book(time, *of) for time in times] for side, of in SIDES.items()}, "trades": trades()}


SIDES = {"local": (LOCAL, "local_ts"), "exchange": (EXCHANGE, "exch_ts")}


def book(time, flag, column):
    """The book of the events that one side has processed."""
    levels = {BUY: {}, SELL: {}}
    for row in rows[(rows["ev"] & flag > 0) & (rows[column] <= time)]:
        kind, side = int(row["ev"]) & 0xff, int(row["ev"]) & (BUY | SELL)
        if kind == 3:
            levels = {BUY: {}, SELL: {}}
        elif kind in (1, 4):
            levels[side][float(row["px"])] = float(row["qty"])
    return [sorted([price, size] for price, size in of.items() if size > 0) for of in levels.values()]


def trades():
    return [
        [float(row["px"]), float(row["qty"]), "buy" if row["ev"] & BUY else "sell"]
        for row in rows[(rows["ev"] & 0xff == 2) & (rows["ev"] & LOCAL > 0)]
    ]


def with_hftbacktest():
    from hftbacktest import BacktestAsset, HashMapMarketDepthBacktest, event_dtype
    from hftbacktest.data.validation import validate_event_order

    assert rows.dtype == event_dtype
    validate_event_order(rows)
    asset = (
        BacktestAsset().data([file]).linear_asset(1.0).constant_order_latency(0, 0).risk_adverse_queue_model()
        .no_partial_fill_exchange().trading_value_fee_model(0, 0).tick_size(TICK).lot_size(0.000001)
    )
    test = HashMapMarketDepthBacktest([asset])
    depth = test.depth(0)
    # Until then it has no time.
    test.elapse(1)
    books = []
    for time in times:
        # It stands still at the end of the data.
        test.elapse(time - test.current_timestamp)
        books.append([
            [[round(tick * TICK, 6), round(size, 6)] for tick in range(1, 1000) if (size := at(tick)) > 0]
            for at in (depth.bid_qty_at_tick, depth.ask_qty_at_tick)
        ])
    test.close()
    return {"books": {"local": books}}


results = {}
for reader in (with_numpy, with_hftbacktest):
    try:
        results[reader.__name__[5:]] = reader()
    except ImportError as error:
        print(f"{reader.__name__[5:]}: {error}", file=sys.stderr)
print(json.dumps(results))
