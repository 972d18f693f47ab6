//! The lock file of the comparison's package against the manifests that it locks, without network or build.
use super::source::{Breach, Source};
use toml::{Table, Value};

/// Manifests and the lock file of the package outside the build: it fails with `--locked` where they disagree.
const MANIFESTS: [(&str, &str); 2] =
    [("Cargo.toml", "ringbook"), ("benches/peers/Cargo.toml", "ringbook-peers")];
const LOCK: &str = "benches/peers/Cargo.lock";
const REMEDY: &str = "run `cargo update --workspace` in benches/peers";

/// Every dependency of both manifests is locked at a version that they accept, and no other is.
pub(crate) fn peers(sources: &[Source]) -> Vec<Breach> {
    let table = |file: &str| -> Table {
        let source = sources.iter().find(|source| source.file == file);
        let source = source.unwrap_or_else(|| panic!("{file} is missing"));
        source.text.parse().unwrap_or_else(|error| panic!("{file}: {error}"))
    };
    let lock = table(LOCK);
    let check = |(manifest, package)| disagreements(&table(manifest), &lock, package);
    let whats = MANIFESTS.into_iter().flat_map(check);
    whats.map(|what| Breach { file: LOCK.into(), line: 1, what }).collect()
}

fn disagreements(manifest: &Table, lock: &Table, package: &str) -> Vec<String> {
    let packages = lock["package"].as_array().expect("a list of packages");
    let text = |package: &Value, key: &str| package[key].as_str().expect("a text").to_owned();
    let locked = packages.iter().find(|locked| locked["name"].as_str() == Some(package));
    let locked = locked.unwrap_or_else(|| panic!("{package} is not in {LOCK}"));
    let mut locked: Vec<(String, String)> = (locked["dependencies"].as_array())
        .expect("a list of dependencies")
        .iter()
        .map(|dependency| {
            // With its version where the lock file has several.
            let mut words = dependency.as_str().expect("a text").split(' ');
            let name = words.next().expect("a name");
            let only = packages.iter().find(|package| package["name"].as_str() == Some(name));
            let version = words.next().map(str::to_owned);
            let version = version.or_else(|| only.map(|package| text(package, "version")));
            (name.to_owned(), version.expect("a locked package"))
        })
        .collect();
    let mut whats = Vec::new();
    for (name, dependency) in manifest["dependencies"].as_table().expect("dependencies") {
        // Of a feature that the comparison does not use.
        if dependency.get("optional").and_then(Value::as_bool) == Some(true) {
            continue;
        }
        let wanted = dependency.as_str().or_else(|| dependency.get("version")?.as_str());
        let found = locked.iter().position(|(locked, version)| {
            locked == name && wanted.is_none_or(|wanted| accepts(wanted, version))
        });
        match found {
            Some(place) => drop(locked.remove(place)),
            None => {
                let wanted = wanted.unwrap_or("any");
                whats.push(format!("{package} needs {name} {wanted}, which it has not: {REMEDY}"));
            }
        }
    }
    let left = locked.into_iter();
    whats.extend(left.map(|(name, _)| format!("{package} does not need {name}: {REMEDY}")));
    whats
}

/// Whether a requirement (`1.2` or `=1.2.3`) accepts a version.
fn accepts(wanted: &str, version: &str) -> bool {
    if let Some(exact) = wanted.strip_prefix('=') {
        return exact == version.split('+').next().unwrap_or(version);
    }
    let numbers = |text: &str| -> Vec<u64> {
        let text = text.split(['-', '+']).next().unwrap_or(text);
        text.split('.').map(|number| number.parse().expect("a number of a version")).collect()
    };
    let (wanted, version) = (numbers(wanted), numbers(version));
    // Up to the first number that is not 0, or as far as the requirement goes, they are equal.
    let fixed = wanted.iter().position(|&number| number > 0).unwrap_or(wanted.len() - 1) + 1;
    version[..fixed] == wanted[..fixed] && version >= wanted
}

#[test]
fn what_a_lock_file_lacks_is_found() {
    let lock: Table = r#"
        [[package]]
        name = "ringbook"
        version = "0.1.0"
        dependencies = ["a", "b 0.2.5", "gone"]
        [[package]]
        name = "a"
        version = "1.4.0"
        [[package]]
        name = "b"
        version = "0.1.0"
        [[package]]
        name = "gone"
        version = "1.0.0"
    "#
    .parse()
    .unwrap();
    let found = |dependencies: &str| {
        let manifest = format!("[dependencies]\n{dependencies}").parse().unwrap();
        disagreements(&manifest, &lock, "ringbook")
    };
    assert_eq!(found("a = \"1.3\"\nb = { version = \"=0.2.5\" }\ngone = \"1\""), [""; 0]);
    let optional =
        "a = \"1\"\nb = \"=0.2.5\"\ngone = \"1\"\nnew = { version = \"3\", optional = true }";
    assert_eq!(found(optional), [""; 0]);
    let all = found("a = \"1.5\"\nb = \"0.2\"\nnew = \"3\"");
    let begins = ["ringbook needs a 1.5,", "ringbook needs new 3,"];
    assert!(all.iter().zip(begins).all(|(what, begin)| what.starts_with(begin)), "{all:?}");
    assert_eq!(all.len(), 4, "{all:?}");
    assert!(accepts("0.2", "0.2.9") && !accepts("0.2", "0.3.0") && !accepts("2", "1.9.9"));
}
