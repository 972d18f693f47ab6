//! The duty cycle of a hot core: bytes, commands, queries, timers, report.
//!
//! Runs on:  shard cores; allocates for commands, market updates and heartbeats. For a frame only where a book
//!           grows or the TLS library takes a buffer for its record.
//! Bounds:   one wait's sockets, `READS_PER_CONNECTION` reads of each, one part of a large frame,
//!           `COMMANDS_PER_STEP` commands, `QUERIES_PER_STEP` queries, `UPDATE_IMAGES_PER_STEP` images a step.
use super::books::{ConnectionSlot, ImageTurn};
use super::{Shard, idle::Pacer, publish::Handler};
use crate::base::policy::Idle;
use crate::base::{
    limits::{
        BOOKS_MEASURED_PER_HOUSEKEEPING, CHECKS_PER_HOUSEKEEPING, COMMANDS_PER_STEP,
        FORWARDED_PER_STEP, HEARTBEAT_INTERVAL_NS, HOUSEKEEPING_INTERVAL_NS,
        PROOFS_PER_HOUSEKEEPING, QUERIES_PER_STEP, UPDATE_IMAGES_PER_STEP,
        UPDATE_REQUESTS_PER_STEP,
    },
    time::{Clock, MILLISECOND_NS, Now, SECOND_NS},
};
use crate::counter::{latency::Stage, shard::RepairCounts};
use crate::io::{clock::thread_cpu_ns, driver::Driver};
use crate::link::{
    serve_shard::BookAnswer,
    shard_capture::ImageHead,
    shard_control::{Heartbeat, Report},
};

/// Places of books looked at for images in a capture per housekeeping: with 60 s a round, 19,200 books of a shard have
/// theirs in time; those of a shard with more come later.
const IMAGE_PLACES_PER_HOUSEKEEPING: u64 = 32;
/// Bytes of these images: 10 to 20 µs of a shard. A larger image is alone in its turn.
const IMAGE_BYTES_PER_HOUSEKEEPING: usize = 64 * 1024;

impl<H: Handler, C: Clock> Shard<H, C> {
    /// Runs until the command to stop. Yields to other tasks of the executor twice a second.
    pub async fn run(mut self, idle: Idle, driver: Driver) -> H {
        if driver == Driver::Native {
            return self.run_native().await;
        }
        let is_adaptive = matches!(idle, Idle::Adaptive { .. });
        if is_adaptive {
            crate::io::threads::precise_timers();
        }
        let mut pacer = Pacer::new(idle);
        let mut worked = false;
        while !self.schedule.stopped {
            let timeout_ns = pacer.timeout_ns(worked, self.schedule.now_ns);
            let beats = self.schedule.heartbeat_ns;
            worked = self.step(timeout_ns) > 0;
            if beats != self.schedule.heartbeat_ns {
                if is_adaptive {
                    pacer.observe_cpu(thread_cpu_ns());
                }
                crate::io::executor::yield_now().await;
            }
        }
        self.intake.books.into_handler()
    }

    /// The same with the runtime's reactor, which sleeps or spins as its executor is configured.
    async fn run_native(mut self) -> H {
        self.readiness.go_native();
        let mut worked = false;
        while !self.schedule.stopped {
            let timeout_ns = if worked { 0 } else { HOUSEKEEPING_INTERVAL_NS };
            self.readiness.wait_native(timeout_ns).await;
            worked = self.work() > 0;
        }
        self.intake.books.into_handler()
    }

    /// One duty cycle; waits for work at most `timeout_ns`. Gives the amount of work done.
    pub fn step(&mut self, timeout_ns: u64) -> usize {
        self.wait(timeout_ns);
        self.work()
    }

    fn work(&mut self) -> usize {
        let mut work = 0;
        self.schedule.unread = self.readiness.is_partial();
        for place in 0..self.readiness.reported() {
            let ready = self.readiness.ready(place);
            work += 1;
            let slot = ConnectionSlot(ready.key);
            if ready.readable {
                self.receive(slot);
            }
            if ready.writable {
                self.flush(slot);
            }
        }
        work += self.decode_backlogs() + self.decode_answer();
        work += self.forward_events() + self.take_commands() + self.answer_queries();
        work += self.send_updates();
        let now = self.intake.clock.now();
        if now.mono_ns >= self.schedule.housekeeping_ns {
            self.housekeeping(now);
        }
        (self.schedule.now_ns, self.schedule.now_wall_ns) = (now.mono_ns, now.wall_ns);
        work
    }

    fn wait(&mut self, timeout_ns: u64) {
        let Self { readiness, links, intake, schedule, subscribers, .. } = self;
        if timeout_ns == 0 {
            return readiness.wait(0, || true);
        }
        let before_ns = intake.clock.mono_ns();
        let until_ns = schedule.housekeeping_ns.clamp(before_ns, before_ns + timeout_ns);
        readiness.wait(until_ns - before_ns, || {
            links.commands.is_empty()
                && links.queries.is_empty()
                && links.peers.is_empty()
                && subscribers.as_ref().is_none_or(|s| s.requests.is_empty())
        });
        if readiness.reported() == 0 && !readiness.was_rung() && until_ns > before_ns {
            // Woken by time alone: how late?
            let late_ns = intake.clock.mono_ns().saturating_sub(until_ns);
            intake.latencies.record(Stage::WakeUp, late_ns);
        }
    }

