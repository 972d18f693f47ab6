//! Address of a PostgreSQL database, and the files that it names.
//!
//! Runs on:  main thread (parses), the thread `trade-store` (reads the files).
use super::super::store::StoreError;
use crate::base::limits::SETTINGS_BYTES_MAX;
use crate::io::file::{read_private, read_small};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Address of a database on a server.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresAddress {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    password: Option<String>,
    password_file: Option<PathBuf>,
    pub(super) database: String,
    /// TLS, with the certificate checked against `host`.
    pub(super) tls: bool,
    authority_file: Option<PathBuf>,
}

impl std::fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

impl PostgresAddress {
    /// Parses what follows `postgres://`: `USER[:PASSWORD]@HOST[:PORT]/DATABASE[?KEY=VALUE&…]`. Keys:
    /// `passfile` (file with the password), `sslmode` (`disable`, the default on this host, or `verify-full`),
    /// `sslrootcert` (certificate authority to trust).
    ///
    /// # Errors
    /// One line with the expected syntax.
    pub fn parse(rest: &str) -> Result<Self, String> {
        let expected = "expected postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE";
        let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (who, place) = place.rsplit_once('@').ok_or(expected)?;
        let (server, database) = place.split_once('/').ok_or(expected)?;
        let (user, password) = match who.split_once(':') {
            Some((user, password)) => (user, Some(unescaped(password)?)),
            None => (who, None),
        };
        let (host, port) = match server.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| format!("port {port}: expected a number"))?)
            }
            _ => (server, 5_432),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let (user, database) = (unescaped(user)?, unescaped(database)?);
        if host.is_empty() || user.is_empty() || database.is_empty() {
            return Err(expected.into());
        }
        let here = matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1");
        let (password_file, authority_file) = (None, None);
        let mut address = Self {
            host,
            port,
            user,
            password,
            password_file,
            database,
            tls: !here,
            authority_file,
        };
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            let value = unescaped(value)?;
            match (key, value.as_str()) {
                ("passfile", _) => address.password_file = Some(value.into()),
                ("sslrootcert", _) => address.authority_file = Some(value.into()),
                ("sslmode", "disable") => address.tls = false,
                ("sslmode", "verify-full") => address.tls = true,
                ("sslmode", _) => {
                    return Err(format!("sslmode={value}: expected disable or verify-full"));
                }
                _ => return Err(format!("{key}: expected passfile, sslmode or sslrootcert")),
            }
        }
        Ok(address)
    }

    /// The address without the password.
    pub fn shown(&self) -> String {
        let Self { host, port, user, database, .. } = self;
        format!("postgres://{user}@{host}:{port}/{database}")
    }

    /// A file name that is unique to this database of this server.
    pub fn file_stem(&self) -> String {
        let Self { host, port, database, .. } = self;
        let mut stem = String::new();
        for byte in format!("{host}-{port}-{database}").bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
                stem.push(char::from(byte));
            } else {
                // Writing to a string cannot fail.
                let _ = write!(stem, "%{byte:02x}");
            }
        }
        stem
    }

    /// The database name; earlier versions named the journal after it.
    pub(in crate::sink) fn database(&self) -> &str {
        &self.database
    }

    /// Reads the files named in the address, to report errors before anything runs.
    ///
    /// # Errors
    /// One line: a file cannot be used.
    pub(in crate::sink) fn check_files(&self) -> Result<(), StoreError> {
        self.password()?;
        self.authority()?;
        Ok(())
    }

    pub(super) fn authority(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let authority = self.authority_file.as_ref();
        let authority = authority.map(|file| read_small(file, SETTINGS_BYTES_MAX)).transpose();
        authority.map_err(|why| StoreError::new(format!("sslrootcert {why}")))
    }

    pub(super) fn password(&self) -> Result<Option<String>, StoreError> {
        let Some(file) = &self.password_file else { return Ok(self.password.clone()) };
        let bytes = read_private(file).map_err(|why| StoreError::new(format!("passfile {why}")))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            StoreError::new(format!("passfile {}: cannot be read: {error}", file.display()))
        })?;
        Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

/// Decodes `%41`.
fn unescaped(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err("a % without two hexadecimal digits; write %25 for a % itself".into());
        };
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes).map_err(|_| "the address is not UTF-8".into())
}

#[cfg(test)]
mod tests;
