//! Resolution of the `Location` of a redirect against the request URL (RFC 3986, 5.2).
//!
//! Runs on:  any (pure).

/// The absolute URL of `location`, without fragment; `None` if `base` is not absolute.
pub(super) fn resolve(base: &str, location: &str) -> Option<String> {
    let without_fragment = |text: &'_ str| text.split('#').next().unwrap_or_default().to_owned();
    let (base, location) = (without_fragment(base), without_fragment(location));
    let (scheme, rest) = base.split_once("://")?;
    let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path_and_query) = rest.split_at(authority_end);
    let path = path_and_query.split('?').next().unwrap_or_default();
    if let Some((new_scheme, new_rest)) = location.split_once("://")
        && !new_scheme.is_empty()
        && new_scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    {
        let end = new_rest.find(['/', '?']).unwrap_or(new_rest.len());
        let (authority, rest) = new_rest.split_at(end);
        return Some(format!("{new_scheme}://{authority}{}", normal(rest)));
    }
    if let Some(rest) = location.strip_prefix("//") {
        return Some(format!("{scheme}://{rest}"));
    }
    let target = if location.is_empty() {
        path_and_query.to_owned()
    } else if location.starts_with('/') {
        location
    } else if location.starts_with('?') {
        format!("{path}{location}")
    } else {
        let folder = path.rfind('/').map_or("/", |slash| &path[..=slash]);
        format!("{folder}{location}")
    };
    Some(format!("{scheme}://{authority}{}", normal(&target)))
}

/// A path and query; the path begins with a slash and has no `.` and `..` segments.
fn normal(path_and_query: &str) -> String {
    let query_at = path_and_query.find('?').unwrap_or(path_and_query.len());
    let (path, query) = path_and_query.split_at(query_at);
    let mut segments: Vec<&str> = Vec::new();
    let mut parts = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        match part {
            "." | ".." => {
                if part == ".." {
                    segments.pop();
                }
                if last {
                    segments.push("");
                }
            }
            part => segments.push(part),
        }
    }
    format!("/{}{query}", segments.join("/"))
}

#[cfg(test)]
mod tests;
