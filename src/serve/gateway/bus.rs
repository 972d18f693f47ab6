//! The bus as a client of the hub: chunks of records in place of writes to a socket.
//!
//! Runs on:  serve core. Owns: its end of the link.
//! Bounds:   as many chunks as go round; what is in them counts as waiting for the client.
use crate::base::limits::BUS_CHUNK_BYTES;
use crate::base::time::Now;
use crate::gateway::hub::{ClientId, Hub, Output};
use crate::link::serve_bus::BusSender;
use crate::wire::websocket::server::FrameTexts;

/// Whether this record of the stream is a trade.
fn is_trade(text: &str) -> bool {
    let after = text.split_once(r#","kind":""#);
    after.is_some_and(|(_, rest)| rest.starts_with(r#"trade""#))
}

/// The hub's client and the way to it.
#[derive(Debug)]
pub(super) struct BusWriter {
    id: ClientId,
    link: BusSender,
}

impl BusWriter {
    /// Connects the bus.
    pub(super) fn new(hub: &mut Hub, link: BusSender, now: Now) -> Self {
        Self { id: hub.connect_bus(link.feed, now), link }
    }

    /// Passes records on as far as there are chunks; whether there were any.
    pub(super) fn pump(&mut self, hub: &mut Hub, now: Now) -> bool {
        let mut any = false;
        while let Some(length) = self.link.take_back() {
            hub.on_sent(self.id, length, now);
            any = true;
        }
        while let Some(repeat) = self.link.poll_repeat() {
            hub.repeat_books(repeat, now);
        }
        while let Some(mut chunk) = self.link.chunk() {
            // It is never closed.
            if hub.take_output(self.id, &mut chunk, BUS_CHUNK_BYTES, now) != Output::Frames {
                self.link.put_back(chunk);
                break;
            }
            self.link.send(chunk);
            any = true;
        }
        any
    }

    pub(super) fn publish(&self, hub: &Hub) {
        let (board, counts) = (&self.link.board, hub.bus_counts());
        board.books.set(counts.books);
        board.waiting_bytes.set(counts.waiting_bytes);
        board.snapshots_repeated.set(counts.snapshots_repeated);
        board.conflated.set(counts.conflated);
        board.trades_without_room.set(counts.trades_lost);
        board.books_refused.set(counts.books_refused);
    }

    /// The serve core ends: trades that were not passed on are lost.
    pub(super) fn end(&self, hub: &mut Hub, now: Now) {
        self.publish(hub);
        let mut rest = Vec::new();
        while hub.take_output(self.id, &mut rest, BUS_CHUNK_BYTES, now) == Output::Frames {
            let trades = FrameTexts::new(&rest).filter(|text| is_trade(text)).count();
            self.link.board.trades_without_room.add(trades as u64);
            rest.clear();
        }
        self.link.board.waiting_bytes.set(0);
    }
}
