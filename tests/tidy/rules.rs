//! The rules, each from sources to breaches.
use super::source::{Breach, Named, Source, named, tokens};
use super::{
    EMPTY_NAMES, EXCEPTIONS, Exception, IO_BOUNDARY, LAYERS, LINES_MAX, PRINTING, PRIVATE_PATHS,
    RECORDINGS, TOP_LEVEL, UNFINISHED_MACROS, UNFINISHED_MARKERS, VENUE_FREE, VENUE_NAMES,
};

/// This test contains the markers that it looks for.
const SELF: &str = "tests/tidy";

fn excepted(file: &str, named: &Named) -> Option<&'static Exception> {
    EXCEPTIONS.iter().find(|exception| exception.file == file && named.reaches(exception.name))
}

/// Each module names only the modules that its row allows.
pub(crate) fn layers(sources: &[Source]) -> Vec<Breach> {
    sources.iter().flat_map(layer).collect()
}

fn layer(source: &Source) -> Vec<Breach> {
    let Some(layer) = source.layer().filter(|_| source.is_rust()) else { return Vec::new() };
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
        return vec![source.breach(1, format!("`{layer}` has no row in LAYERS"))];
    };
    let mut breaches = Vec::new();
    for name in named(source) {
        if name.path[0] != "crate" || excepted(&source.file, &name).is_some() {
            continue;
        }
        let target = name.path.get(1).map_or("", String::as_str);
        if target.is_empty() || target == "*" {
            breaches.push(source.breach(name.line, "names the whole crate; name its modules"));
        } else if target != layer
            && LAYERS.iter().any(|(name, _)| *name == target)
            && !allowed.contains(&target)
            && !(name.in_tests && is_below(allowed, target))
        {
            let path = name.path.join("::");
            let what = format!("`{layer}` must not use `{target}` (here `{path}`)");
            breaches.push(source.breach(name.line, what));
        }
    }
    breaches
}

/// Whether a layer with this row reaches `target` through others: its unit tests may then build
/// what it only receives.
fn is_below(allowed: &[&str], target: &str) -> bool {
    let rows = LAYERS.iter().filter(|(name, _)| allowed.contains(name));
    rows.into_iter().any(|(_, below)| below.contains(&target) || is_below(below, target))
}

/// Rows allow only rows above them: there is no circle.
pub(crate) fn order() -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (place, (layer, allowed)) in LAYERS.iter().enumerate() {
        for target in *allowed {
            if !LAYERS[..place].iter().any(|(above, _)| above == target) {
                let what = format!("row `{layer}` allows `{target}`, which is not above it");
                breaches.push(Breach { file: "tests/tidy.rs".into(), line: 1, what });
            }
        }
    }
    breaches
}

/// What has its place is named there only; and no exception outlives its reason. Unit tests are
/// exempt: they simulate the venue, the kernel and the other thread.
pub(crate) fn io_boundary(sources: &[Source]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut used = vec![false; EXCEPTIONS.len()];
    for source in sources.iter().filter(|source| source.file.starts_with("src/")) {
        for name in named(source).into_iter().filter(|name| !name.in_tests) {
            if let Some(exception) = excepted(&source.file, &name) {
                let place = EXCEPTIONS.iter().position(|e| std::ptr::eq(e, exception));
                used[place.expect("it was found there")] = true;
            } else if let Some(what) = out_of_place(&source.file, &name) {
                breaches.push(source.breach(name.line, what));
            }
        }
    }
    for (exception, _) in EXCEPTIONS.iter().zip(used).filter(|(_, used)| !used) {
        if sources.iter().any(|source| source.file == exception.file) {
            let Exception { file, name, why } = exception;
            let what = format!("no longer names `{name}`: drop its exception ({why})");
            breaches.push(Breach { file: (*file).to_owned(), line: 1, what });
        }
    }
    breaches
}

