//! Keys become flags, flags replace keys, and every fault has its line.
use super::*;

fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ringbook.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

fn line_with(text: &str, more: &[&str]) -> Result<Vec<String>, String> {
    let (_folder, path) = file(text);
    let line = [&["ringbook", "run", "--config", &path], more].concat();
    let line = with_file(line.into_iter().map(OsString::from).collect());
    let (line, _) = line.map_err(|error| error.to_string().replace(&path, "FILE"))?;
    Ok(line[4..].iter().map(|text| text.to_str().unwrap().to_owned()).collect())
}

const WHOLE: &str = r#"
venue = ["polymarket", "kalshi"]
shard-cores = [1, "2-3"]
serve = "127.0.0.1:9300"
serve-name = ["a.example", "b.example"]
lag-warn = 7
no-discovery = true
gateway-follow = false
log = "warn"
"#;

#[test]
fn a_key_is_the_flag_of_its_name() {
    let expected = [
        "--venue=polymarket",
        "--venue=kalshi",
        "--shard-cores=1,2-3",
        "--serve=127.0.0.1:9300",
        "--serve-name=a.example",
        "--serve-name=b.example",
        "--lag-warn=7",
        "--no-discovery",
        "--log=warn",
    ];
    assert_eq!(line_with(WHOLE, &[]).unwrap(), expected);
    let cli = Cli::try_parse_from([&["ringbook", "run"][..], &expected].concat()).unwrap();
    assert_eq!(cli.log, log::LevelFilter::Warn);
}

#[test]
fn a_flag_of_the_command_line_replaces_the_key() {
    let line = line_with(WHOLE, &["--lag-warn", "9", "--serve-name", "c.example"]).unwrap();
    let of = |flag: &str| line.iter().filter(|text| text.starts_with(flag)).count();
    assert_eq!((of("--lag-warn=") + of("--serve-name="), of("--serve=")), (0, 1));
    // Other faults of the command line are its own.
    assert!(line_with("lag-warn = 7", &["--no-such-flag"]).is_ok());
    let without = ["ringbook", "topology"].map(OsString::from).to_vec();
    assert_eq!(with_file(without.clone()).unwrap().0, without);
}

#[test]
fn all_faults_are_reported_with_their_lines() {
    let text = "lag-warn = 7\nlagwarn = 7\nshards = \"two\"\nno-discovery = 1\nconfig = \"x\"\n\
                idle = \"sleepy\"\nserve = true\n[serve-name]\n";
    let fault = line_with(text, &[]).unwrap_err();
    let lines: Vec<&str> = fault.lines().collect();
    let begins = [
        "FILE:2: `lagwarn` is no flag of run; there is `lag-warn`",
        "FILE:3: invalid value 'two' for '--shards <COUNT>': invalid digit found in string",
        "FILE:4: `no-discovery` is true or false",
        "FILE:5: `config` is no flag of run",
        "FILE:6: invalid value 'sleepy' for '--idle <POLICY>': use park, adaptive,",
        "FILE:7: `serve` has a value, not true or false",
        "FILE:8: `serve-name` is a text, a number or a list of them",
    ];
    assert_eq!(lines.len(), begins.len(), "{fault}");
    for (line, begin) in lines.iter().zip(begins) {
        assert!(line.starts_with(begin), "{line}");
    }
    let fault = line_with("a = \nb = 2\nc 3", &[]).unwrap_err();
    let lines: Vec<&str> = fault.lines().collect();
    assert!(lines[0].starts_with("FILE:1: this is no TOML: "), "{fault}");
    assert!(lines.last().unwrap().starts_with("FILE:3: "), "{fault}");
    let missing =
        with_file(["ringbook", "run", "--config", "/no/file"].map(OsString::from).to_vec());
    assert!(missing.unwrap_err().to_string().contains("/no/file"));
}

#[test]
fn values_are_checked_with_each_other() {
    let checked = |text: &str| {
        let (_folder, path) = file(text);
        let checked = check(Path::new(&path));
        checked.map_err(|error| error.to_string().replace(&path, "FILE"))
    };
    assert_eq!(
        checked("market = [\"a\", \"b\"]\nno-discovery = true\nserve = \"[::1]:0\"\n"),
        Ok(3)
    );
    let fault = checked("lag-warn = 7\nserve-name = [\"a.example\"]\n").unwrap_err();
    assert!(fault.starts_with("FILE") && fault.contains("--serve"), "{fault}");
    let fault = checked("lag-warn = 7\ngateway = \"0.0.0.0:9400\"\n").unwrap_err();
    assert!(fault.starts_with("FILE:2: --gateway"), "{fault}");
    let fault = checked("shards = 2\nshard-cores = \"0\"\n").unwrap_err();
    assert!(fault.starts_with("FILE:1: --shards 2, but --shard-cores"), "{fault}");
}

#[test]
fn a_check_makes_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let histograms = folder.path().join("latencies");
    let (_folder, path) = file(&format!("histograms = {histograms:?}\n"));
    assert_eq!(check(Path::new(&path)), Ok(1));
    assert!(!histograms.exists());
}

#[test]
fn the_example_has_every_flag_and_its_defaults_are_valid() {
    let example = example();
    for flag in ["serve", "venue", "capture", "trades", "gateway-cert", "log", "audit"] {
        assert!(example.contains(&format!("\n# {flag} = ")), "{flag}");
    }
    let keys = example.lines().filter_map(|line| line.strip_prefix("# ")?.split_once(" = "));
    let names = |value: &str| {
        value.chars().any(char::is_uppercase) && !value.chars().any(char::is_lowercase)
    };
    let defaults =
        keys.filter(|(key, value)| !key.contains(' ') && *value != "true" && !names(value));
    let text: String = defaults.map(|(key, value)| format!("{key} = {value}\n")).collect();
    assert!(text.lines().count() > 10, "{text}");
    // What some of them are settings of.
    let used = r#"
        gateway = "127.0.0.1:9400"
        trades = "sqlite:t.db"
        capture = "c"
        bus = "kafka://127.0.0.1:9092/x""#;
    let text = format!("{}\n{text}", used.trim());
    let (_folder, path) = file(&text);
    assert_eq!(check(Path::new(&path)), Ok(text.lines().count()));
}
