//! Connections requested by a user: opened at once for pending tokens, on every shard concerned.
//!
//! Runs on:  control core.
use super::Connections;
use crate::base::id::{ConnectionId, TokenId};
use crate::base::time::Now;
use crate::control::placement::ForceError;
use crate::control::registry::{Registry, Status};

/// Result of the request.
#[derive(Debug, Default)]
pub(in crate::control) struct Forced {
    /// Opened connections.
    pub(in crate::control) connections: Vec<ConnectionId>,
    /// Tokens placed on one of them.
    pub(in crate::control) placed: Vec<TokenId>,
    /// Tokens not placed, each with the reason.
    pub(in crate::control) refused: Vec<(TokenId, Option<String>)>,
}

impl Connections {
    /// Opens connections for the tokens of this venue that are pending: at least one per shard, more if they do not
    /// fit.
    pub(in crate::control) fn force_subscribe(
        &mut self,
        tokens: &[TokenId],
        registry: &mut Registry,
        now: Now,
    ) -> Forced {
        let mut forced = Forced::default();
        let mut waiting = Vec::new();
        for &token in tokens {
            match self.why_not_waiting(&token, registry) {
                None => waiting.push(token),
                why => forced.refused.push((token, why)),
            }
        }
        while let Some(first) = waiting.first().copied() {
            let opened = self.placement.force_subscribe_tokens(&waiting, now.mono_ns, registry);
            match opened {
                Ok(connection) => {
                    forced.connections.push(connection);
                    let is_on = |token: &TokenId| {
                        let record = registry.market_of(token);
                        record.is_some_and(|record| record.connection == Some(connection))
                    };
                    let placed = waiting.extract_if(.., |token| is_on(token));
                    let before = forced.placed.len();
                    forced.placed.extend(placed);
                    if forced.placed.len() == before {
                        // A market that does not fit an empty connection would be tried for ever.
                        waiting.remove(0);
                        forced.refused.push((first, Some("no connection takes it".into())));
                    }
                }
                Err(ForceError::NothingPending) => break,
                Err(error @ ForceError::NoConnectionLeft) => {
                    let shard = registry.market_of(&first).map(|record| record.shard);
                    let is_there = |token: &mut TokenId| {
                        registry.market_of(token).map(|record| record.shard) == shard
                    };
                    let full = waiting.extract_if(.., is_there);
                    forced.refused.extend(full.map(|token| (token, Some(error.to_string()))));
                }
            }
        }
        forced
    }

    /// Reason why no connection can be opened for a token; `None` if it is pending.
    fn why_not_waiting(&self, token: &TokenId, registry: &Registry) -> Option<String> {
        let record = registry.market_of(token)?;
        match record.status {
            Status::Elsewhere => Some("its slice is another machine's".into()),
            Status::Pending if self.placement.is_fixed() => Some(
                "the connections of its venue are a fixed table; it is put there by itself".into(),
            ),
            Status::Pending => None,
            Status::Subscribed => {
                let name = record.connection.map(|connection| self.placement.name(connection));
                Some(format!("it is on {} already", name.unwrap_or_default()))
            }
            Status::Expired => Some("its market has ended".into()),
        }
    }
}
