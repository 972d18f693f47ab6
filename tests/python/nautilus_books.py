"""Books of nautilus_trader's adapter for Polymarket through the gateway, one JSON object a line, every half second.

python nautilus_books.py HOST:PORT TOKEN...
"""

import json
import sys
from datetime import timedelta

from nautilus_trader.adapters.polymarket import POLYMARKET
from nautilus_trader.adapters.polymarket.common.symbol import get_polymarket_token_id
from nautilus_trader.adapters.polymarket.config import PolymarketDataClientConfig
from nautilus_trader.adapters.polymarket.factories import PolymarketLiveDataClientFactory
from nautilus_trader.config import InstrumentProviderConfig, LoggingConfig, TradingNodeConfig
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.identifiers import TraderId
from nautilus_trader.trading.strategy import Strategy

address, tokens = sys.argv[1], set(sys.argv[2:])


class Books(Strategy):
    def on_start(self):
        for instrument in self.cache.instruments():
            if get_polymarket_token_id(instrument.id) in tokens:
                self.subscribe_order_book_deltas(instrument.id)
        self.clock.set_timer("show", timedelta(seconds=0.5), callback=self.show)

    def show(self, _event):
        books = {}
        for instrument in self.cache.instruments():
            book = self.cache.order_book(instrument.id)
            if book is not None and book.update_count:
                books[get_polymarket_token_id(instrument.id)] = {
                    "BUY": levels(book.bids()),
                    "SELL": levels(book.asks()),
                }
        print(json.dumps(books), flush=True)


def plain(number):
    text = f"{number.as_decimal():f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def levels(side):
    # One order a level: the venue shows no more than the sum.
    return {plain(level.price): plain(level.orders()[0].size) for level in side}


# The adapter wants a key even for data alone; any will do.
data = PolymarketDataClientConfig(
    base_url_http=f"http://{address}",
    base_url_ws=f"ws://{address}/ws/",
    private_key="0x" + "1" * 64,
    funder="0x" + "1" * 40,
    api_key="any",
    api_secret="any",
    passphrase="any",
    ws_connection_initial_delay_secs=1,
    instrument_provider=InstrumentProviderConfig(load_all=True),
)
config = TradingNodeConfig(
    trader_id=TraderId("GATEWAY-001"),
    logging=LoggingConfig(log_level="OFF"),
    data_clients={POLYMARKET: data},
)
node = TradingNode(config=config)
node.add_data_client_factory(POLYMARKET, PolymarketLiveDataClientFactory)
node.trader.add_strategy(Books())
node.build()
node.run()
