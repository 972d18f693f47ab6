//! Numbered messages: which are missing, which came twice, and whose book a frame is about.
//!
//! Runs on:  the replay's reader (pure). Owns: the counters of every connection.
//! Bounds:   `REPLAY_CONNECTIONS_MAX` connections.
//!
//! A live shard sees all frames of its connections; here they are spread over shards by market, so they are counted
//! before.
use crate::base::{
    id::{ShardId, Venue},
    limits::{REPLAY_CONNECTIONS_MAX, SIDS_PER_CONNECTION_MAX},
    routing::shard_of,
};
use crate::shard::books::ConnectionSlot;
use crate::venue::{Decoder, Sequences, Verdict};

/// What is known of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The place that books hang on: one for each subscription.
    pub(super) slot: ConnectionSlot,
    pub(super) verdict: Verdict,
    /// Whose book it is about; the first shard where it is about none.
    pub(super) shard: ShardId,
    /// It is no JSON: its number is lost too.
    pub(super) broken: bool,
}

/// One connection's counters, and the places of its subscriptions.
#[derive(Debug, Default)]
struct Connection {
    sequences: Sequences,
    places: Vec<(u64, ConnectionSlot)>,
}

/// The counters of every connection.
#[derive(Debug)]
pub(super) struct Numbers {
    decoder: Decoder,
    connections: Vec<Connection>,
    /// Places given to subscriptions so far.
    places: u32,
}

impl Numbers {
    /// Counters, where the venue numbers its messages.
    pub(super) fn of(venue: Venue) -> Option<Self> {
        let none = || Self { decoder: Decoder::of(venue), connections: Vec::new(), places: 0 };
        venue.is_sequenced().then(none)
    }

    /// A connection begins or ends: its subscriptions are over. Gives the places of their books.
    pub(super) fn begin(&mut self, slot: ConnectionSlot) -> Vec<ConnectionSlot> {
        let Some(connection) = self.connections.get_mut(slot.0 as usize) else { return Vec::new() };
        connection.sequences.reset();
        let places = std::mem::take(&mut connection.places);
        places.into_iter().map(|(_, place)| place).collect()
    }

    /// The places of a connection's books.
    pub(super) fn places(&self, slot: ConnectionSlot) -> Vec<ConnectionSlot> {
        let connection = self.connections.get(slot.0 as usize);
        connection.iter().flat_map(|c| &c.places).map(|&(_, place)| place).collect()
    }

    /// Takes the number of a frame. In the capture of an engine (`whole`) books hang on connections, as they did
    /// there, and otherwise on subscriptions: a hole in one says nothing of another.
    pub(super) fn look(
        &mut self,
        frame: &str,
        slot: ConnectionSlot,
        whole: bool,
        shards: u16,
    ) -> Found {
        let outline = self.decoder.outline(frame);
        let place = slot.0 as usize;
        if place >= self.connections.len() {
            self.connections.resize_with(place + 1, Connection::default);
        }
        let Connection { sequences, places } = &mut self.connections[place];
        let slot = match outline.sequence {
            Some((sid, _)) if !whole => {
                let known = places.iter().find(|(known, _)| *known == sid).map(|&(_, at)| at);
                match (known, places.last()) {
                    (Some(place), _) => place,
                    (None, Some(&(_, last))) if places.len() >= SIDS_PER_CONNECTION_MAX => last,
                    (None, _) => {
                        // Beyond the places of connections, which end at `REPLAY_CONNECTIONS_MAX`.
                        self.places += 1;
                        let place = ConnectionSlot(REPLAY_CONNECTIONS_MAX + self.places);
                        places.push((sid, place));
                        place
                    }
                }
            }
            _ => slot,
        };
        let verdict =
            outline.sequence.map_or(Verdict::Next, |(sid, seq)| sequences.take(sid, seq, true));
        let shard = outline.market.map_or(ShardId(0), |market| shard_of(market.as_bytes(), shards));
        Found { slot, verdict, shard, broken: outline.broken }
    }
}
