"""Opens the files of `ringbook export --to tardis-csv` with programs that read such files:
tardis_csv.py FOLDER EXCHANGE DATE SYMBOL. Prints, as JSON, the last book of each reader and the number of trades."""
import gzip
import json
import sys

folder, exchange, date, symbol = sys.argv[1:]


def path(kind):
    return f"{folder}/{exchange}_{kind}_{date}_{symbol}.csv.gz"


def with_polars():
    import polars

    rows = polars.read_csv(path("incremental_book_L2"), schema_overrides={"symbol": polars.String})
    quotes = polars.read_csv(path("quotes"), schema_overrides={"symbol": polars.String})
    trades = polars.read_csv(path("trades"), schema_overrides={"symbol": polars.String})
    book = {"bid": {}, "ask": {}}
    was_snapshot = False
    for row in rows.iter_rows(named=True):
        if row["is_snapshot"] and not was_snapshot:
            book = {"bid": {}, "ask": {}}
        was_snapshot = row["is_snapshot"]
        book[row["side"]][row["price"]] = row["amount"]
        if row["amount"] == 0:
            del book[row["side"]][row["price"]]
    last = quotes.row(-1, named=True)
    return {
        "bids": sorted(book["bid"].items()),
        "asks": sorted(book["ask"].items()),
        "quote": [last["bid_price"], last["ask_price"]],
        "trades": [trades["price"].to_list(), trades["amount"].to_list()],
    }


def with_nautilus():
    from nautilus_trader.adapters.tardis.loaders import TardisCSVDataLoader
    from nautilus_trader.model.book import OrderBook
    from nautilus_trader.model.enums import BookType
    from nautilus_trader.model.identifiers import InstrumentId

    # It reads only files that name one of the exchanges of Tardis, whatever instrument they are read for.
    known = {}
    for kind in ("incremental_book_L2", "trades", "quotes"):
        known[kind] = f"{folder}/kraken_{kind}.csv"
        with gzip.open(path(kind), "rt") as rows, open(known[kind], "w") as copy:
            copy.writelines(row.replace(exchange, "kraken", 1) for row in rows)
    name = InstrumentId.from_str(f"{symbol}.{exchange.upper()}")
    loader = TardisCSVDataLoader(price_precision=6, size_precision=6, instrument_id=name)
    book = OrderBook(name, BookType.L2_MBP)
    for delta in loader.load_deltas(known["incremental_book_L2"]):
        book.apply_delta(delta)
    levels = lambda side: sorted((float(level.price), level.size()) for level in side)
    trades = loader.load_trades(known["trades"])
    quote = loader.load_quotes(known["quotes"])[-1]
    return {
        "bids": levels(book.bids()),
        "asks": levels(book.asks()),
        "quote": [float(quote.bid_price), float(quote.ask_price)],
        "trades": [[float(trade.price) for trade in trades], [float(trade.size) for trade in trades]],
    }


def with_hftbacktest():
    from hftbacktest import BacktestAsset, ROIVectorMarketDepthBacktest
    from hftbacktest.data.utils import tardis

    files = [path("trades"), path("incremental_book_L2")]
    data = tardis.convert(files, buffer_size=1_000_000, ss_buffer_size=10_000)
    asset = (
        BacktestAsset().data(data).linear_asset(1.0).constant_order_latency(0, 0).risk_adverse_queue_model()
        .no_partial_fill_exchange().trading_value_fee_model(0, 0).tick_size(0.001).lot_size(0.000001)
        .roi_lb(0.0).roi_ub(1.0)
    )
    test = ROIVectorMarketDepthBacktest([asset])
    # Some years: to the end of the data.
    test.elapse(10**18 * 4)
    depth = test.depth(0)
    sides = []
    for levels in (depth.bid_depth, depth.ask_depth):
        found = [(round(n * 0.001, 6), round(float(size), 6)) for n, size in enumerate(levels) if size > 0]
        sides.append(found)
    return {"bids": sides[0], "asks": sides[1], "quote": [depth.best_bid, depth.best_ask]}


results = {}
for reader in (with_polars, with_nautilus, with_hftbacktest):
    try:
        results[reader.__name__[5:]] = reader()
    except ImportError as error:
        print(f"{reader.__name__[5:]}: {error}", file=sys.stderr)
print(json.dumps(results))
