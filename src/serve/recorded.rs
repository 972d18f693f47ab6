//! Replays of the tardis interface: HTTP and WebSocket. A client that reads slowly is waited for.
//!
//! Runs on:  serve core: the task of the client. Each source of messages is a replay on threads of its own.
//! Bounds:   `--replays`; `TARDIS_PARTS_DEPTH` parts of a source in transit; `GATEWAY_WRITE_BYTES` of one write.
use super::Server;
use super::client::{Client, End};
use super::parts::{Merge, Source, Taken};
use super::replays::{NoReplay, Reading, Replays};
use super::request::{Head, Method};
use super::response::Response;
use super::step::Step;
use crate::base::id::Venue;
use crate::base::limits::{
    GATEWAY_MESSAGE_BYTES_MAX, GATEWAY_WRITE_BYTES, REPLAY_STALL_NS, SERVE_LINGER_NS,
    TARDIS_SUBSCRIBE_NS,
};
use crate::base::time::{MILLISECOND_NS, MINUTE_NS};
use crate::gateway::tardis::options::{self, Options, Range, query_value};
use crate::gateway::tardis::raw::{Filter, Form, RawOptions};
use crate::io::executor::{sleep, yield_now};
use crate::io::wake::Sleeper;
use crate::wire::websocket::server::{ClientMessage, ServerSocket, accept, close_frame, frame};
use futures_lite::future::{or, poll_once};

/// Close codes of the interface.
const FINISHED: u16 = 1000;
const GONE: u16 = 1001;
const FAILED: u16 = 1011;

/// What became of a request of the interface.
pub(super) enum Recorded {
    Answer(Response),
    Ended,
}

/// Sources of one client, and what wakes it.
struct Sources {
    merge: Merge,
    sleeper: Sleeper,
}

/// Where a body of a response differs from messages in lines.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    Lines,
    /// Compressed by the replay.
    Gzip,
}

enum Request {
    Health,
    Replay(Vec<Reading>, Body),
}

impl Sources {
    fn start(replays: &dyn Replays, readings: Vec<Reading>) -> Result<Self, NoReplay> {
        let sleeper = Sleeper::default();
        let start = |reading| Ok(Source::new(replays.read(reading, sleeper.waker())?));
        let sources = readings.into_iter().map(start).collect::<Result<_, _>>()?;
        Ok(Self { merge: Merge::new(sources), sleeper })
    }

    /// Waits for messages up to a time and gives them to `write`; false at the end.
    ///
    /// # Errors
    /// The recording cannot be read: one line.
    async fn take(&mut self, until_ns: u64, mut write: impl FnMut(&[u8])) -> Result<bool, String> {
        loop {
            match self.merge.take(until_ns, GATEWAY_WRITE_BYTES, &mut write)? {
                Taken::Some | Taken::Later => return Ok(true),
                Taken::End => return Ok(false),
                Taken::Nothing => self.sleeper.wait().await,
            }
        }
    }

    /// The time of the next message; the last one that there is at the end.
    async fn next_time(&mut self) -> Result<u64, String> {
        loop {
            match self.merge.next_time()? {
                Some(next) => return Ok(next.unwrap_or(u64::MAX)),
                None => self.sleeper.wait().await,
            }
        }
    }
}

/// Entries of the same exchange and range are one reading.
fn readings(options: Options) -> Result<Vec<Reading>, String> {
    let mut readings: Vec<(Venue, Range, Options)> = Vec::new();
    for entry in options.entries {
        let range = entry.range.ok_or("from and to: missing")?;
        match readings.iter_mut().find(|(venue, of, _)| (*venue, *of) == (entry.venue, range)) {
            Some((.., options)) => options.entries.push(entry),
            None => readings.push((entry.venue, range, Options { entries: vec![entry] })),
        }
    }
    let reading = |(venue, range, options)| Reading::Normalized { venue, range, options };
    Ok(readings.into_iter().map(reading).collect())
}

fn required(query: &str, name: &str) -> Result<String, String> {
    query_value(query, name)?.ok_or_else(|| format!("{name}= is missing"))
}

