//! Small frames of many markets, by rule and not by chance.

pub(crate) fn token(market: usize, outcome: usize) -> String {
    format!("{}{outcome}", 7_000_000_000_000_001 + market * 977)
}

pub(crate) fn market(i: usize) -> String {
    format!("0x{:064x}", 0x9e37_79b9_7f4a_7c15_u128 * (i as u128 + 1))
}

pub(crate) fn book(m: usize, outcome: usize, ms: usize) -> String {
    format!(
        r#"{{"market":"{}","asset_id":"{}","timestamp":"{ms}","hash":"","bids":[{{"price":"0.4","size":"{}"}}],"asks":[{{"price":"0.6","size":"5"}}],"event_type":"book"}}"#,
        market(m),
        token(m, outcome),
        m + 1
    )
}

pub(crate) fn change(m: usize, ms: usize) -> String {
    let (a, b) = (token(m, 0), token(m, 1));
    format!(
        r#"{{"market":"{}", "price_changes":[{{"asset_id":"{a}", "price":"0.{}", "size":"{ms}", "side":"BUY"}}, {{"asset_id":"{b}", "price":"0.7", "size":"{}", "side":"SELL"}}], "timestamp":"{ms}", "event_type":"price_change"}}"#,
        market(m),
        31 + ms % 9,
        ms % 3
    )
}

pub(crate) fn trade(m: usize, ms: usize) -> String {
    format!(
        r#"{{"market":"{}","asset_id":"{}","price":"0.4","size":"2","side":"SELL","timestamp":"{ms}","event_type":"last_trade_price"}}"#,
        market(m),
        token(m, 0)
    )
}

/// Every kind of line: arrays over several markets, unusual texts, broken frames, other key
/// orders, messages without a market.
pub(crate) fn mixed() -> Vec<String> {
    const MARKETS: usize = 23;
    let books: Vec<String> = (0..MARKETS).flat_map(|m| [book(m, 0, 10), book(m, 1, 10)]).collect();
    let mut lines = vec![format!("[{}]", books.join(",")), "[]".into(), "{}".into()];
    for step in 0..400 {
        let (m, ms) = (step * 7 % MARKETS, 10 + step);
        lines.push(match step % 20 {
            3 => trade(m, ms),
            5 => "PONG".into(),
            7 => format!("[{},{}]", change(m, ms), change((m + 1) % MARKETS, ms)),
            9 => format!("[{},{}]", change(m, ms), change(m, ms)),
            11 => book(m, step % 2, ms),
            13 => format!(r#"{{"event_type":"moon","market":"{}"}}"#, market(m)),
            15 if step < 60 => r#"{"market":"0x1","price_ch"#.into(),
            // The market alone identifies the books that missed something.
            17 if step > 340 => change(m, ms).replace("\"0.7\"", "\"7\""),
            // No market: the token identifies it.
            18 if step > 340 => format!(
                r#"{{"asset_id":"{}","bids":[],"timestamp":"x","event_type":"book"}}"#,
                token(m, 1)
            ),
            // The right token under a wrong market.
            19 if step < 60 => change(m, ms).replace(&market(m), &market(m + 100)),
            _ => change(m, ms),
        });
    }
    lines
}