fn out_of_place(file: &str, name: &Named) -> Option<String> {
    let reach = IO_BOUNDARY.iter().find(|reach| {
        !reach.only.iter().any(|place| file.starts_with(place))
            && reach.names.iter().any(|target| name.reaches(target))
    })?;
    Some(format!("`{}` is out of place: {}", name.path.join("::"), reach.why))
}

/// Files are short, and called after what they hold.
pub(crate) fn room(source: &Source) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let lines = source.text.lines().count();
    if source.is_rust() && lines > LINES_MAX {
        breaches.push(source.breach(lines, format!("{lines} lines; {LINES_MAX} are the most")));
    }
    let parts = source.file.split('/').map(|part| part.split('.').next().unwrap_or(part));
    for name in parts.filter(|name| EMPTY_NAMES.contains(name)) {
        breaches.push(source.breach(1, format!("`{name}` is no noun of the domain")));
    }
    let top = source.file.split('/').next().unwrap_or("");
    if !top.starts_with('.') && !TOP_LEVEL.contains(&top) {
        breaches.push(source.breach(1, format!("`{top}` does not belong at the top level")));
    }
    breaches
}

/// What a module is, and who runs it.
pub(crate) fn header(source: &Source) -> Vec<Breach> {
    let mut breaches = Vec::new();
    if !source.is_rust() {
        return breaches;
    }
    let first = source.text.lines().next().unwrap_or("");
    if !first.starts_with("//! ") || !first.ends_with('.') {
        breaches.push(source.breach(1, "the first line is `//! `, a noun phrase and a period"));
    }
    let in_src = source.file.starts_with("src/");
    let is_map = source.file == "src/lib.rs";
    let is_test = source.file.ends_with("/tests.rs");
    let mut heading = source.text.lines().take_while(|line| line.starts_with("//!"));
    if in_src && !is_map && !is_test && !heading.any(|line| line.starts_with("//! Runs on:  ")) {
        breaches.push(source.breach(1, "the header has no line `//! Runs on:  `"));
    }
    breaches
}

/// Lints are answered by better code, or by an expectation that has a reason.
pub(crate) fn lint(source: &Source) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let threshold = "too-many-lines-threshold = 70";
    if source.file == ".clippy.toml" && !source.text.lines().any(|line| line == threshold) {
        breaches.push(source.breach(1, "functions are under 70 lines: too-many-lines-threshold"));
    }
    let lines: Vec<&str> = source.text.lines().collect();
    let tokens = tokens(&source.code);
    for (place, token) in tokens.iter().enumerate() {
        let next = tokens.get(place + 1).map_or("", |token| token.text);
        let from = token.line.saturating_sub(10);
        let above = lines.get(from..token.line.min(lines.len())).unwrap_or_default().join("\n");
        let reasoned = above.contains("expect(unsafe_code") && above.contains("reason = ");
        match token.text {
            "unsafe" if !reasoned || !above.contains("SAFETY:") => {
                let what = "unsafe without #[expect(unsafe_code, reason = …)] and // SAFETY:";
                breaches.push(source.breach(token.line, what));
            }
            "allow" if next == "(" && source.file.starts_with("src/") => {
                breaches.push(source.breach(token.line, "#[expect(…, reason = …)], not allow"));
            }
            "too_many_lines" => {
                breaches.push(source.breach(token.line, "a function under 70 lines, no exception"));
            }
            _ => {}
        }
    }
    breaches
}

/// Layers that know a venue by what it can do only name none.
pub(crate) fn venues(source: &Source) -> Vec<Breach> {
    let is_free = source.layer().is_some_and(|layer| VENUE_FREE.contains(&layer));
    if !is_free || source.file.ends_with("/tests.rs") || source.file.contains("/tests/") {
        return Vec::new();
    }
    let lines = source.text.lines().zip(1..);
    let code = lines.filter(|(line, _)| !line.trim_start().starts_with("//"));
    let named = code.filter_map(|(line, number)| {
        let line = line.to_lowercase();
        let name = VENUE_NAMES.iter().find(|name| line.contains(*name))?;
        Some(
            source
                .breach(number, format!("`{name}`: this layer knows a venue's capabilities only")),
        )
    });
    named.collect()
}

