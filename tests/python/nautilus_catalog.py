"""Opens the catalog of `ringbook export --to nautilus`: nautilus_catalog.py FOLDER INSTRUMENT LOCAL_NS... Prints, as
JSON, the book of nautilus at each of these times, and the trades."""
import json
import sys

from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.enums import AggressorSide, BookType, RecordFlag
from nautilus_trader.persistence.catalog import ParquetDataCatalog

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


sides = {AggressorSide.BUYER: "buy", AggressorSide.SELLER: "sell"}
trades = [
    [float(trade.price), float(trade.size), sides[trade.aggressor_side]]
    for trade in catalog.trade_ticks(instrument_ids=[name])
]
books = {"local": [book(time) for time in times]}
print(json.dumps({"nautilus": {"books": books, "trades": trades}}))
