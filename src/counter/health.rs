//! Every reason and notice of `/health`, as text with `{placeholders}`.
//!
//! Runs on:  any (pure). The operator's guide describes each; a test holds the two together.

/// Texts of all conditions that `/health` reports. A part in braces stands for any text.
pub const CONDITIONS: &[&str] = &[
    "{shard} has not reported for {seconds} s: its core is overloaded or its thread hangs",
    "the control core does not report: it may hang",
    "the control core is too busy to report: it may hang",
    "stopping",
    "no connection is up: {why}",
    "{missing} of {wanted} connections are being dialed",
    "no connection is open: {tokens} tokens wait for one",
    "{shard} has no connection left for its pending markets",
    "the catalog has not been read yet: {error}",
    "the catalog cannot be read now: {error}",
    "no scan of the catalog has completed for {seconds} s ({why}): new markets are missed; see the log",
    "no market is followed: {why}",
    "{skipped} of {open} open markets in the catalog of {venue} are not followed ({reasons}): the venue may have \
     changed its schema; the log names the first market of each reason",
    "{markets} in the catalog of {venue} with the tokens of another market: the same books answer for both; \
     look whether the venue has changed its catalog",
    "no book is live: {books} wait for a snapshot",
    "{stale} of {held} books are not live",
    "books cannot be fetched over REST now: {error}",
    "{percent} % of the venue's messages are not understood: its protocol has changed, the log shows samples",
    "{shard}: messages are {age} s old when they are read (1 in 10, for {seconds} s; the bound of --lag-warn is \
     {bound} s): the venue, the network or this core is behind, or a clock is wrong",
    "host clock is {seconds} s behind the venue's: messages of {venue} carry times that this host has not reached; books \
     follow the venue's clock, ages and files have the host's: run chrony",
    "{database} has taken no trades for {seconds} s: {error}; nothing is lost, {queued} wait in memory, {journaled} in \
     {journal}",
    "{trades} trades are lost: {queued} wait in memory, {journaled} in {journal}",
    "{error}; {queued} wait in memory, {journaled} in {journal}",
    "the capture in {folder} cannot be written for {seconds} s: {error}; records wait in memory, then frames are \
     dropped and marked: make room{loss}",
    "{frames} frames are not in the capture in {folder}: {cause}; its manifest says when",
    "the broker {broker} has taken no records for {seconds} s: {error}; {waiting} records wait, and {journaled} trades and \
     stages of markets in {journal}; books are published as they are afterwards{loss}",
    "{trades} trades are not on the bus at {broker}: there was no room for them",
    "the bus at {broker} cannot be read: {error}",
    "no engine publishes at {broker}: no book is live until one does",
    "{engine} has no session in the cluster {group}: {error}; {slices} slices are followed for local users and not \
     published",
    "{engine} scans the catalog itself: no other member of the cluster {group} has reported a scan for {seconds} s",
    "{engine} has {share} of the {all} connections of the account; {members} members share them",
];

/// The line of a condition at one of several venues: it begins with the venue's name, unless the name is in it.
pub fn at_venue(venue: &str, line: &str) -> String {
    if line.contains(venue) { line.to_owned() } else { format!("{venue}: {line}") }
}

/// The declared condition that a line of `/health` is an instance of, with or without its venue; `None` for one that is
/// not declared.
pub fn condition_of(line: &str) -> Option<&'static str> {
    let declared = |line| CONDITIONS.iter().copied().find(|condition| is_instance(condition, line));
    declared(line).or_else(|| declared(line.split_once(": ")?.1))
}

/// Whether a line is an instance of a condition: a part of its text in braces stands for any text.
pub fn is_instance(condition: &str, line: &str) -> bool {
    let mut fixed =
        condition.split('{').map(|part| part.split_once('}').map_or(part, |(_, rest)| rest));
    let Some(mut rest) = fixed.next().and_then(|first| line.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = fixed.collect();
    let Some((last, inner)) = parts.split_last() else { return rest.is_empty() };
    for part in inner {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests;
