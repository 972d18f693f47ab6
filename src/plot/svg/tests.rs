//! Elements as text, and a check of whole drawings.
use super::*;

/// Every tag closed in order, attributes quoted, no bare `&` or `<`; gives the texts.
pub(crate) fn texts(svg: &str) -> Vec<String> {
    let (mut open, mut texts, mut rest) = (Vec::new(), Vec::new(), svg);
    while let Some(start) = rest.find('<') {
        let between = rest[..start].trim();
        if !between.is_empty() {
            assert!(!between.contains('>') || open.last() == Some(&"style"), "{between}");
            for (at, _) in between.match_indices('&') {
                let known = ["&amp;", "&lt;", "&gt;", "&quot;"];
                assert!(known.iter().any(|entity| between[at..].starts_with(entity)));
            }
            texts.push(between.to_owned());
        }
        let end = start + rest[start..].find('>').expect("a tag has an end");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
            continue;
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap());
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest}");
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
    texts
}

/// Values of an attribute, in order.
pub(crate) fn numbers(svg: &str, attribute: &str) -> Vec<f64> {
    let pattern = format!(" {attribute}=\"");
    let values = svg.split(&pattern).skip(1).map(|rest| rest.split('"').next().unwrap());
    values.map(|value| value.parse().unwrap()).collect()
}

#[test]
fn texts_are_escaped_and_numbers_short() {
    let mut svg = Svg::new(10.0, 10.0, "a \"b\"");
    svg.text("", (1.04, -0.01), Anchor::Start, "AT&T <1>\u{7}\"x\"");
    svg.path("mark", "M0 0h1", "x < y");
    let svg = svg.finish();
    let texts = texts(&svg);
    assert_eq!(texts[1..], ["AT&amp;T &lt;1&gt; &quot;x&quot;", "x &lt; y"]);
    assert!(svg.contains("aria-label=\"a &quot;b&quot;\"") && svg.contains("x=\"1\" y=\"0\""));
    assert_eq!([0.05, 12.0, -3.25, 7.96].map(number), ["0.1", "12", "-3.2", "8"]);
}
