//! Recorded hashes against the reference alone: a wrong reference is noticed here.

use crate::fixtures::{self, Fixture};
use crate::hash::{self, Extras, Levels};
use crate::reference::{self, Reference};
use crate::stored;
use serde_json::Value;
use std::collections::BTreeMap;

/// How many recorded hashes there were and how many reproduce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) verified: usize,
    pub(crate) total: usize,
}

/// Hashes of one message: `(token, hash)`.
fn hashes(message: &Value) -> Vec<(String, String)> {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    match reference::kind(message) {
        "book" => vec![(text(&message["asset_id"]), text(&message["hash"]))],
        "price_change" => message["price_changes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| (text(&c["asset_id"]), text(&c["hash"])))
            .collect(),
        _ => Vec::new(),
    }
}

/// The levels of a token: its own, or the mirror of its partner's.
fn levels(reference: &Reference, token: &str) -> Option<Levels> {
    let known = |t: &str| reference.books.get(t).filter(|b| b.snapshot.is_some());
    if let Some(book) = known(token) {
        return Some(Levels::of(&book.bids, &book.asks));
    }
    let (bids, asks) = known(reference.partner.get(token)?)?.mirrored();
    Some(Levels::of(&bids, &asks))
}

/// Verifies every hash at the end of the messages that share its market and time.
pub(crate) fn verify(frames: &[String]) -> (Tally, Reference) {
    let messages: Vec<Value> = frames.iter().flat_map(|f| reference::messages(f)).collect();
    let key = |m: &Value| (m["market"].clone(), m["timestamp"].clone());
    let (mut reference, mut tally) = (Reference::default(), Tally::default());
    let mut found: BTreeMap<String, Vec<Extras>> = BTreeMap::new();
    for group in messages.chunk_by(|a, b| key(a) == key(b)) {
        group.iter().for_each(|message| reference.message(message));
        for (token, want) in group.iter().flat_map(hashes) {
            tally.total += 1;
            let Some(levels) = levels(&reference, &token) else { continue };
            let market = group[0]["market"].as_str().unwrap();
            let time = group[0]["timestamp"].as_str().unwrap().parse().unwrap();
            let trades = reference.trades.get(market).into_iter().flatten();
            let prices: Vec<String> = trades.cloned().collect();
            let likely = found.entry(market.to_owned()).or_default();
            let named = (market, token.as_str(), time);
            if let Some(extras) = hash::explain(named, &levels, &want, likely, &prices) {
                tally.verified += 1;
                if !likely.contains(&extras) {
                    likely.push(extras);
                }
            }
        }
    }
    (tally, reference)
}

#[test]
fn recorded_hashes_reproduce_with_the_reference() {
    let Some(folder) = stored::folder() else { return };
    let mut sum = Tally::default();
    for Fixture { files, stored, hashes, .. } in fixtures::FIXTURES {
        let Some((verified, total)) = *hashes else { continue };
        let frames: Vec<String> =
            files.iter().flat_map(|f| stored::frames(&folder.join(f), *stored)).collect();
        let (tally, _) = verify(&frames);
        println!("{:4} of {:4}  {}", tally.verified, tally.total, files.join(" + "));
        assert_eq!(tally, Tally { verified, total }, "{files:?}");
        sum = Tally { verified: sum.verified + verified, total: sum.total + total };
    }
    println!("{:4} of {:4}  together", sum.verified, sum.total);
    assert_eq!(sum, Tally { verified: 875, total: 881 });
}
