//! A market's book: points of the curves, cells of the heat map and marks, of a small book and of a long one.
use super::*;
use crate::base::time::SECOND_NS;
use crate::plot::svg::tests::{numbers, texts};

const START_NS: u64 = 1_795_762_800 * SECOND_NS;

fn at(second: u64) -> u64 {
    START_NS + second * SECOND_NS
}

/// Live from 0 to 40 s and from 50 s to 60 s; bid 0.40, then 0.41; ask 0.45, then none.
fn small() -> MarketDay {
    use MarketSide::{Buy, Sell};
    let mut day = MarketDay::default();
    let levels =
        [(Buy, 400_000, 10_000_000), (Buy, 390_000, 1_000_000), (Sell, 450_000, 5_000_000)];
    day.on_book(at(0), levels.into_iter());
    day.on_top(at(0), Some(400_000), Some(450_000));
    day.on_level(at(10), (Buy, 410_000, 2_000_000));
    day.on_top(at(10), Some(410_000), Some(450_000));
    day.on_trade(at(15), 450_000, 1_500_000, Buy);
    day.on_trade(at(16), 410_000, 700_000_000, Sell);
    day.on_level(at(20), (Sell, 450_000, 0));
    day.on_top(at(20), Some(410_000), None);
    day.on_not_live(at(40));
    day.on_book(at(50), levels.into_iter());
    day.on_top(at(50), Some(400_000), Some(450_000));
    day
}

#[test]
fn curves_have_the_points_of_the_book() {
    let day = small();
    assert_eq!(
        day.mid.points(),
        [(at(0), Some(850_000)), (at(10), Some(860_000)), (at(20), None), (at(50), Some(850_000)),]
    );
    assert_eq!(day.ask.gaps(at(60)), [(at(20), at(50))]);
    assert_eq!(day.live.gaps(at(60)), [(at(40), at(50))]);
    assert_eq!((day.counts(), day.trades.len()), ((2, 2), 2));
    let sample = |second: u64| {
        let samples = day.depth.samples();
        let place = samples.place(at(second));
        let mut before = samples.iter().filter(|(other, _)| *other <= place);
        before.next_back().map(|(_, sample)| sample.0.clone().unwrap().to_vec())
    };
    use MarketSide::{Buy, Sell};
    assert_eq!(
        sample(10).unwrap(),
        [
            (Buy, 390_000, 1_000_000),
            (Buy, 400_000, 10_000_000),
            (Buy, 410_000, 2_000_000),
            (Sell, 450_000, 5_000_000)
        ]
    );
    assert_eq!(sample(20).unwrap().len(), 3);
    assert_eq!(sample(45).unwrap(), []);
    assert_eq!(sample(55).unwrap().len(), 3);
}

#[test]
fn a_column_keeps_its_first_lowest_highest_and_last_point() {
    let mut series = Series::default();
    let values = [5, 9, 1, 4, 4, 6];
    for (at_ns, value) in values.into_iter().enumerate() {
        series.set(START_NS + at_ns as u64, Some(value));
    }
    let all: Vec<u64> = series.points().iter().map(|point| point.1.unwrap()).collect();
    assert_eq!(all, [5, 9, 1, 6]);
    // A day later each column has four points at most, and the extremes are still there.
    for place in 0..100_000u64 {
        series.set(START_NS + place * SECOND_NS, Some(2 + place % 7));
    }
    let points = series.points();
    assert!(points.len() <= 4 * COLUMNS as usize && points.is_sorted_by_key(|point| point.0));
    let value = |point: &Point| point.1.unwrap();
    assert_eq!(
        (points.iter().map(value).min(), points.iter().map(value).max()),
        (Some(1), Some(9))
    );
}

#[test]
fn near_trades_of_one_price_become_one_mark_when_there_are_too_many() {
    let mut day = MarketDay::default();
    for place in 0..50_000 {
        let side = if place % 2 == 0 { MarketSide::Buy } else { MarketSide::Sell };
        day.on_trade(START_NS + place * 1_000_000, 400_000 + 10_000 * (place % 3) as u32, 3, side);
    }
    let marks = &day.trades;
    assert!(marks.len() <= TRADES_MAX && marks.len() > 100, "{}", marks.len());
    let sum = |of: fn(&TradeMark) -> u64| marks.iter().map(of).sum::<u64>();
    assert_eq!((sum(|mark| mark.count), sum(|mark| mark.size)), (50_000, 150_000));
    // As many prices as there are: no loop without end, and no more marks.
    for price in 0..20_000 {
        day.on_trade(at(100), price, 1, MarketSide::Buy);
    }
    assert!(day.trades.len() <= TRADES_MAX);
}

#[test]
fn the_plot_has_axes_curves_marks_and_what_was_not_live() {
    let caption = Caption {
        title: "Rain & \"sun\" <1>".into(),
        lines: ["market 0xa".into(), "token 7".into()],
        tick: Some(10_000),
    };
    let svg = render(&small(), &caption, at(60)).unwrap();
    let texts = texts(&svg);
    let has = |text: &str| texts.iter().any(|t| t == text);
    for text in [
        "Rain &amp; &quot;sun&quot; &lt;1&gt;",
        "price, dollars",
        "receive time, UTC",
        "07:00:10",
        "bought: 1",
        "sold: 1",
        "book not live",
        "size at a price",
        "0.40",
        "market 0xa",
    ] {
        assert!(has(text), "{text}: {texts:?}");
    }
    for class in ["line bid", "line ask", "line mid", "trade buy mark", "trade sell hollow"] {
        assert_eq!(svg.matches(&format!("<path class=\"{class}\"")).count(), 1, "{class}");
    }
    // The bid: two steps, a gap, one step.
    let bid = svg.split("class=\"line bid\" d=\"").nth(1).unwrap().split('"').next().unwrap();
    let count = |letter: char| bid.matches(letter).count();
    assert_eq!([count('M'), count('H'), count('V')], [2, 3, 1], "{bid}");
    assert!(svg.matches("class=\"cells\"").count() >= 4);
    assert!(numbers(&svg, "x").iter().all(|x| (0.0..=1040.0).contains(x)));
    assert_eq!(render(&MarketDay::default(), &caption, at(60)), None);
    let mut never_live = MarketDay::default();
    never_live.on_not_live(at(1));
    assert!(render(&never_live, &caption, at(60)).is_none());
}

#[test]
fn the_worst_book_gives_less_than_two_megabytes() {
    let mut day = MarketDay::default();
    let mut random = 1u64;
    for second in 0..3_000u64 {
        let level = |price: u32| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let side = if price < 500 { MarketSide::Buy } else { MarketSide::Sell };
            (side, price * 1_000, 1 << ((random >> 40) % 40))
        };
        let levels: Vec<DepthLevel> = (1..1_000).map(level).collect();
        day.on_book(at(second), levels.into_iter());
        let bid = 1_000 + (second % 400) as u32 * 1_000;
        day.on_top(at(second), Some(bid), Some(999_000 - bid));
        day.on_trade(at(second), bid, 1 << (second % 30), MarketSide::Buy);
        day.on_trade(at(second), bid + 1_000, 1, MarketSide::Sell);
    }
    let caption = Caption { tick: Some(1_000), ..Caption::default() };
    let svg = render(&day, &caption, at(3_000)).unwrap();
    assert!(svg.len() < 2_000_000, "{}", svg.len());
    assert_eq!(svg, render(&day, &caption, at(3_000)).unwrap());
}
