"""Frames to books in Python: msgspec, orjson and nautilus_trader, by the file and the rules of `peers-decode`.

    pip install msgspec orjson "nautilus_trader[polymarket]==1.221.0"
    peers-decode --file FILE --rounds 0 --books-out books.json
    python python_books.py FILE --books books.json [--core 1] [--changes-only] [--rounds 5] [--only msgspec,orjson]

Books of `msgspec` and `orjson` are a dict a side, price to size as floats: no order, no best price, no time, no hash.
nautilus_trader has its own schemas, values and books. A way whose books differ gets no figures. CPU time of the
thread, median and range of the rounds; the garbage collector is off while they run.
"""

import argparse
import gc
import json
import os
import statistics
import time

import msgspec
import orjson


class Level(msgspec.Struct, gc=False):
    price: float
    size: float


class Change(msgspec.Struct, gc=False):
    asset_id: str
    price: float
    size: float
    side: str


class Book(msgspec.Struct, tag="book", tag_field="event_type", gc=False):
    asset_id: str
    bids: list[Level]
    asks: list[Level]


class Changes(msgspec.Struct, tag="price_change", tag_field="event_type", gc=False):
    price_changes: list[Change]


class Trade(msgspec.Struct, tag="last_trade_price", tag_field="event_type", gc=False):
    asset_id: str


class TickSize(msgspec.Struct, tag="tick_size_change", tag_field="event_type", gc=False):
    asset_id: str


class Msgspec:
    """Typed structs of the fields that books need; numbers are made of their texts by the decoder."""

    def __init__(self):
        message = Book | Changes | Trade | TickSize
        # Not strict: a float may come as a text.
        self.decode = msgspec.json.Decoder(list[Book] | message, strict=False).decode
        self.sides = {}

    def feed(self, frames):
        sides, decode = self.sides, self.decode
        for frame in frames:
            message = decode(frame)
            if type(message) is Changes:
                for change in message.price_changes:
                    side = sides[change.asset_id][change.side != "BUY"]
                    if change.size:
                        side[change.price] = change.size
                    else:
                        side.pop(change.price, None)
                continue
            for book in message if type(message) is list else (message,):
                if type(book) is Book:
                    sides[book.asset_id] = tuple(
                        {level.price: level.size for level in side} for side in (book.bids, book.asks)
                    )

    def books(self):
        return {token: [units(side.items()) for side in sides] for token, sides in self.sides.items()}


class Orjson(Msgspec):
    """Dicts of every field; numbers by `float`."""

    def __init__(self):
        self.sides = {}

    def feed(self, frames):
        sides, decode = self.sides, orjson.loads
        for frame in frames:
            message = decode(frame)
            if type(message) is dict and message["event_type"] == "price_change":
                for change in message["price_changes"]:
                    side, size = sides[change["asset_id"]][change["side"] != "BUY"], float(change["size"])
                    if size:
                        side[float(change["price"])] = size
                    else:
                        side.pop(float(change["price"]), None)
                continue
            for book in message if type(message) is list else (message,):
                if book["event_type"] == "book":
                    sides[book["asset_id"]] = tuple(
                        {float(level["price"]): float(level["size"]) for level in side}
                        for side in (book["bids"], book["asks"])
                    )