    /// Forwards events to the shards that own their books, and takes those of others.
    fn forward_events(&mut self) -> usize {
        let Self { intake, links, .. } = self;
        while let Some((owner, event)) = intake.books.forwarder.poll() {
            links.peers.forward(owner, event);
        }
        let mut taken = 0;
        for incoming in &mut links.peers.incoming {
            // One clock for all that wait: a step is far shorter than the sleep that makes them wait.
            let mut now_wall_ns = None;
            for _ in 0..FORWARDED_PER_STEP {
                let Some(event) = incoming.try_receive() else { break };
                let now_ns = *now_wall_ns.get_or_insert_with(|| intake.clock.now().wall_ns);
                incoming.note_wait(now_ns.saturating_sub(event.read_wall_ns));
                intake.books.on_forwarded(&event);
                taken += 1;
            }
        }
        taken
    }

    fn take_commands(&mut self) -> usize {
        for taken in 0..COMMANDS_PER_STEP {
            let Some(stamped) = self.links.commands.try_receive() else { return taken };
            let now = self.intake.clock.now();
            let wait_ns = now.mono_ns.saturating_sub(stamped.sent_ns);
            self.intake.latencies.record(Stage::ControlRing, wait_ns);
            self.tally.commands += 1;
            self.tally.command_wait_ns += wait_ns;
            self.tally.command_wait_max_ns = self.tally.command_wait_max_ns.max(wait_ns);
            self.on_command(stamped.command, now);
        }
        COMMANDS_PER_STEP
    }

    fn answer_queries(&mut self) -> usize {
        for taken in 0..QUERIES_PER_STEP {
            let Some(mut query) = self.links.queries.try_receive() else { return taken };
            let found = self.intake.books.fill_image(query.token.as_str(), &mut query.image);
            let answer = BookAnswer { ticket: query.ticket, found, image: query.image };
            // If refused, the request times out with an error.
            let _ = self.links.answers.try_send(answer);
        }
        QUERIES_PER_STEP
    }

    /// Takes requests for updates of books, sends images that did not fit before, and wakes the serve core.
    fn send_updates(&mut self) -> usize {
        let Self { intake, subscribers: Some(subscribers), .. } = self else { return 0 };
        let store = &mut intake.books.store;
        let mut taken = 0;
        while taken < UPDATE_REQUESTS_PER_STEP
            && let Some(request) = subscribers.requests.try_receive()
        {
            store.on_update_request(request);
            taken += 1;
        }
        if store.send_updates(UPDATE_IMAGES_PER_STEP) {
            subscribers.waker.wake();
            taken += 1;
        }
        taken
    }

    fn housekeeping(&mut self, now: Now) {
        self.schedule.housekeeping_ns = now.mono_ns + HOUSEKEEPING_INTERVAL_NS;
        // All that had arrived by the end of the last step is applied, unless a socket was left unread: a thread that
        // did not run for a while takes no half-read group of messages for a whole one.
        if !self.schedule.unread && self.large.is_empty() && self.answers.is_empty() {
            self.schedule.read_wall_ns = self.schedule.now_wall_ns;
        }
        let read_wall_ns = self.schedule.read_wall_ns;
        if let Some(capture) = &mut self.capture {
            capture.housekeeping(now.wall_ns, read_wall_ns);
        }
        self.intake.books.settle(CHECKS_PER_HOUSEKEEPING, read_wall_ns);
        self.check_snapshots(now);
        self.poll_handovers(now);
        self.write_images(now);
        self.write_checkpoints(PROOFS_PER_HOUSEKEEPING, now);
        self.tally.book_bytes =
            self.intake.books.store.memory_usage(BOOKS_MEASURED_PER_HOUSEKEEPING);
        for place in 0..self.connections.slots() {
            let slot = ConnectionSlot(place);
            let Some(connection) = self.connections.get_mut(slot) else { continue };
            let (id, Some(transport)) = (connection.id, &mut connection.transport) else {
                continue;
            };
            match transport.session.handle_timeout(now.mono_ns) {
                Ok(()) => {
                    connection.protocol.handle_timeout(now.mono_ns);
                    if let Some(capture) = &mut self.capture
                        && !transport.session.heartbeat().is_empty()
                        && transport.session.counts().last_ping_ns == now.mono_ns
                    {
                        capture.sent(id, now.wall_ns, transport.session.heartbeat());
                    }
                    self.poll_protocol(slot, now);
                }
                Err(error) => self.disconnect(slot, &error),
            }
        }
        if now.mono_ns >= self.schedule.bad_samples_ns {
            self.schedule.bad_samples_ns = now.mono_ns + SECOND_NS;
            self.tally.bad_samples = 0;
        }
        if now.mono_ns >= self.schedule.heartbeat_ns {
            self.schedule.heartbeat_ns = now.mono_ns + HEARTBEAT_INTERVAL_NS;
            self.intake.clock.align();
            self.intake.begin_interval();
            self.report(now);
        }
        if let Some(deadline_ns) = self.schedule.stop_deadline_ns
            && !self.connections.any_transport()
        {
            // Other shards may still receive for books of this one.
            self.forward_events();
            self.links.peers.close();
            if self.links.peers.are_ended() || now.mono_ns >= deadline_ns {
                self.finish(now);
            }
        }
    }

