//! Decimals compared with those of `base`, and nested objects.
use super::*;

#[test]
fn decimals_agree_with_the_words_of_base() {
    let mut random = crate::base::random::Random::new(1);
    for _ in 0..10_000 {
        let units = random.next_u64() >> (random.below(60));
        let mut out = Vec::new();
        push_quantity(&mut out, Quantity(units));
        assert_eq!(String::from_utf8(out).unwrap(), Quantity(units).to_string());
    }
}

#[test]
fn objects_escape_and_nest_text() {
    let mut out = Vec::new();
    let mut object = Object::new(&mut out);
    object.text("a", "say \"x\"\n").plain("b", 1.5).texts_in_text("c", &["Yes", "No"]);
    object.end();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text, r#"{"a":"say \"x\"\n","b":1.5,"c":"[\"Yes\", \"No\"]"}"#);
}
