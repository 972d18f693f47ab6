//! Forms of condition ids and of position ids.
use super::*;

#[test]
fn a_condition_has_one_canonical_form() {
    let short = format!("0x01{}", "bC".repeat(30));
    let long = format!("0x01{}00", "bc".repeat(30));
    for text in [&short, &long, &long.to_uppercase(), &format!("0X{}", &short[2..])] {
        assert_eq!(market_id(text).unwrap().as_str(), long, "{text}");
        assert_eq!(is_canonical(text), *text == long, "{text}");
    }
    assert_eq!(short_form(&market_id(&short).unwrap()), Some(&long[..64]));
    for text in ["KXMVE-26-AB", "0xA1", &"F".repeat(64), &format!("0x{}", "g".repeat(62))] {
        assert_eq!(market_id(text).unwrap().as_str(), text, "no condition: unchanged");
        assert!(is_canonical(text), "{text}");
        assert_eq!(short_form(&market_id(text).unwrap()), None);
    }
    assert_eq!(short_form(&market_id(&format!("0x{}", "1".repeat(64))).unwrap()), None);
    assert_eq!(market_id(""), None);
    assert_eq!(market_id("a b"), None);
}

#[test]
fn positions_differ_from_tokens_of_v1() {
    let is = |text: &str| is_position(&TokenId::new(text).unwrap());
    // Module, some bits above 104, the outcome.
    assert!(is("452312848587682254118947865467376451881589392431889467106046302242318843904"));
    assert!(is("452312848587682254118947865467376451881589392431889467106046302242318843905"));
    // 1 << 248 and 1 << 248 | 0xff, then one bit too low and one too high of the zeros.
    let module = "452312848583266388373324160190187140051835877600158453279131187530910662656";
    assert!(is(module));
    assert!(is("452312848583266388373324160190187140051835877600158453279131187530910662911"));
    assert!(!is("452312848583266388373324160190187140051835877600158453279131188630422290432"));
    assert!(!is("452312848583266388373324160190187140051835887741363255104966399504536305664"));
    // V1 tokens, and numbers that are too small or too large.
    assert!(!is("104239898038807136052399800151408521467737075933964991162589336683346093173875"));
    assert!(!is("7") && !is("KX-A") && !is(&"9".repeat(78)));
}
