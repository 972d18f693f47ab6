"""Opens the catalog of `ringbook export --to nautilus`: nautilus_catalog.py FOLDER INSTRUMENT LOCAL_NS... Prints, as
JSON, the book of nautilus at each of these times, the trades, and what a strategy has seen and bought in a backtest."""
import json
import sys

from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.config import BacktestEngineConfig, LoggingConfig
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.enums import (
    AccountType,
    AggressorSide,
    BookType,
    OmsType,
    OrderSide,
    RecordFlag,
    TimeInForce,
)
from nautilus_trader.model.objects import Money, Quantity
from nautilus_trader.persistence.catalog import ParquetDataCatalog
from nautilus_trader.trading.strategy import Strategy

folder, name, times = sys.argv[1], sys.argv[2], [int(time) for time in sys.argv[3:]]
catalog = ParquetDataCatalog(folder)
assert len(catalog.instruments()) == 2
(instrument,) = catalog.instruments(instrument_ids=[name])
assert (instrument.price_precision, instrument.size_precision) == (6, 6)
deltas = catalog.order_book_deltas(instrument_ids=[name])
assert [delta.ts_init for delta in deltas] == sorted(delta.ts_init for delta in deltas)


def book(time):
    """The book of the deltas until then, whose last one ends an event."""
    book, until = OrderBook(instrument.id, BookType.L2_MBP), [delta for delta in deltas if delta.ts_init <= time]
    for delta in until:
        book.apply_delta(delta)
    assert until[-1].flags & RecordFlag.F_LAST
    sides = book.bids(), book.asks()
    return [sorted([float(level.price), level.size()] for level in side) for side in sides]


class Buyer(Strategy):
    """Counts what comes, and buys one at the first ask."""

    def __init__(self):
        super().__init__()
        self.seen = {"deltas": 0, "trades": 0, "bought": []}
        self.has_ordered = False

    def on_start(self):
        self.subscribe_order_book_deltas(instrument.id, book_type=BookType.L2_MBP)
        self.subscribe_trade_ticks(instrument.id)

    def on_order_book_deltas(self, deltas):
        self.seen["deltas"] += len(deltas.deltas)
        ask = self.cache.order_book(instrument.id).best_ask_price()
        if ask is None or self.has_ordered or not deltas.deltas[-1].flags & RecordFlag.F_LAST:
            return
        self.has_ordered = True
        one = Quantity(1, instrument.size_precision)
        side, now = OrderSide.BUY, TimeInForce.IOC
        self.submit_order(self.order_factory.limit(instrument.id, side, one, ask, time_in_force=now))

    def on_trade_tick(self, _tick):
        self.seen["trades"] += 1

    def on_order_filled(self, fill):
        self.seen["bought"].append([float(fill.last_px), float(fill.last_qty)])


def backtest():
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(log_level="ERROR")))
    cash = [Money(1_000, instrument.quote_currency)]
    venue, book = instrument.id.venue, BookType.L2_MBP
    engine.add_venue(venue, OmsType.NETTING, AccountType.CASH, cash, book_type=book)
    engine.add_instrument(instrument)
    engine.add_data(deltas)
    engine.add_data(catalog.trade_ticks(instrument_ids=[name]))
    buyer = Buyer()
    engine.add_strategy(buyer)
    engine.run()
    engine.dispose()
    return buyer.seen


sides = {AggressorSide.BUYER: "buy", AggressorSide.SELLER: "sell"}
trades = [
    [float(trade.price), float(trade.size), sides[trade.aggressor_side]]
    for trade in catalog.trade_ticks(instrument_ids=[name])
]
books = {"local": [book(time) for time in times]}
print(json.dumps({"nautilus": {"books": books, "trades": trades, "backtest": backtest()}}))
