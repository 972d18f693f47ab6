//! The web page at `/`: its files, and the texts that it shows beside numbers.
//!
//! Runs on:  serve core (pure). Owns: nothing; the files are in the program.
//!
//! The page is built from what this server answers and from no other host: its policy (`Content-Security-Policy`) has a
//! browser refuse anything else.
use super::metrics;
use super::response::Response;
use crate::counter::health::CONDITIONS;
use serde::Serialize;

struct File {
    path: &'static str,
    content_type: &'static str,
    body: &'static [u8],
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const MODULE: &str = "text/javascript; charset=utf-8";

macro_rules! files {
    ($($path:literal $content_type:ident $name:literal;)*) => {
        &[$(File { path: $path, content_type: $content_type, body: include_bytes!(concat!("page/", $name)) }),*]
    };
}

const FILES: &[File] = files! {
    "/" HTML "index.html";
    "/page/style.css" CSS "style.css";
    "/page/main.js" MODULE "main.js";
    "/page/source.js" MODULE "source.js";
    "/page/dom.js" MODULE "dom.js";
    "/page/format.js" MODULE "format.js";
    "/page/chart.js" MODULE "chart.js";
    "/page/overview.js" MODULE "overview.js";
    "/page/connections.js" MODULE "connections.js";
    "/page/stream.js" MODULE "stream.js";
    "/page/markets.js" MODULE "markets.js";
    "/page/market.js" MODULE "market.js";
    "/page/latency.js" MODULE "latency.js";
};

/// Scripts, styles and data of this server only; no frame around the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The operator's guide: the remedies of conditions are in it.
const OPERATING: &str = include_str!("../guide/operating.md");

/// A file of the page; `None` for a path that has none.
pub fn file(path: &str) -> Option<Response> {
    let file = FILES.iter().find(|file| file.path == path)?;
    let response = Response {
        status: 200,
        content_type: file.content_type,
        headers: Vec::new(),
        body: file.body.to_vec(),
    };
    let response = response.with("Content-Security-Policy", POLICY);
    Some(response.with("X-Content-Type-Options", "nosniff").with("Referrer-Policy", "no-referrer"))
}

/// A condition of `/health` with its remedy.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Condition {
    /// The text; a part in braces stands for any text.
    condition: &'static str,
    remedy: String,
}

/// Every condition of `/health` with its remedy, as JSON.
pub fn conditions() -> Response {
    let conditions = CONDITIONS.iter().map(|&condition| Condition {
        condition,
        remedy: remedy(OPERATING, condition).unwrap_or_default(),
    });
    Response::of(200, &conditions.collect::<Vec<_>>())
}

/// Every metric with its meaning and remedy, as JSON.
pub fn counters() -> Response {
    Response::of(200, &metrics::all())
}

/// What the operator's guide says of a condition: the indented paragraph below its list item.
fn remedy(guide: &str, condition: &str) -> Option<String> {
    let item = guide.split("\n- `").find(|item| {
        let text = item.split('`').next().unwrap_or_default();
        text.split_whitespace().eq(condition.split_whitespace())
    })?;
    let paragraph = item.split("\n\n").nth(1)?;
    let lines = paragraph.lines().take_while(|line| line.starts_with("  ")).map(str::trim);
    Some(lines.collect::<Vec<_>>().join(" ").replace('`', ""))
}

#[cfg(test)]
mod tests;
