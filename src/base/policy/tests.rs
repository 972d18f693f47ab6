//! Idle policies and latency tables as text.
use super::*;

#[test]
fn an_idle_policy_is_read_as_it_is_written() {
    for text in ["park", "adaptive", "adaptive:50%", "adaptive:1%", "spin"] {
        assert_eq!(Idle::parse(text).unwrap().to_string(), text);
    }
    assert_eq!(Idle::parse("adaptive:50"), Some(Idle::Adaptive { cpu_percent: 50 }));
    assert_eq!(Idle::parse("adaptive:100%"), Some(Idle::ADAPTIVE));
    for bad in ["", "sleepy", "adaptive:", "adaptive:0%", "adaptive:101%", "adaptive:%", "spin:50%"]
    {
        assert_eq!(Idle::parse(bad), None, "{bad}");
    }
}

#[test]
fn tables_are_four_numbers_within_the_bound() {
    let large = ConnectionTable { tickers: 2, trades: 2, lifecycle: 2, books: 144 };
    assert_eq!(ConnectionTable::parse("2,2,2,144"), Some(large));
    let small = ConnectionTable { tickers: 0, trades: 1, lifecycle: 1, books: 4 };
    assert_eq!(ConnectionTable::parse("0, 1, 1, 4"), Some(small));
    for bad in ["", "1,2,3", "1,2,3,4,5", "1,1,1,0", "a,1,1,1", "-1,1,1,1", "1,1,1,60000"] {
        assert_eq!(ConnectionTable::parse(bad), None, "{bad}");
    }
}

#[test]
fn members_and_one_that_joins_have_no_more_connections_than_the_account() {
    let table = |text| ConnectionTable::parse(text).unwrap();
    let all = table("2,2,2,144");
    assert_eq!(all.share(0, 1).total(), 0, "it has not joined");
    let expected = [(1, "2,2,2,69"), (2, "2,2,2,44"), (11, "2,2,2,6"), (24, "1,1,1,3")];
    for (members, share) in expected {
        assert_eq!(all.share(members, 1), table(share), "{members}");
    }
    for members in 1..=36 {
        let [now, then] =
            [members, members + 1].map(|count| u64::from(all.share(count, 1).total()));
        assert!(members * now + then <= 150 || members == 36, "{members}");
        assert!((members + 1) * now <= 150, "{members}");
    }
    // One of each purpose, and one for each shard's books, even where that is too much.
    assert_eq!(all.share(1_000, 4), table("1,1,1,4"));
    assert_eq!(table("0,2,1,3").share(9, 4), table("0,1,1,3"));
}
