//! References of the standard.
use super::*;

#[test]
fn references_are_resolved_as_in_the_standard() {
    // The examples of RFC 3986, 5.4, that apply to HTTP.
    let base = "http://a/b/c/d?q";
    for (location, expected) in [
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//g", "http://g"),
        ("?y", "http://a/b/c/d?y"),
        ("g?y", "http://a/b/c/g?y"),
        ("g?y#s", "http://a/b/c/g?y"),
        ("#s", "http://a/b/c/d?q"),
        ("", "http://a/b/c/d?q"),
        (".", "http://a/b/c/"),
        ("..", "http://a/b/"),
        ("../g", "http://a/b/g"),
        ("../../g", "http://a/g"),
        ("../../../g", "http://a/g"),
        ("g?y/../x", "http://a/b/c/g?y/../x"),
        ("https://x:8443/y", "https://x:8443/y"),
        ("https://x", "https://x/"),
    ] {
        assert_eq!(resolve(base, location).as_deref(), Some(expected), "{location}");
    }
    assert_eq!(resolve("http://a", "g").as_deref(), Some("http://a/g"));
    assert_eq!(resolve("nowhere", "g"), None);
}