    /// Writes images of the books whose turn it is into the capture, where all that came is in the books.
    fn write_images(&mut self, now: Now) {
        let is_numbered = self.capabilities.is_sequenced();
        let Self { intake, capture, connections, large, answers, schedule, config, .. } = self;
        let Some(capture) = capture else { return };
        let books = &mut intake.books;
        let places = books.image_places() as u64;
        if config.image_round_ns == 0 || places == 0 || !large.is_empty() || !answers.is_empty() {
            return;
        }
        let pause_ns = (config.image_round_ns / places).max(1);
        let due = now.mono_ns.saturating_sub(schedule.imaged_ns) / pause_ns;
        let turn = ImageTurn {
            places: due.min(IMAGE_PLACES_PER_HOUSEKEEPING) as usize,
            bytes_max: IMAGE_BYTES_PER_HOUSEKEEPING,
            wall_ns: now.wall_ns,
        };
        let looked_at = books.next_images(turn, |image| {
            let Some(connection) = connections.get_mut(image.connection()) else { return false };
            let (market, position) = (image.market(), connection.protocol.position());
            if is_numbered && position.is_none() {
                // A gap behind the image could not be detected.
                return false;
            }
            let (connection, wall_ns) = (connection.id, now.wall_ns);
            let head = ImageHead { market, connection, position, wall_ns };
            capture.image(head, image.bytes(), |out, slug| image.write(out, slug))
        }) as u64;
        schedule.imaged_ns =
            if looked_at < due { now.mono_ns } else { schedule.imaged_ns + looked_at * pause_ns };
        if let Some(since_wall_ns) = books.end_image_round() {
            capture.images_since(now.wall_ns, since_wall_ns);
            capture.forget_slugs(places as usize, |market| books.has_market(market));
        }
    }

    /// Writes the digests of `count` live books into the capture, where all that came is in the books, and sends
    /// what is captured on.
    pub(super) fn write_checkpoints(&mut self, count: usize, now: Now) {
        let Self { intake, capture, large, answers, .. } = self;
        let Some(capture) = capture else { return };
        if large.is_empty() && answers.is_empty() {
            intake
                .books
                .store
                .checkpoint(count, |token, digest| capture.proof(now.wall_ns, token, digest));
        }
        capture.ship(now.wall_ns);
    }

    /// The last reports; retried for a second, because nothing comes after them.
    fn finish(&mut self, now: Now) {
        self.report(now);
        for place in 0..self.connections.slots() {
            self.report_latencies(ConnectionSlot(place));
        }
        let latencies = std::mem::take(&mut self.intake.latencies);
        let deadline_ns = now.mono_ns + SECOND_NS;
        for last in [Report::Latencies(latencies), Report::Stopped] {
            let mut message = last;
            while let Err(back) = self.links.reports.try_send(message) {
                message = back;
                if self.intake.clock.mono_ns() > deadline_ns {
                    break;
                }
                self.readiness.wait(MILLISECOND_NS, || true);
            }
        }
        self.schedule.stopped = true;
        let deadline_ns = now.mono_ns + SECOND_NS;
        if let Some(capture) = &mut self.capture {
            while !capture.ship(now.wall_ns) && self.intake.clock.mono_ns() < deadline_ns {
                self.readiness.wait(MILLISECOND_NS, || true);
            }
        }
    }

    fn report(&mut self, now: Now) {
        let Self { intake, connections, tally, .. } = self;
        let books = &intake.books;
        let heartbeat = Heartbeat {
            at: now,
            intake: intake.counts,
            books: *books.counts(),
            checks: *books.checks(),
            repairs: RepairCounts {
                silences: tally.silences,
                frozen: tally.frozen,
                ..books.repairs()
            },
            book_bytes: tally.book_bytes,
            unfinished_bytes: tally.unfinished_bytes as u64,
            closed_for_memory: tally.closed_for_memory,
            closed_for_flood: tally.closed_for_flood,
            bytes: tally.bytes,
            last_data_wall_ns: tally.last_data_wall_ns,
            clock_offset_ms: books.clock_offset_ms(),
            commands: tally.commands,
            command_wait_ns: tally.command_wait_ns,
            command_wait_max_ns: tally.command_wait_max_ns,
            connections: connections
                .beats(
                    |slot| books.live_on(slot),
                    |slot| books.owing(slot),
                    |slot| books.race_counts(slot),
                )
                .collect(),
        };
        // If refused, control misses this beat and counts it; the next one comes soon.
        let _ = self.links.reports.try_send(Report::Heartbeat(Box::new(heartbeat)));
    }
}
