//! Validated addresses of services.
//!
//! Runs on:  any (pure).

/// An invalid address: one line with the address, the fault and the expected form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EndpointError(String);

/// A validated address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address without a trailing slash.
    pub url: String,
    /// Host name, or IP address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `https` or `wss`.
    pub tls: bool,
}

impl Endpoint {
    /// The same address, if paths can be appended to it.
    ///
    /// # Errors
    /// [`EndpointError`] if it has a query: *the user must correct it*.
    pub fn into_base(self) -> Result<Self, EndpointError> {
        match self.url.contains('?') {
            true => Err(EndpointError(format!("{}: a base address must have no query", self.url))),
            false => Ok(self),
        }
    }

    /// Parses an address; `schemes` are the plain and the TLS scheme.
    ///
    /// # Errors
    /// [`EndpointError`]: *the user must correct it*.
    pub fn parse(text: &str, schemes: [&str; 2]) -> Result<Self, EndpointError> {
        let [plain, secure] = schemes;
        let wrong = |what: &str| {
            EndpointError(format!("{text}: {what}; expected {secure}://HOST[:PORT][/PATH]"))
        };
        let uri: http::Uri = text.parse().map_err(|_| wrong("it is no valid address"))?;
        let tls = match uri.scheme_str() {
            Some(scheme) if scheme == secure => true,
            Some(scheme) if scheme == plain => false,
            Some(_) => return Err(wrong("the scheme is another")),
            None => return Err(wrong("the scheme is missing")),
        };
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| wrong("the host is missing"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        // The parser ignores a port above 65535; the default would be used instead.
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let behind_host = authority.rsplit(['@', ']']).next().unwrap_or("");
        if behind_host.contains(':') && uri.port_u16().is_none() {
            return Err(wrong("the port is invalid"));
        }
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { url: text.trim_end_matches('/').to_owned(), host, port, tls })
    }
}

#[cfg(test)]
mod tests;
