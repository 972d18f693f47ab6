//! Messages of the market channel, made after its documentation: seeds of several targets.

const MARKET: &str = "0x5dacb3919e3eb6372770cba85c42e0f980ddf18b1a767751de700ee272269233";
const OTHER: &str = "0x00000000000000000000000000000000000000000000000000000000000000b2";
const YES: &str = "71321045679252212594626385532706912750332728571942532289631379312455583992563";
const NO: &str = "52114319501245915516055106046884209969926127482827954674443846427813813222426";
const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

/// What messages are made of.
pub(super) const DICTIONARY: &[&str] = &[
    "\"event_type\":\"book\"",
    "\"event_type\":\"price_change\"",
    "\"market\":\"0xb2\"",
    "\"asset_id\":\"7\"",
    "\"price_changes\":[",
    "\"changes\":[",
    "\"bids\":[",
    "\"asks\":[]",
    "\"timestamp\":\"1790491135816\"",
    "\"side\":\"BUY\"",
    "\"side\":\"SELL\"",
    "\"size\":\"0\"",
    "\"price\":\"1\"",
    "\"price\":\"0.000001\"",
    "\"size\":\"18446744073709.551615\"",
    "\"best_bid\":\"\"",
    "\"hash\":\"0x\"",
    "\"last_trade_price\":\"\"",
    "null",
    "true",
    "{}",
    "[]",
    ",",
    ", ",
    ":",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "\\\"",
    "\u{20ac}",
    "\u{feff}",
    "PONG",
    "\n",
    "\r\n",
    " ",
];

fn change(token: &str, price: &str, size: &str, side: &str, comma: &str) -> String {
    let members = [
        format!(r#"{{"asset_id":"{token}""#),
        format!(r#""price":"{price}""#),
        format!(r#""size":"{size}""#),
        format!(r#""side":"{side}""#),
        format!(r#""hash":"{HASH}""#),
        r#""best_bid":"0.5""#.to_owned(),
        r#""best_ask":"0.51"}"#.to_owned(),
    ];
    members.join(comma)
}

fn changes(market: &str, time: u64, comma: &str) -> String {
    let list = [
        change(YES, "0.5", "200.25", "BUY", comma),
        change(NO, "0.5", "200.25", "SELL", comma),
        change(YES, "0.51", "0", "SELL", comma),
    ];
    format!(
        r#"{{"market":"{market}"{comma}"price_changes":[{}]{comma}"timestamp":"{time}"{comma}"event_type":"price_change"}}"#,
        list.join(comma)
    )
}

fn book(market: &str, token: &str, time: u64, comma: &str) -> String {
    let level = |p: &str, s: &str| format!(r#"{{"price":"{p}"{comma}"size":"{s}"}}"#);
    let bids = [level("0.01", "1000"), level("0.48", "30"), level("0.5", "12.5")].join(comma);
    let asks = [level("0.99", "5"), level("0.52", "25")].join(comma);
    format!(
        r#"{{"market":"{market}"{comma}"asset_id":"{token}"{comma}"timestamp":"{time}"{comma}"hash":"{HASH}"{comma}"bids":[{bids}]{comma}"asks":[{asks}]{comma}"tick_size":"0.01"{comma}"event_type":"book"{comma}"last_trade_price":"0.500"}}"#
    )
}

fn streamed_book(market: &str, token: &str, time: u64) -> String {
    format!(
        r#"{{"market":"{market}","asset_id":"{token}","bids":[{{"price":"0.4","size":"1"}}],"asks":[],"hash":"{HASH}","timestamp":"{time}","event_type":"book"}}"#
    )
}

fn trade(time: u64) -> String {
    format!(
        r#"{{"market":"{MARKET}","asset_id":"{YES}","price":"0.456","size":"219.217767","fee_rate_bps":"0","side":"BUY","timestamp":"{time}","event_type":"last_trade_price","transaction_hash":"0xeeefffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"}}"#
    )
}

/// Frames as the venue sends them, and some that it should not.
pub(super) fn frames() -> Vec<String> {
    let mut all = vec![
        changes(MARKET, 1_790_491_135_816, ","),
        changes(OTHER, 1_790_491_135_817, ", "),
        book(MARKET, YES, 1_790_491_135_815, ","),
        book(OTHER, NO, 1_790_491_135_815, ", "),
        streamed_book(MARKET, YES, 1_790_491_135_818),
        trade(1_790_491_135_820),
        format!(
            r#"{{"event_type":"tick_size_change","asset_id":"{YES}","market":"{MARKET}","old_tick_size":"0.01","new_tick_size":"0.001","timestamp":"1790491135821"}}"#
        ),
        format!(
            r#"{{"event_type":"best_bid_ask","market":"{MARKET}","asset_id":"{YES}","best_bid":"0.5","best_ask":"0.51","spread":"0.01","timestamp":"1790491135822"}}"#
        ),
        format!(
            r#"{{"id":"1","question":"Q \"x\"?","market":"{MARKET}","slug":"q","assets_ids":["{YES}","{NO}"],"outcomes":["Yes","No"],"timestamp":"1790491135823","event_type":"new_market","order_price_min_tick_size":"0.01"}}"#
        ),
        format!(
            r#"{{"market":"{MARKET}","winning_asset_id":"{YES}","timestamp":"1790491135824","event_type":"market_resolved"}}"#
        ),
        format!(
            r#"{{"asset_id":"{YES}","changes":[{{"price":"0.4","side":"SELL","size":"3300"}}],"event_type":"price_change","market":"{MARKET}","timestamp":"1729084877448","hash":"{HASH}"}}"#
        ),
        format!(
            r#"{{"asset_id":"{YES}","price":"0.4","side":"SELL","size":"3300","event_type":"price_change","market":"{MARKET}","timestamp":"1729084877448"}}"#
        ),
        "PONG".into(),
        "[]".into(),
        "INVALID OPERATION".into(),
        r#"{"event_type":"moon","x":{"y":[1,2.5e3,null,true]}}"#.into(),
        r#"{"a":1e400,"b":"\ud800","c":-0.0}"#.into(),
    ];
    let dump = [book(MARKET, YES, 1, ","), book(MARKET, NO, 1, ","), book(OTHER, "7", 1, ",")];
    all.push(format!("[{}]", dump.join(",")));
    all.push(format!("[{}, {}]", changes(MARKET, 5, ", "), changes(OTHER, 6, ", ")));
    all.push(format!("[{},7,\"x\",[],{}]", trade(9), changes(MARKET, 10, ",")));
    all
}
