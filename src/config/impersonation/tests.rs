//! Certificates made, renewed and refused in a temporary folder.
use super::*;
use std::os::unix::fs::PermissionsExt as _;

const NOW_S: u64 = 1_790_000_000;
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[test]
fn files_are_made_once_and_the_certificate_again_before_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("new");
    let files = Files::of(&folder);
    let made = |wall_s| prepare(&folder, HERE, &["clob.polymarket.com"], wall_s).unwrap();
    made(NOW_S);
    for key in [&files.authority_key, &files.certificate_key] {
        let mode = std::fs::metadata(key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", key.display());
    }
    let hosts = String::from_utf8(bytes(&files.hosts)).unwrap();
    assert!(hosts.ends_with("::1 localhost\n127.0.0.1 clob.polymarket.com\n"), "{hosts}");
    let [authority, first] = [bytes(&files.authority), bytes(&files.certificate)];
    made(NOW_S + CERTIFICATE_S - RENEWAL_S - DAY_S);
    assert_eq!(bytes(&files.certificate), first, "kept");
    made(NOW_S + CERTIFICATE_S - RENEWAL_S + DAY_S);
    assert_ne!(bytes(&files.certificate), first, "made again");
    assert_eq!(bytes(&files.authority), authority, "clients trust it");
    std::fs::write(&files.certificate, "damaged").unwrap();
    made(NOW_S);
}

#[test]
fn the_authority_signs_for_nothing_but_the_venues_and_this_host() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path(), HERE, &[], NOW_S).unwrap();
    let files = Files::of(folder.path());
    let authority = bytes(&files.authority);
    for (name, is_trusted) in [
        ("clob.polymarket.com", true),
        ("demo-api.kalshi.co", true),
        ("localhost", true),
        ("127.0.0.1", true),
        ("polymarket.com", false),
        ("example.com", false),
        ("192.0.2.1", false),
        ("2001:db8::1", false),
    ] {
        make_certificate(&files, &[name], NOW_S).unwrap();
        let [chain, key] = [bytes(&files.certificate), bytes(&files.certificate_key)];
        let identity = Identity::from_pem(&chain, &key).unwrap();
        let result = identity.check_names(&authority, &[name], NOW_S);
        assert_eq!(result.is_ok(), is_trusted, "{name}: {result:?}");
    }
}

#[test]
fn unusable_files_are_named_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let files = Files::of(folder);
    let error = || prepare(folder, HERE, &[], NOW_S).unwrap_err();
    prepare(folder, HERE, &[], NOW_S).unwrap();
    std::fs::remove_file(&files.certificate).unwrap();
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&files.authority_key, open).unwrap();
    assert!(error().contains("authority-key.pem: others may read it; `chmod 600"), "{}", error());
    std::fs::remove_file(&files.authority_key).unwrap();
    assert!(error().contains("authority-key.pem: cannot be read"), "{}", error());
    std::fs::write(&files.authority, "no certificate").unwrap();
    assert!(error().contains("authority-key.pem"), "{}", error());
    let file = files.hosts.join("below a file");
    let line = prepare(&file, HERE, &[], NOW_S).unwrap_err();
    assert!(line.ends_with("name another folder"), "{line}");
}
