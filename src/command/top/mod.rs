//! `ringbook top`: a running engine in the terminal, over its local HTTP server.
//!
//! Runs on:  main thread (state and drawing); a thread for requests and one for keys, which end with the process.
//! Bounds:   `REQUEST_TIMEOUT_NS` per connect, write and read; at most `1_000 / FRAME.as_millis()` drawings a second.
mod answer;
mod connections;
mod draw;
mod figure;
mod follow;
mod latency;
mod markets;
mod overview;
mod state;
mod tables;
#[cfg(test)]
mod tests;

use super::Failure;
use super::terminal::Signals;
use crate::base::time::{Clock as _, SECOND_NS};
use crate::config::{UsageError, flags::TopFlags};
use crate::counter::report::EngineReport;
use crate::io::{blocking::BlockingClient, clock::HostClock, output};
use crate::wire::{endpoint::Endpoint, tls::client_config};
use figure::Theme;
use follow::Subscription;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, DisableMouseCapture, EnableMouseCapture, Event};
use ratatui::crossterm::style::Colored;
use state::{App, Ask, Reply, read};
use std::mem::ManuallyDrop;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

const REQUEST_TIMEOUT_NS: u64 = 2 * SECOND_NS;
/// Shortest time between two drawings, and between two looks at signals.
const FRAME: Duration = Duration::from_millis(33);

/// Longest time between two drawings: ages grow without an answer.
const REDRAW_NS: u64 = SECOND_NS / 2;

/// What happens to the main thread.
enum Input {
    Terminal(Event),
    Answer(Ask, Reply),
    /// No key can be read any more.
    Failed(std::io::Error),
}

/// Shows the engine until a key or a signal.
///
/// # Errors
/// A flag is unusable, standard output is no terminal, no engine answers at the start, or the terminal fails.
pub fn run(flags: &TopFlags) -> Result<ExitCode, Failure> {
    let service = Endpoint::parse(&flags.url, ["http", "https"]).and_then(Endpoint::into_base);
    let service = service.map_err(|error| UsageError(format!("--url {error}")))?;
    if !output::stdout_is_terminal() {
        let line = "standard output is no terminal: `ringbook top` draws on one; /stats has the same figures";
        return Err(Failure { line: line.into(), code: 2 });
    }
    let tls = client_config(None).map_err(|error| UsageError(error.to_string()))?;
    let mut client = BlockingClient::new(service.clone(), tls).with_timeout(REQUEST_TIMEOUT_NS);
    let clock = HostClock::new();
    let theme = Theme { coloured: !Colored::ansi_color_disabled() };
    let mut app = App::new(service.url.clone(), flags.interval.saturating_mul(SECOND_NS), theme);
    let first = request(&mut client, &Ask::Stats);
    if let Err(why) = read::<EngineReport>(first.clone()) {
        let line = format!(
            "no ringbook {} answers at {}: {}; start one with `ringbook run --serve ADDRESS` and name it with --url",
            env!("CARGO_PKG_VERSION"),
            app.url,
            app.without_url(why)
        );
        return Err(line.into());
    }
    app.on_answer(Ask::Stats, first, clock.now());
    let fail = |what: &str, error: std::io::Error| format!("{what}: {error}");
    let signals = Signals::listen().map_err(|error| fail("signals cannot be handled", error))?;
    let threads = start_threads(client).map_err(|error| fail("no thread can be started", error))?;
    let result = Screen::open()
        .and_then(|mut screen| threads.follow(&mut app, &mut screen, &signals, &clock, &service));
    result.map_err(|error| fail("the terminal fails", error))?;
    Ok(ExitCode::SUCCESS)
}

fn request(client: &mut BlockingClient, ask: &Ask) -> Reply {
    let path = ask.path();
    let response = if ask.is_command() { client.post(&path) } else { client.get(&path) };
    response.map(|response| (response.status, response.body))
}

/// What the main thread has of the other threads. None of them delays another; a closed terminal may keep the one that
/// reads keys busy until the process ends.
struct Threads {
    asks: Sender<Ask>,
    inputs: Receiver<Input>,
}

fn start_threads(mut client: BlockingClient) -> std::io::Result<Threads> {
    let (asks, asked) = channel::<Ask>();
    let (answers, inputs) = channel();
    let events = answers.clone();
    let ask = move || {
        for ask in asked {
            let reply = request(&mut client, &ask);
            if answers.send(Input::Answer(ask, reply)).is_err() {
                break;
            }
        }
    };
    let read = move || {
        loop {
            let event = event::read();
            let is_last = event.is_err();
            let input = event.map_or_else(Input::Failed, Input::Terminal);
            if events.send(input).is_err() || is_last {
                break;
            }
        }
    };
    std::thread::Builder::new().name("requests".into()).spawn(ask)?;
    std::thread::Builder::new().name("keys".into()).spawn(read)?;
    Ok(Threads { asks, inputs })
}

impl Threads {
    /// Shows the engine until a key or a signal.
    fn follow(
        &self,
        app: &mut App,
        screen: &mut Screen,
        signals: &Signals,
        clock: &HostClock,
        service: &Endpoint,
    ) -> std::io::Result<()> {
        let (mut drawn_ns, mut subscription) = (None, None::<Subscription>);
        while !app.is_over && !signals.asked() {
            let now_ns = clock.mono_ns();
            // The thread of requests ends only when this function has.
            app.asks(now_ns).into_iter().for_each(|ask| drop(self.asks.send(ask)));
            let tokens = app.shown_tokens();
            if subscription.as_ref().map_or(&[][..], |it| &it.tokens) != tokens {
                subscription = (!tokens.is_empty()).then(|| Subscription::start(service, tokens));
            }
            if drawn_ns.is_none_or(|drawn_ns| now_ns - drawn_ns >= REDRAW_NS) {
                screen.terminal.draw(|frame| draw::draw(app, frame, now_ns))?;
                drawn_ns = Some(now_ns);
                std::thread::sleep(FRAME);
            }
            let first = self.inputs.recv_timeout(FRAME).ok();
            for input in first.into_iter().chain(self.inputs.try_iter()) {
                drawn_ns = None;
                match input {
                    Input::Terminal(event) => app.on_event(&event),
                    Input::Answer(ask, reply) => app.on_answer(ask, reply, clock.now()),
                    Input::Failed(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

/// The terminal while it shows the engine; restored when dropped, and before a panic prints.
#[derive(Debug)]
pub struct Screen {
    /// Its own end prints where the terminal is gone, which panics.
    terminal: ManuallyDrop<DefaultTerminal>,
}

impl Screen {
    /// Takes the terminal of standard output.
    ///
    /// # Errors
    /// It cannot be set, and is as it was.
    pub fn open() -> std::io::Result<Self> {
        let terminal = ratatui::try_init().inspect_err(|_| drop(ratatui::try_restore()))?;
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            mouse(&DisableMouseCapture);
            print(panic);
        }));
        mouse(&EnableMouseCapture);
        Ok(Self { terminal: ManuallyDrop::new(terminal) })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        mouse(&DisableMouseCapture);
        // A terminal that is gone cannot be restored.
        drop(self.terminal.show_cursor());
        drop(ratatui::try_restore());
    }
}

fn mouse(command: &impl ratatui::crossterm::Command) {
    let mut sequence = String::new();
    // Writing to a string cannot fail.
    let _ = command.write_ansi(&mut sequence);
    output::print(sequence);
}
