//! Built-in profiles, and lines with faults.
use super::*;

#[test]
fn built_in_profiles_are_valid() {
    for (name, _) in BUILT_IN {
        let profile = Profile::ours(name).unwrap();
        assert_eq!(profile.word("io_uring"), Some("on"), "{name}");
        assert!(profile.number("open_files") >= Some(1024), "{name}");
    }
    assert_eq!(Profile::ours("vm-2").unwrap().shard_cores, [1]);
    let error = Profile::ours("vm").unwrap_err().to_string();
    assert!(error.contains("laptop, vm-2, server-32"), "{error}");
}

#[test]
fn lines_are_checked() {
    for (text, why) in [
        ("swappiness", "line 1: expected key=value"),
        ("swappiness = 1", "line 1: expected key=value"),
        ("about=x\nswapiness=1", "line 2: no key swapiness"),
        ("swappiness=1\nswappiness=2", "line 2: swappiness is given twice"),
        ("swappiness=$(id)", "swappiness does not take this value"),
        ("swappiness=", "swappiness does not take this value"),
        ("governor=../../etc", "does not take this value"),
        ("shard_cores=3-2", "shard_cores takes a list"),
        ("limits_user=root x", "does not take this value"),
        ("clock_source=t", "does not take this value"),
    ] {
        let error = Profile::parse("x", text).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
    let profile = Profile::parse("x", "# a\n\n  # b\nswappiness=keep\nshard_cores=5,2-3").unwrap();
    assert_eq!((profile.word("swappiness"), profile.number("swappiness")), (None, None));
    assert_eq!(profile.shard_cores, [2, 3, 5]);
}

#[test]
fn a_host_gets_the_profile_of_its_kind() {
    let mut facts = Facts { online: vec![0, 1], ..Facts::default() };
    assert_eq!(Profile::guess(&facts).name, "laptop");
    facts.cpu_flags = vec!["hypervisor".into()];
    assert_eq!(Profile::guess(&facts).name, "vm-2");
    facts.online = (0..64).collect();
    assert_eq!(Profile::guess(&facts).name, "server-32");
    facts.battery = true;
    assert_eq!(Profile::guess(&facts).name, "laptop");
}