class Nautilus:
    """Its messages, deltas and `OrderBook`, in the order of its data client, without clock reads, quotes and events."""

    def __init__(self):
        from nautilus_trader.adapters.polymarket.common.enums import PolymarketOrderSide
        from nautilus_trader.adapters.polymarket.common.symbol import get_polymarket_instrument_id
        from nautilus_trader.adapters.polymarket.schemas import book
        from nautilus_trader.adapters.polymarket.websocket.types import MARKET_WS_MESSAGE
        from nautilus_trader.core.datetime import millis_to_nanos
        from nautilus_trader.model import book as books, currencies, data, enums, identifiers, instruments, objects

        def instrument(instrument_id):
            price, size = objects.Price.from_str("0.001"), objects.Quantity.from_str("0.000001")
            return instruments.BinaryOption(
                instrument_id=instrument_id, raw_symbol=identifiers.Symbol("T"), outcome="Yes", description=None,
                asset_class=enums.AssetClass.ALTERNATIVE, currency=currencies.USDC_POS,
                price_increment=price, price_precision=3, size_increment=size, size_precision=6,
                activation_ns=0, expiration_ns=0, ts_event=0, ts_init=0,
            )

        decode = msgspec.json.Decoder(MARKET_WS_MESSAGE).decode
        known, kept, last = {}, {}, enums.RecordFlag.F_LAST
        buy, sell = enums.OrderSide.BUY, enums.OrderSide.SELL
        update, delete = enums.BookAction.UPDATE, enums.BookAction.DELETE

        def on_book(message):
            instrument_id = get_polymarket_instrument_id(message.market, message.asset_id)
            if instrument_id not in known:
                known[instrument_id] = instrument(instrument_id)
            deltas = message.parse_to_snapshot(known[instrument_id], 0)
            if deltas is not None:
                kept[instrument_id] = books.OrderBook(instrument_id, book_type=enums.BookType.L2_MBP)
                kept[instrument_id].apply_deltas(deltas)

        def on_changes(message):
            for change in message.price_changes:
                instrument_id = get_polymarket_instrument_id(message.market, change.asset_id)
                of = known[instrument_id]
                order = data.BookOrder(
                    side=buy if change.side == PolymarketOrderSide.BUY else sell,
                    price=of.make_price(float(change.price)), size=of.make_qty(float(change.size)), order_id=0,
                )
                delta = data.OrderBookDelta(
                    instrument_id=of.id, action=update if order.size > 0 else delete, order=order,
                    flags=last, sequence=0, ts_event=millis_to_nanos(float(message.timestamp)), ts_init=0,
                )
                kept[of.id].apply(data.OrderBookDeltas(of.id, [delta]))

        def feed(frames):
            for frame in frames:
                message = decode(frame)
                if type(message) is book.PolymarketQuotes:
                    on_changes(message)
                    continue
                for one in message if type(message) is list else (message,):
                    if type(one) is book.PolymarketBookSnapshot:
                        on_book(one)

        self.feed, self.kept = feed, kept

    def books(self):
        def side(levels):
            return units((level.price, level.size()) for level in levels)

        return {
            str(instrument_id.symbol).split("-")[1]: [side(book.bids()), side(book.asks())]
            for instrument_id, book in self.kept.items()
        }


WAYS = {"msgspec": Msgspec, "orjson": Orjson, "nautilus_trader": Nautilus}


def units(levels):
    """Millionths, as `peers-decode` writes them."""
    return {str(round(float(price) * 1e6)): round(float(size) * 1e6) for price, size in levels}


def difference(expected, books):
    """The first book that differs, or None."""
    for token in expected.keys() | books.keys():
        if expected.get(token) != books.get(token):
            wrong = sum(expected.get(one) != books.get(one) for one in expected.keys() | books.keys())
            return f"{wrong} of {len(expected)} books, first: token {token}"
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--books", required=True)
    parser.add_argument("--core", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--changes-only", action="store_true")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(WAYS))
    flags = parser.parse_args()
    if flags.core is not None:
        os.sched_setaffinity(0, {flags.core})
    with open(flags.file, "rb") as file:
        frames = [line.strip() for line in file if line.strip()]
    dump = [frame for frame in frames if frame.startswith(b"[")]
    stream = [frame for frame in frames if not frame.startswith(b"[")]
    if flags.changes_only:
        stream = [frame for frame in stream if b'"price_changes"' in frame]
    with open(flags.books) as file:
        expected = json.load(file)
    print(f"dump of {len(dump)} frames, stream of {len(stream)}, {len(expected)} books")
    equal = []
    for name in flags.only:
        way = WAYS[name]()
        way.feed(dump)
        way.feed(stream)
        wrong = difference(expected, way.books())
        print(f"{name:16} {'equal' if wrong is None else 'DIFFER, so no figures: ' + wrong}", flush=True)
        if wrong is None:
            equal.append(name)
    del way
    gc.collect()
    gc.disable()
    taken_ns = {name: [] for name in equal}
    for _ in range(flags.rounds):
        for name in equal:
            way = WAYS[name]()
            way.feed(dump)
            begun_ns = time.thread_time_ns()
            way.feed(stream)
            taken_ns[name].append((time.thread_time_ns() - begun_ns) / len(stream))
    for name, all_ns in taken_ns.items():
        if all_ns:
            middle = statistics.median(all_ns)
            spread = f"({min(all_ns):.0f}-{max(all_ns):.0f})"
            print(f"{name:16} {1e6 / middle:8.1f} thousand frames/s, {middle:6.0f} ns a frame {spread}")


main()
