//! An HTTP/1.1 client of the tests: one persistent connection, plain or TLS.
//!
//! Runs on:  test threads; blocks.
use ringbook::wire::tls::client_config;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::Value;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

pub(crate) struct Response {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

pub(crate) struct Client {
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    wire: Option<Box<dyn Wire>>,
}

impl Client {
    /// `url` is a scheme, an IP address and a port.
    pub(crate) fn new(url: &str, ca_pem: Option<&[u8]>) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap();
        let address = rest.trim_end_matches('/').parse().unwrap();
        let tls = (scheme == "https").then(|| client_config(ca_pem).unwrap());
        Self { address, tls, wire: None }
    }

    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.request("GET", path).unwrap_or_else(|e| panic!("{} {path}: {e}", self.address))
    }

    /// On the open connection, or on a new one where that has ended.
    pub(crate) fn request(&mut self, method: &str, path: &str) -> Result<Response> {
        self.send(method, path, "")
    }

    pub(crate) fn post(&mut self, path: &str, body: &str) -> Response {
        self.send("POST", path, body).unwrap_or_else(|e| panic!("{} {path}: {e}", self.address))
    }

    fn send(&mut self, method: &str, path: &str, body: &str) -> Result<Response> {
        if self.wire.is_some()
            && let Ok(response) = self.exchange(method, path, body)
        {
            return Ok(response);
        }
        self.wire = Some(self.connect()?);
        self.exchange(method, path, body)
    }

    fn connect(&self) -> Result<Box<dyn Wire>> {
        let stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::IpAddress(self.address.ip().into());
        let session = ClientConnection::new(Arc::clone(tls), name).map_err(Error::other)?;
        Ok(Box::new(StreamOwned::new(session, stream)))
    }

    fn exchange(&mut self, method: &str, path: &str, body: &str) -> Result<Response> {
        let (wire, length) = (self.wire.as_mut().unwrap(), body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        wire.write_all(request.as_bytes())?;
        wire.flush()?;
        let (mut bytes, mut part) = (Vec::new(), [0; 16 * 1024]);
        let mut need = None;
        while need.is_none_or(|(_, end)| bytes.len() < end) {
            let count = match wire.read(&mut part) {
                // An engine in this very process has timers that are signals.
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            };
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            bytes.extend_from_slice(&part[..count]);
            if need.is_none()
                && let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n")
            {
                let head = String::from_utf8_lossy(&bytes[..at]).to_ascii_lowercase();
                let length = head.split("content-length:").nth(1).unwrap_or("0");
                let length: usize = length.lines().next().unwrap().trim().parse().unwrap();
                need = Some((at + 4, at + 4 + length));
            }
        }
        let (start, end) = need.unwrap();
        let head = String::from_utf8_lossy(&bytes[..start]).into_owned();
        let status = head[9..12].parse().unwrap();
        if head.to_ascii_lowercase().contains("connection: close") {
            self.wire = None;
        }
        Ok(Response { status, head, body: bytes[start..end].to_vec() })
    }
}