/// A minute of a data feed: `from=`, `offset=` minutes, `filters=`.
fn slice(exchange: &str, query: &str) -> Result<Vec<Reading>, String> {
    let from = options::instant_ns(&required(query, "from")?);
    let from = from.ok_or_else(|| format!("from= is {}", options::TIME_FORM))?;
    let offset = query_value(query, "offset")?.unwrap_or_else(|| "0".to_owned());
    let minutes: u64 = offset.parse().map_err(|_| "offset= is a number of minutes".to_owned())?;
    let filter =
        query_value(query, "filters")?.map_or(Ok(Filter::default()), |t| Filter::parse(&t))?;
    let from_ns = minutes.checked_mul(MINUTE_NS).and_then(|ns| ns.checked_add(from));
    let from_ns = from_ns.ok_or("offset= is too large")?;
    let options = RawOptions {
        venue: options::exchange(exchange)?,
        range: Range { from_ns, to_ns: from_ns.saturating_add(MINUTE_NS) },
        filter,
        with_disconnects: true,
    };
    Ok(vec![Reading::Raw { options, form: Form::Line, gzip: true }])
}

/// The request of a path; `None` where it is no path of the interface.
fn request(head: &Head) -> Option<Result<Request, String>> {
    let options = || required(&head.query, "options");
    let replay = |readings: Result<Vec<Reading>, String>, body| {
        readings.map(|readings| Request::Replay(readings, body))
    };
    let path = head.path.strip_suffix('/').unwrap_or(&head.path);
    Some(match path {
        "/health-check" => Ok(Request::Health),
        "/replay" => {
            let parsed = options().and_then(|text| RawOptions::parse(&text));
            let reading = |options| vec![Reading::Raw { options, form: Form::Object, gzip: false }];
            replay(parsed.map(reading), Body::Lines)
        }
        "/replay-normalized" => {
            let parsed = options().and_then(|text| Options::parse(&text));
            replay(parsed.and_then(readings), Body::Lines)
        }
        _ => {
            let exchange = path.strip_prefix("/v1").unwrap_or(path).strip_prefix("/data-feeds/")?;
            replay(slice(exchange, &head.query), Body::Gzip)
        }
    })
}

