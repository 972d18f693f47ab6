//! The authority and the certificate with which the gateway serves the venues' names.
//!
//! Runs on:  main thread, before anything starts. Owns: the files of a folder.
//!
//! The authority can sign for the venues' names and for this host only (RFC 5280, 4.2.1.10), since clients are made to
//! trust it. Files that exist are kept; a certificate that ends or lacks a name is made again by the same authority.
use crate::base::limits::SETTINGS_BYTES_MAX;
use crate::gateway::hosts::HOSTS;
use crate::io::file;
use crate::wire::tls::server::{Identity, IdentityError};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, date_time_ymd,
};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

const DAY_S: u64 = 24 * 60 * 60;
/// Validity of the authority.
const AUTHORITY_S: u64 = 3_650 * DAY_S;
/// Validity of the certificate: what clients accept at most.
const CERTIFICATE_S: u64 = 397 * DAY_S;
/// A certificate that ends within this time is made again.
const RENEWAL_S: u64 = 30 * DAY_S;
/// Names and addresses of this host that the certificate is for too.
const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The files.
struct Files {
    authority: PathBuf,
    authority_key: PathBuf,
    certificate: PathBuf,
    certificate_key: PathBuf,
    hosts: PathBuf,
}

impl Files {
    fn of(folder: &Path) -> Self {
        Self {
            authority: folder.join("authority.pem"),
            authority_key: folder.join("authority-key.pem"),
            certificate: folder.join("venues.pem"),
            certificate_key: folder.join("venues-key.pem"),
            hosts: folder.join("hosts"),
        }
    }
}

/// Makes the folder and what is missing in it, and reads the certificate. `names` are those of `hosts`, which clients
/// find at `address`.
///
/// # Errors
/// A file cannot be read or written, or the authority is of no use any more: one line with the remedy.
pub(super) fn prepare(
    folder: &Path,
    address: IpAddr,
    names: &[&str],
    wall_s: u64,
) -> Result<Identity, String> {
    std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    let files = Files::of(folder);
    if !files.authority.exists() && !files.authority_key.exists() {
        make_authority(&files, wall_s)?;
    }
    let authority = file::read_small(&files.authority, SETTINGS_BYTES_MAX)?;
    let all: Vec<&str> = HOSTS.iter().map(|(name, _)| *name).chain(OWN_NAMES).collect();
    let read = || -> Result<Identity, String> {
        let chain = file::read_small(&files.certificate, SETTINGS_BYTES_MAX)?;
        let key = file::read_private(&files.certificate_key)?;
        let fault = |error: IdentityError| format!("{}: {error}", files.certificate.display());
        let identity = Identity::from_pem(&chain, &key).map_err(fault)?;
        identity.check_names(&authority, &all, wall_s).map_err(fault)?;
        identity.check_names(&authority, &all[..1], wall_s + RENEWAL_S).map_err(fault)?;
        Ok(identity)
    };
    let identity = match read() {
        Ok(identity) => identity,
        Err(_) => {
            make_certificate(&files, &all, wall_s)?;
            read().map_err(|why| {
                format!(
                    "{why}; remove {} and have clients trust the new authority",
                    folder.display()
                )
            })?
        }
    };
    let text = hosts_text(address, names);
    std::fs::write(&files.hosts, text).map_err(|error| unwritable(&files.hosts, &error))?;
    Ok(identity)
}

/// A whole `/etc/hosts` for clients.
fn hosts_text(address: IpAddr, names: &[&str]) -> String {
    let address = if address.is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { address };
    let mut text = String::from("127.0.0.1 localhost\n::1 localhost\n");
    for name in names {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{address} {name}");
    }
    text
}