/// One module of the program prints; unit tests may too.
pub(crate) fn printing(source: &Source) -> Vec<Breach> {
    let is_test = source.file.ends_with("/tests.rs");
    if !source.file.starts_with("src/") || is_test || source.file == "src/io/output.rs" {
        return Vec::new();
    }
    let mut breaches = Vec::new();
    for three in tokens(&source.code).windows(3) {
        let [before, name, after] = [three[0].text, three[1].text, three[2].text];
        let is_macro = PRINTING.contains(&before) && name == "!" && after != "=";
        let is_stream = before == "::" && matches!(name, "stdout" | "stderr");
        if is_macro || is_stream {
            let what =
                format!("`{before}{name}`: printing fails when the reader is gone; use io::output");
            breaches.push(source.breach(three[0].line, what));
        }
    }
    breaches
}

/// No unfinished work, no private paths, no invisible characters.
pub(crate) fn text(source: &Source) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let is_prose = [".rs", ".toml", ".md", ".sh", ".yml"].iter().any(|e| source.file.ends_with(e));
    if !is_prose && !source.file.starts_with('.') && !source.file.starts_with("tuning/") {
        return breaches;
    }
    let tokens = tokens(&source.code);
    for pair in tokens.windows(2) {
        if pair[1].text == "!" && UNFINISHED_MACROS.contains(&pair[0].text) {
            breaches.push(source.breach(pair[0].line, format!("`{}!` is left", pair[0].text)));
        }
    }
    for (index, line) in source.text.split('\n').enumerate() {
        let number = index + 1;
        if line.ends_with([' ', '\t', '\r']) {
            breaches.push(source.breach(number, "space at the end of the line"));
        }
        if line.contains('\t') {
            breaches.push(source.breach(number, "a tab; spaces please"));
        }
        if source.file.starts_with(SELF) {
            continue;
        }
        let mut names = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        if let Some(name) = names.find(|name| UNFINISHED_MARKERS.contains(name)) {
            breaches.push(source.breach(number, format!("unfinished: {name}")));
        }
        let ours = line.replace(RECORDINGS, "");
        if let Some(place) = PRIVATE_PATHS.iter().find(|place| ours.contains(**place)) {
            breaches.push(source.breach(number, format!("`{place}` is no part of a clone")));
        }
    }
    breaches
}

/// No package of another runtime in the lock file.
pub(crate) fn lock(source: &Source) -> Vec<Breach> {
    let mut breaches = Vec::new();
    if source.file != "Cargo.lock" {
        return breaches;
    }
    for (index, line) in source.text.lines().enumerate() {
        if line.starts_with("name = \"tokio") {
            breaches.push(source.breach(index + 1, format!("{line}: no tokio, not even nested")));
        }
    }
    breaches
}

/// The crate of the guided fuzzer is not built here: its manifest has every package that a fuzz target uses.
pub(crate) fn guided_packages(sources: &[Source]) -> Vec<Breach> {
    const MANIFEST: &str = "tests/fuzz/guided/Cargo.toml";
    let manifest = sources.iter().find(|source| source.file == MANIFEST);
    let manifest = manifest.map_or("", |source| source.text.as_str());
    let has =
        |package: &str| manifest.lines().any(|line| line.starts_with(&format!("{package} =")));
    let targets = sources.iter().filter(|source| source.file.starts_with("tests/fuzz/target/"));
    let used = targets.flat_map(|source| {
        source.text.lines().enumerate().filter_map(move |(number, line)| {
            let name =
                line.trim_start().strip_prefix("use ")?.split(&[':', ';', ' '][..]).next()?;
            let package = name.replace('_', "-");
            let of_package = !["std", "core", "crate", "super", "self"].contains(&name);
            (of_package && !has(name) && !has(&package))
                .then(|| source.breach(number + 1, format!("{MANIFEST} has no {package}")))
        })
    });
    used.collect()
}
