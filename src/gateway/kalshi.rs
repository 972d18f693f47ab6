//! Kalshi's WebSocket v2 and its public REST interface, as its server speaks them.
//!
//! Runs on:  serve core (pure). Owns: what each client subscribes to.
//! Bounds:   `command::TEXT_BYTES_MAX` of one command, [`MARKETS_MAX`] markets of one client.
//!
//! [`Session`] reads the commands of one client of `/trade-api/ws/v2` and writes its frames; [`rest`] answers
//! requests. The part of a frame that is the same for all clients is encoded once ([`Bodies`]); type, `sid` and `seq`
//! stand before it. A replica's book is in terms of YES and its token is the market's ticker: bids are the YES bids,
//! asks the NO bids at one dollar minus their price. The protocol and its sources are described in
//! `src/venue/kalshi/protocol.md`.
//!
//! What differs from the venue:
//!
//! - `ticker` and `trade` need tickers: without any they are refused with error 14, because the gateway holds the
//!   subscribed books only and a part of all markets would look like all of them.
//! - Channels of accounts and of other data are unknown (error 8), and markets have no ids in commands (error 11).
//! - `market_id` is a name-based UUID of the ticker, since the engine does not hold the venue's.
//! - `volume_fp`, `open_interest_fp` and `last_trade_size_fp` of a ticker are zero until the venue has sent a ticker,
//!   or a trade, of a subscribed book, and `is_block_trade` is false: not known, and strict clients refuse a message
//!   without them. `dollar_volume` and `dollar_open_interest` are made from the contracts.
//! - A snapshot has both sides; the venue leaves out an empty one, which strict clients refuse.
//! - Tickers are sent when a value of theirs changes: best prices before the venue's own ticker has come.
pub mod channel;
mod command;
pub mod encode;
pub mod frames;
pub mod markets;
pub mod rest;
pub mod session;
pub mod signature;
mod updates;

pub use frames::{Bodies, Frames};
pub use session::{MARKETS_MAX, Options, Session};

use crate::base::id::Venue;

/// Whose markets are listed.
const VENUE: Venue = Venue::named("kalshi");