/// What the user does with the files, one line each.
#[must_use]
pub(super) fn advice(folder: &Path, address: SocketAddr) -> Vec<String> {
    // Clients run in other folders.
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let Files { authority, hosts, .. } = Files::of(&folder);
    let (authority, hosts) = (authority.display(), hosts.display());
    let mut lines = vec![
        format!(
            "impersonation: clients trust {authority} (Node: NODE_EXTRA_CA_CERTS={authority}; Python, Go, Rust: SSL_CERT_FILE={authority})"
        ),
        format!(
            "impersonation: clients, and not this process, find the venues' names by {hosts}: in a container, on another host, or by `unshare -rm sh -c 'mount --bind {hosts} /etc/hosts; exec CLIENT'`"
        ),
    ];
    if address.port() != 443 {
        lines.push(format!(
            "impersonation: clients connect to port 443: listen on {}:443, or redirect that to port {}",
            address.ip(),
            address.port()
        ));
    }
    lines
}

fn make_authority(files: &Files, wall_s: u64) -> Result<(), String> {
    let key = KeyPair::generate().map_err(unmade)?;
    let params = authority_params(&key, wall_s);
    let authority = params.self_signed(&key).map_err(unmade)?;
    write_private(&files.authority_key, &key.serialize_pem())?;
    let path = &files.authority;
    std::fs::write(path, authority.pem()).map_err(|error| unwritable(path, &error))
}

fn make_certificate(files: &Files, names: &[&str], wall_s: u64) -> Result<(), String> {
    let path = &files.authority_key;
    let pem = file::read_private(path)?;
    let key = String::from_utf8(pem).ok().and_then(|pem| KeyPair::from_pem(&pem).ok());
    let authority_key = key.ok_or_else(|| format!("{}: holds no private key", path.display()))?;
    // The issuer's name and key identifier come from the key.
    let issuer = Issuer::new(authority_params(&authority_key, wall_s), authority_key);
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).map_err(unmade)?;
    params.distinguished_name.push(DnType::CommonName, "ringbook gateway");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    set_period(&mut params, wall_s, CERTIFICATE_S);
    let key = KeyPair::generate().map_err(unmade)?;
    let certificate = params.signed_by(&key, &issuer).map_err(unmade)?;
    write_private(&files.certificate_key, &key.serialize_pem())?;
    let path = &files.certificate;
    std::fs::write(path, certificate.pem()).map_err(|error| unwritable(path, &error))
}

fn authority_params(key: &KeyPair, wall_s: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    // Distinct for each key: clients find an issuer by its name.
    let end = key.public_key_raw().iter().rev().take(4);
    let id: String = end.map(|byte| format!("{byte:02x}")).collect();
    params.distinguished_name.push(DnType::CommonName, format!("ringbook gateway authority {id}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let names = HOSTS.iter().map(|(name, _)| *name).chain(["localhost"]);
    let mut permitted: Vec<_> = names.map(|name| GeneralSubtree::DnsName(name.into())).collect();
    permitted.push(GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([127, 0, 0, 0], 8)));
    let local = std::net::Ipv6Addr::LOCALHOST.octets();
    permitted.push(GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix(local, 128)));
    let constraints = NameConstraints { permitted_subtrees: permitted, excluded_subtrees: vec![] };
    params.name_constraints = Some(constraints);
    set_period(&mut params, wall_s, AUTHORITY_S);
    params
}

/// From the day before, for clients whose clock is behind.
fn set_period(params: &mut CertificateParams, wall_s: u64, length_s: u64) {
    let at = |wall_s| date_time_ymd(1970, 1, 1) + Duration::from_secs(wall_s);
    params.not_before = at(wall_s - DAY_S);
    params.not_after = at(wall_s + length_s);
}

fn write_private(path: &Path, text: &str) -> Result<(), String> {
    file::write_private(path, text.as_bytes()).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> String {
    format!("{}: cannot be written: {error}; name another folder", path.display())
}

fn unmade(error: rcgen::Error) -> String {
    format!("no certificate can be made: {error}")
}

#[cfg(test)]
mod tests;
