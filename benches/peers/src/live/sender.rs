//! The paced open-loop sender: one message at a time, at times that no client can move.

use super::frame::Template;
use super::recorder::Shared;
use crate::host;
use hdrhistogram::Histogram;
use std::io::{ErrorKind, Write};
use std::net::TcpStream;

/// Between the order to send and the first message, nanoseconds.
const LEAD_NS: u64 = 20_000_000;
/// A client that takes nothing for so long ends the run, nanoseconds.
const STUCK_NS: u64 = 5_000_000_000;
/// A sender that is later than this in one of a hundred messages, or at the last one, is late.
const LATE_NS: u64 = 100_000;

/// A run to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Messages a second over all sockets.
    pub rate: f64,
    /// Seconds that are measured.
    pub seconds: f64,
    /// Seconds before that.
    pub warm_up: f64,
}

/// How the sending went.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Measured messages.
    pub messages: u64,
    /// From the intended time to the write, nanoseconds.
    pub late: Histogram<u64>,
    /// Lateness of the last message, nanoseconds.
    pub last_late_ns: u64,
    /// Writes that found the socket full.
    pub blocked: u64,
    /// CPU time of all threads but the sender's, nanoseconds.
    pub others_cpu_ns: u64,
    /// Why it ended early.
    pub broken: Option<String>,
}

impl Sent {
    /// Whether the sender was late: the percentiles then include its delay.
    #[must_use]
    pub fn fell_behind(&self) -> bool {
        self.late.value_at_quantile(0.99) > LATE_NS || self.last_late_ns > LATE_NS
    }
}

/// One socket and what is sent on it, round and round.
#[derive(Debug)]
pub struct PacedSocket {
    stream: TcpStream,
    templates: Vec<Template>,
    next: usize,
}

impl PacedSocket {
    /// A socket that does not block.
    #[must_use]
    pub fn new(stream: TcpStream, templates: Vec<Template>) -> Self {
        Self { stream, templates, next: 0 }
    }

    /// Writes the next message; the number of times that the socket was full.
    fn send(&mut self, intended_ns: u64) -> std::io::Result<(u64, u64)> {
        self.next = (self.next + 1) % self.templates.len();
        let written_ns = host::mono_ns();
        let mut frame = self.templates[self.next].stamped(intended_ns, written_ns);
        let mut blocked = 0;
        while !frame.is_empty() {
            match (&self.stream).write(frame) {
                Ok(count) => frame = &frame[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    blocked += 1;
                    if host::mono_ns() > written_ns + STUCK_NS {
                        return Err(error);
                    }
                    std::thread::yield_now();
                }
                Err(error) => return Err(error),
            }
        }
        Ok((written_ns, blocked))
    }
}

/// Sends one run over all sockets in turn.
///
/// # Panics
/// Never: the bounds of the histogram are constants.
#[must_use]
pub fn send(sockets: &mut [PacedSocket], pace: Pace, shared: &Shared) -> Sent {
    let interval_ns = 1e9 / pace.rate;
    let warm_up = (pace.rate * pace.warm_up) as u64;
    let messages = ((pace.rate * pace.seconds) as u64).max(1);
    let late = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are valid");
    let mut sent =
        Sent { messages, late, last_late_ns: 0, blocked: 0, others_cpu_ns: 0, broken: None };
    let start_ns = host::mono_ns() + LEAD_NS;
    let intended = |n: u64| start_ns + (n as f64 * interval_ns) as u64;
    shared.begin(intended(warm_up), messages);
    let mut others = 0;
    for n in 0..warm_up + messages {
        let intended_ns = intended(n);
        while host::mono_ns() < intended_ns {
            std::hint::spin_loop();
        }
        if n == warm_up {
            others = others_cpu_ns();
        }
        let socket = n as usize % sockets.len();
        match sockets[socket].send(intended_ns) {
            Ok((written_ns, blocked)) if n >= warm_up => {
                sent.last_late_ns = written_ns.saturating_sub(intended_ns);
                sent.late.saturating_record(sent.last_late_ns);
                sent.blocked += blocked;
            }
            Ok(_) => {}
            Err(error) => {
                sent.broken = Some(format!("message {n} on socket {socket}: {error}"));
                break;
            }
        }
    }
    sent.others_cpu_ns = others_cpu_ns() - others;
    sent
}

fn others_cpu_ns() -> u64 {
    host::process_cpu_ns().saturating_sub(host::thread_cpu_ns())
}
