//! The server's protocol: TLS, login, statements, `COPY`.
//!
//! Runs on:  the thread `trade-store`, which may block for `STORE_TIMEOUT_NS` per step.
use super::{Answer, PostgresAddress, PostgresStore, StoreError};
use crate::base::limits::STORE_TIMEOUT_NS;
use crate::wire::tls::client_config;
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::authentication::{
    md5_hash,
    sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256},
};
use postgres_protocol::message::backend::{ErrorFields, Message};
use postgres_protocol::message::frontend;
use std::io::{self, Read as _, Write as _};
use std::ops::Range;

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        let message = match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                format!("no answer within {} s", STORE_TIMEOUT_NS / 1_000_000_000)
            }
            io::ErrorKind::UnexpectedEof => "the server closed the connection".into(),
            _ => error.to_string(),
        };
        Self { message, is_transient: true }
    }
}

/// The server's message and code.
fn complaint(mut fields: ErrorFields<'_>) -> StoreError {
    let (mut code, mut message) = (String::new(), String::new());
    while let Ok(Some(field)) = fields.next() {
        let text = String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => code = text,
            b'M' => message = text,
            _ => {}
        }
    }
    // Shutting down, starting, or out of connections.
    let is_transient = matches!(code.as_str(), "57P01" | "57P03" | "53300");
    StoreError { message: format!("{message} ({code})"), is_transient }
}

impl PostgresStore {
    pub(super) fn start_tls(&mut self, address: &PostgresAddress) -> Result<(), StoreError> {
        frontend::ssl_request(&mut self.output);
        self.send()?;
        let mut answer = [0];
        self.line.read_exact(&mut answer)?;
        if answer != *b"S" {
            return Err(StoreError::new("the server offers no TLS; use sslmode=disable"));
        }
        let authority = address.authority()?;
        let config = client_config(authority.as_deref());
        let config = config.map_err(|error| StoreError::new(format!("sslrootcert: {error}")))?;
        Ok(self.line.start_tls(&config, &address.host)?)
    }

    pub(super) fn log_in(&mut self, address: &PostgresAddress) -> Result<(), StoreError> {
        let PostgresAddress { user, database, .. } = address;
        let parameters = [
            ("user", user.as_str()),
            ("database", database.as_str()),
            ("application_name", "ringbook"),
            ("client_encoding", "UTF8"),
        ];
        frontend::startup_message(parameters, &mut self.output)?;
        let password = address.password()?;
        let needed = || {
            let file = "give it in the address, or in a file with passfile=";
            StoreError::new(format!("the server requires a password: {file}"))
        };
        let mut scram = None;
        loop {
            match self.receive()? {
                Message::AuthenticationOk
                | Message::ParameterStatus(_)
                | Message::BackendKeyData(_)
                | Message::NoticeResponse(_) => {}
                Message::ReadyForQuery(_) => return Ok(()),
                Message::AuthenticationCleartextPassword => {
                    let password = password.as_ref().ok_or_else(needed)?;
                    frontend::password_message(password.as_bytes(), &mut self.output)?;
                }
                Message::AuthenticationMd5Password(body) => {
                    let password = password.as_ref().ok_or_else(needed)?;
                    let hash = md5_hash(user.as_bytes(), password.as_bytes(), body.salt());
                    frontend::password_message(hash.as_bytes(), &mut self.output)?;
                }
                Message::AuthenticationSasl(body) => {
                    let password = password.as_ref().ok_or_else(needed)?;
                    if !body.mechanisms().any(|mechanism| Ok(mechanism == SCRAM_SHA_256))? {
                        return Err(StoreError::new(
                            "the server requires an unsupported authentication method",
                        ));
                    }
                    let begun =
                        ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
                    let first = begun.message();
                    frontend::sasl_initial_response(SCRAM_SHA_256, first, &mut self.output)?;
                    scram = Some(begun);
                }
                Message::AuthenticationSaslContinue(body) => {
                    let scram = scram.as_mut().ok_or_else(Self::out_of_order)?;
                    scram.update(body.data())?;
                    frontend::sasl_response(scram.message(), &mut self.output)?;
                }
                Message::AuthenticationSaslFinal(body) => {
                    scram.as_mut().ok_or_else(Self::out_of_order)?.finish(body.data())?;
                }
                Message::ErrorResponse(body) => return Err(complaint(body.fields())),
                _ => {
                    return Err(StoreError::new(
                        "the server requires an unsupported authentication method",
                    ));
                }
            }
        }
    }

    pub(super) fn out_of_order() -> StoreError {
        StoreError::new("unexpected message of the server")
    }

    pub(super) fn send(&mut self) -> io::Result<()> {
        self.line.write_all(&self.output)?;
        self.line.flush()?;
        self.output.clear();
        Ok(())
    }

    /// Flushes the output and returns the next message.
    fn receive(&mut self) -> io::Result<Message> {
        if !self.output.is_empty() {
            self.send()?;
        }
        let mut part = [0; 8_192];
        loop {
            if let Some(message) = Message::parse(&mut self.input)? {
                return Ok(message);
            }
            match self.line.read(&mut part)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.input.extend_from_slice(&part[..count]),
            }
        }
    }

    /// Executes statements; returns the first value of the last row.
    ///
    /// # Errors
    /// The server's message.
    pub fn first_value(&mut self, statements: &str) -> Result<Option<String>, StoreError> {
        self.run(statements).map(|answer| answer.first_value())
    }

    pub(super) fn run(&mut self, statements: &str) -> Result<Answer, StoreError> {
        frontend::query(statements, &mut self.output)?;
        self.until_ready()
    }

    fn until_ready(&mut self) -> Result<Answer, StoreError> {
        let (mut answer, mut failure) = (Answer::default(), None);
        loop {
            match self.receive()? {
                Message::ReadyForQuery(_) => return failure.map_or(Ok(answer), Err),
                Message::ErrorResponse(body) => {
                    failure.get_or_insert(complaint(body.fields()));
                }
                Message::CommandComplete(body) => {
                    let rows = body.tag()?.rsplit(' ').next().and_then(|n| n.parse().ok());
                    answer.touched = rows.unwrap_or(0);
                }
                Message::DataRow(body) => {
                    let text = |range: Option<Range<usize>>| {
                        let bytes = range.and_then(|range| body.buffer().get(range));
                        Ok(bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
                    };
                    answer.rows.push(body.ranges().map(text).collect()?);
                }
                // The server expects rows although none are announced.
                Message::CopyInResponse(_) => {
                    frontend::copy_fail("no rows", &mut self.output)?;
                }
                _ => {}
            }
        }
    }

    pub(super) fn copy(&mut self, table: &str) -> Result<(), StoreError> {
        frontend::query(&format!("COPY {table} FROM STDIN"), &mut self.output)?;
        loop {
            match self.receive()? {
                Message::CopyInResponse(_) => break,
                Message::ErrorResponse(body) => return Err(complaint(body.fields())),
                Message::NoticeResponse(_) | Message::ParameterStatus(_) => {}
                _ => return Err(Self::out_of_order()),
            }
        }
        frontend::CopyData::new(self.rows.as_bytes())?.write(&mut self.output);
        frontend::copy_done(&mut self.output);
        self.until_ready().map(drop)
    }
}
