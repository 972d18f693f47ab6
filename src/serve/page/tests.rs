//! Remedies, files and the policy of the page.
use super::*;

#[test]
fn every_condition_has_a_remedy() {
    for condition in CONDITIONS {
        let remedy = remedy(OPERATING, condition).unwrap_or_default();
        assert!(remedy.len() > 8 && remedy.ends_with('.'), "{condition}: {remedy:?}");
    }
    assert_eq!(remedy(OPERATING, "the moon is full"), None);
}

#[test]
fn the_page_names_only_files_that_there_are() {
    let mut named = 0;
    for file in FILES {
        let text = std::str::from_utf8(file.body).unwrap();
        assert!(!text.contains("https://"), "{}: no other host", file.path);
        for part in
            text.split('"').filter(|part| part.starts_with("/page/") || part.starts_with("./"))
        {
            let path = part.replacen("./", "/page/", 1);
            assert!(super::file(&path).is_some(), "{}: {path}", file.path);
            named += 1;
        }
    }
    assert!(named >= FILES.len(), "{named}");
}

#[test]
fn the_policy_is_sent_with_each_file() {
    for file in FILES {
        let response = super::file(file.path).unwrap();
        let policy = response.headers.iter().find(|(name, _)| *name == "Content-Security-Policy");
        assert!(policy.is_some_and(|(_, policy)| policy.starts_with("default-src 'none';")));
        assert!(response.content_type.ends_with("charset=utf-8") && !response.body.is_empty());
    }
    assert_eq!(super::file("/page/none.js"), None);
}
