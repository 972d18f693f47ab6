//! Books of a page, and an unreadable one.
use super::*;
use crate::market::event::Event;
use crate::market::info::MarketUpdate;

#[derive(Default)]
struct Books(Vec<String>, u32);

impl Sink for Books {
    fn on_event(&mut self, event: &Event<'_>) {
        let Event::Snapshot(book) = event else { panic!("{event:?}") };
        let side = |levels: &[crate::market::book::Level]| {
            let all = levels.iter().map(|l| format!("{}x{}", l.price, l.quantity));
            all.collect::<Vec<_>>().join(" ")
        };
        self.0.push(format!("{} {} | {}", book.token, side(book.bids), side(book.asks)));
    }
    fn on_market_update(&mut self, _news: MarketUpdate) {}
    fn on_decode_notice(&mut self, notice: &DecodeNotice<'_>) {
        self.1 += u32::from(!matches!(notice, DecodeNotice::UnknownKeys(_)));
    }
}

fn read(text: &str, budget: usize) -> Books {
    let (mut read, mut progress) = (Books::default(), Progress::default());
    let mut parts = 0;
    while !progress.is_done() {
        decode_part(text, &mut progress, budget, &mut Scratch::default(), &mut read);
        parts += 1;
        assert!(parts <= text.len() + 1, "no progress");
    }
    read
}

const ANSWER: &str = r#"{"orderbooks":[
        {"ticker":"KX-A","orderbook_fp":{"yes_dollars":[["0.1500","100.00"]],"no_dollars":[["0.8000","7.25"],["0.8100","1.00"]]}},
        {"orderbook_fp":{"no_dollars":null,"new":[[[1]]]},"ticker":"KX-]B"}]}"#;

#[test]
fn books_are_in_terms_of_yes_whatever_the_size_of_the_parts() {
    for budget in [1, 7, 100, usize::MAX] {
        let read = read(ANSWER, budget);
        assert_eq!(read.0, ["KX-A 0.15x100 | 0.2x7.25 0.19x1", "KX-]B  | "]);
        assert_eq!(read.1, 0);
    }
}

#[test]
fn an_unreadable_book_does_not_affect_others() {
    for (text, books, odd) in [
        ("", 0, 1),
        ("null", 0, 1),
        (r#"{"orderbooks":[]}"#, 0, 0),
        (r#"{"orderbooks":[{"ticker":"A"},{"orderbook_fp":{}},{"ticker":"B"}]}"#, 2, 1),
        (
            r#"{"orderbooks":[{"ticker":"A"},{"ticker":"B","orderbook_fp":{"yes_dollars":[["x","1"]]}}]}"#,
            1,
            1,
        ),
        (r#"{"orderbooks":[{"ticker":"A"},{"ticker":"B""#, 1, 1),
        (r#"{"orderbooks":[{"ticker":"A"} "#, 1, 1),
        (r#"{"orderbooks":[[1]]}"#, 0, 1),
    ] {
        let read = read(text, 5);
        assert_eq!((read.0.len(), read.1), (books, odd), "{text}");
    }
}

#[test]
fn a_request_has_each_ticker() {
    let tokens = ["KX-A", "KX-B"].map(|name| TokenId::new(name).unwrap());
    let path = books_path(&tokens);
    assert_eq!(path, "/trade-api/v2/markets/orderbooks?tickers=KX-A&tickers=KX-B");
}