fn health(now_wall_ns: u64) -> Response {
    let now_ms = now_wall_ns / MILLISECOND_NS;
    Response::json(200, format!(r#"{{"status":"Healthy","timestampMs":{now_ms}}}"#))
}

impl Client {
    /// Serves a request of the interface; `None` for other paths.
    pub(super) async fn serve_recorded(
        &mut self,
        server: &Server,
        replays: &dyn Replays,
        head: &Head,
        end: End<'_>,
    ) -> Option<Recorded> {
        if let Some(upgrade) = &head.upgrade {
            let is_session = head.path == "/ws-replay";
            if !is_session && head.path != "/ws-replay-normalized" {
                return None;
            }
            server.count("replay websocket", 101);
            if self.send(accept(&upgrade.key).as_bytes(), server.timeouts.write_ns, end).await {
                let (code, reason) = match is_session {
                    true => self.replay_session(server, replays, &head.query, end).await,
                    false => self.replay_normalized(replays, &head.query, end).await,
                };
                let frame = close_frame(code, &reason);
                let _ = self.write_within(&frame, SERVE_LINGER_NS).await;
                self.linger(end).await;
            }
            return Some(Recorded::Ended);
        }
        let request = match request(head)? {
            Ok(request) => request,
            Err(line) => return Some(Recorded::Answer(Response::error(400, &line))),
        };
        if head.method != Method::Get {
            let answer = Response::error(405, "use GET").with("Allow", "GET");
            return Some(Recorded::Answer(answer));
        }
        let (readings, body) = match request {
            Request::Health => return Some(Recorded::Answer(health(server.wall_ns()))),
            Request::Replay(readings, body) => (readings, body),
        };
        match Sources::start(replays, readings) {
            Err(NoReplay { status, line }) => {
                Some(Recorded::Answer(Response::error(status, &line)))
            }
            Ok(sources) => {
                server.count("replay", 200);
                self.write_body(sources, body, end).await;
                Some(Recorded::Ended)
            }
        }
    }

    /// A response in chunks, then the end of the connection. A recording that cannot be read ends it without last
    /// chunk.
    async fn write_body(&mut self, mut sources: Sources, body: Body, end: End<'_>) {
        let kind = match body {
            Body::Lines => "Content-Type: application/x-json-stream\r\n",
            Body::Gzip => {
                "Content-Type: application/x-json-stream\r\nContent-Encoding: gzip\r\nX-Slice-Size: 1\r\n"
            }
        };
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n";
        let mut bytes = format!("{head}{kind}\r\n").into_bytes();
        let mut chunk = Vec::new();
        loop {
            chunk.clear();
            let taken = sources.take(u64::MAX, |message| {
                chunk.extend_from_slice(message);
                if body == Body::Lines {
                    chunk.push(b'\n');
                }
            });
            let taken = or(async { Some(taken.await) }, async {
                end.wait().await;
                None
            });
            let Some(Ok(is_more)) = taken.await else { return };
            if !chunk.is_empty() {
                bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(&chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            if !is_more {
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
            if self.write_until(&bytes, REPLAY_STALL_NS, end).await != Some(true) {
                return;
            }
            if !is_more {
                return self.linger(end).await;
            }
            bytes.clear();
            yield_now().await;
        }
    }

    async fn replay_normalized(
        &mut self,
        replays: &dyn Replays,
        query: &str,
        end: End<'_>,
    ) -> (u16, String) {
        let readings = Options::from_query(query).and_then(readings);
        let sources = match readings.map(|readings| Sources::start(replays, readings)) {
            Err(line) | Ok(Err(NoReplay { line, .. })) => return (FAILED, line),
            Ok(Ok(sources)) => sources,
        };
        let mut socket = ServerSocket::new(GATEWAY_MESSAGE_BYTES_MAX);
        self.write_messages(sources, &mut socket, None, end, "WS replay-normalized finished").await
    }

    /// Waits for the subscriptions of all clients of a session, then sends their messages in step.
    async fn replay_session(
        &mut self,
        server: &Server,
        replays: &dyn Replays,
        query: &str,
        end: End<'_>,
    ) -> (u16, String) {
        let asked = required(query, "exchange").and_then(|name| options::exchange(&name));
        let range =
            required(query, "from").and_then(|from| Range::parse(&from, &required(query, "to")?));
        let (venue, range) = match (asked, range) {
            (Ok(venue), Ok(range)) => (venue, range),
            (Err(line), _) | (_, Err(line)) => return (FAILED, line),
        };
        let name = query_value(query, "session").ok().flatten();
        let Some(session) = server.sessions.join(name.as_deref()) else {
            return (FAILED, "the session has already begun; use another name".to_owned());
        };
        let step = Step::new(&session);
        let mut socket = ServerSocket::new(GATEWAY_MESSAGE_BYTES_MAX);
        let filter = match self.subscriptions(&step, &mut socket, end).await {
            Ok(filter) => filter,
            Err(close) => return close,
        };
        if !step.session().is_subscribed() {
            return (
                FAILED,
                "no subscription was received from a client of the session".to_owned(),
            );
        }
        let options = RawOptions { venue, range, filter, with_disconnects: false };
        let reading = Reading::Raw { options, form: Form::Message, gzip: false };
        let sources = match Sources::start(replays, vec![reading]) {
            Ok(sources) => sources,
            Err(NoReplay { line, .. }) => return (FAILED, line),
        };
        self.write_messages(sources, &mut socket, Some(&step), end, "WS replay finished").await
    }

    /// What a client subscribes to before its session begins; code and reason where it is closed.
    async fn subscriptions(
        &mut self,
        step: &Step,
        socket: &mut ServerSocket,
        end: End<'_>,
    ) -> Result<Filter, (u16, String)> {
        let session = step.session();
        let mut filter = Filter::default();
        let mut begin = Box::pin(async {
            sleep(TARDIS_SUBSCRIBE_NS).await;
            session.begin();
        });
        while !session.has_begun() {
            let begun = or(begin.as_mut(), session.wait());
            let mut buffer = [0; 4096];
            let received = or(async { Some(self.read(&mut buffer).await) }, async {
                begun.await;
                None
            });
            let ended = async {
                end.wait().await;
                Some(0)
            };
            match or(received, ended).await {
                None => {}
                Some(0) => return Err((GONE, String::new())),
                Some(count) => {
                    if !self.on_subscriptions(&buffer[..count], socket, &mut filter).await {
                        return Err((FINISHED, String::new()));
                    }
                    if filter != Filter::default() {
                        step.subscribed();
                    }
                }
            }
        }
        Ok(filter)
    }

    /// Reads subscriptions; false when the client has closed.
    async fn on_subscriptions(
        &mut self,
        bytes: &[u8],
        socket: &mut ServerSocket,
        filter: &mut Filter,
    ) -> bool {
        let result = socket.handle_bytes(bytes, |message| {
            if let ClientMessage::Text(text) = message {
                filter.on_text(text);
            }
        });
        let answers = socket.take_output();
        let written = self.write_within(&answers, SERVE_LINGER_NS).await;
        result.is_ok() && written == Some(true)
    }

    /// Writes all messages of the sources, each a text frame: close code and reason. Meanwhile the client's pings are
    /// answered, also while it waits for the others of its session.
    async fn write_messages(
        &mut self,
        mut sources: Sources,
        socket: &mut ServerSocket,
        step: Option<&Step>,
        end: End<'_>,
        finished: &str,
    ) -> (u16, String) {
        let mut output = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            output.clear();
            let taken = async {
                let mut until_ns = u64::MAX;
                if let Some(step) = step {
                    let next_ns = sources.next_time().await?;
                    until_ns = step.wait_until_first(next_ns).await;
                }
                let write = |message: &[u8]| {
                    let text = std::str::from_utf8(message).unwrap_or_default();
                    output.extend_from_slice(&frame(text));
                };
                sources.take(until_ns, write).await
            };
            match self.until(taken, socket, &mut buffer, end).await {
                Err(close) => return close,
                Ok(Err(line)) => return (FAILED, line),
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => return (FINISHED, finished.to_owned()),
            }
            if self.write_until(&output, REPLAY_STALL_NS, end).await != Some(true) {
                return (GONE, String::new());
            }
            yield_now().await;
            if let Some(count) = poll_once(self.read(&mut buffer)).await
                && !self.on_received(&buffer[..count], socket).await
            {
                return (FINISHED, String::new());
            }
        }
    }

    /// What `work` gives; close code and reason where the client or the server ends before.
    async fn until<T>(
        &mut self,
        work: impl Future<Output = T>,
        socket: &mut ServerSocket,
        buffer: &mut [u8],
        end: End<'_>,
    ) -> Result<T, (u16, String)> {
        enum Event<T> {
            Done(T),
            Received(usize),
            Ended,
        }
        let mut work = std::pin::pin!(work);
        loop {
            let done = async { Event::Done(work.as_mut().await) };
            let received = async { Event::Received(self.read(buffer).await) };
            let ended = async {
                end.wait().await;
                Event::Ended
            };
            match or(done, or(received, ended)).await {
                Event::Done(result) => return Ok(result),
                Event::Ended => return Err((GONE, "the server is stopping".to_owned())),
                Event::Received(count) => {
                    if !self.on_received(&buffer[..count], socket).await {
                        return Err((FINISHED, String::new()));
                    }
                }
            }
        }
    }

    /// Answers the client's pings; false when it has closed.
    async fn on_received(&mut self, bytes: &[u8], socket: &mut ServerSocket) -> bool {
        let is_open = !bytes.is_empty() && socket.handle_bytes(bytes, |_| {}).is_ok();
        let answers = socket.take_output();
        is_open && self.write_within(&answers, SERVE_LINGER_NS).await.is_some()
    }
}
