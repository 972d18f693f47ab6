//! Events of a book to messages of the tardis interface.
//!
//! Runs on:  serve core (pure).
use super::ClientId;
use super::client::{Client, Closing, Protocol};
use super::event::{Context, Event, Queue, frame, is_stale};
use crate::gateway::outbox::{FrameClass, Outbox};
use crate::gateway::tardis::{MessageKind, Messages, Session, push_disconnect};
use crate::gateway::{Replica, StalePolicy};
use crate::link::shard_updates::SubscriptionKey;
use crate::market::book::BookState;

impl Context<'_> {
    pub(super) fn to_tardis(
        &self,
        id: ClientId,
        client: &mut Client,
        queue: &mut Queue<'_>,
        messages: &mut Messages,
    ) {
        let Self { key, replica, event, .. } = *self;
        let (had_image, has_room) = (client.takes_changes(key), client.outbox.has_room(key));
        let is_live = replica.state == BookState::Live;
        let Protocol::Tardis(session) = &mut client.protocol else { return };
        messages.clear();
        match event {
            Event::Image { .. } | Event::State | Event::Changes(_)
                if is_live && !has_room && session.wants_book(replica) =>
            {
                if matches!(event, Event::Changes(_)) && had_image {
                    let is_first = !client.outbox.is_marked(key);
                    client.outbox.mark(key, true);
                    if is_first && session.wants_disconnects(replica) {
                        push_disconnect(replica, queue.now.wall_ns, messages);
                    }
                } else if matches!(event, Event::Image { .. }) {
                    client.outbox.mark(key, false);
                }
                queue.announce(id, client);
            }
            Event::Image { .. } if is_live => {
                session.on_image(replica, !had_image, messages);
                client.books.insert(key, true);
            }
            // A book that is live again without an image of its own.
            Event::State if is_live && !had_image => {
                session.on_image(replica, true, messages);
                client.books.insert(key, true);
            }
            Event::Changes(changes) if is_live && had_image => {
                let changes = changes.iter().map(|(_, change, _)| change);
                session.on_changes(replica, changes, messages);
            }
            Event::Trade(trade) => session.on_trade(replica, trade, messages),
            Event::State | Event::Closed if had_image && !is_live => {
                let name = replica.state.name();
                let reason = match event {
                    Event::Closed => "closed",
                    _ => name.split_once(':').map_or(name, |(_, reason)| reason),
                };
                session.on_stale(replica, reason, self.stale == StalePolicy::Clear, messages);
                client.books.insert(key, false);
                client.outbox.unmark(key);
            }
            Event::Image { .. }
            | Event::State
            | Event::Closed
            | Event::Changes(_)
            | Event::TickSize { .. } => {}
        }
        for (kind, text) in messages.iter() {
            queue.push(id, client, &frame(text), class(kind, key));
        }
        let has_ended = matches!(event, Event::State) && had_image && is_stale(replica);
        if has_ended && self.stale == StalePolicy::Close {
            client.closing.get_or_insert(Closing::STALE);
            queue.announce(id, client);
        }
    }
}

const fn class(kind: MessageKind, key: SubscriptionKey) -> FrameClass {
    match kind {
        MessageKind::Change => FrameClass::Change(key),
        MessageKind::Image => FrameClass::Image(key),
        MessageKind::Other => FrameClass::Other,
    }
}

/// Queues the image of a book that a client waits for; whether it is live.
pub(super) fn push_image(
    (session, outbox): (&mut Session, &mut Outbox),
    replica: &Replica,
    messages: &mut Messages,
    now_ns: u64,
) -> bool {
    if replica.state != BookState::Live {
        return false;
    }
    messages.clear();
    session.on_image(replica, true, messages);
    for (_, text) in messages.iter() {
        outbox.push_marked(frame(text), now_ns);
    }
    true
}
