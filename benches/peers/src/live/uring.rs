//! Multishot receives of `io_uring` into buffers that the kernel picks, tungstenite over memory.
//!
//! What a third driver of ringbook's would be, measured before it is built. Each socket is armed
//! once; the kernel then puts every arrival into the next free buffer of one ring and reports it.

use super::client::{Reader, Task};
use super::memory::{Memory, upgrade_request};
use io_uring::{IoUring, cqueue, opcode, types};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicU16, Ordering};
use tungstenite::protocol::{Role, WebSocket};
use tungstenite::{Error, Message};

/// Buffers of the ring, a power of two.
const BUFFERS: u16 = 1024;
/// Bytes of each: a price change with its record fits whole.
const BUFFER_BYTES: usize = 4096;
/// The group's number.
const GROUP: u16 = 1;
/// Entries of the submission queue: no fewer than sockets are armed at once.
const ENTRIES: u32 = 1024;
const PAGE_BYTES: usize = 4096;

/// How the thread learns of arrivals.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// Sleeps in the kernel.
    Sleep,
    /// Enters the kernel again and again, which is where deferred work is done.
    Enter,
    /// Looks at the completion queue alone; the kernel interrupts the thread to fill it.
    Look,
}

/// Sleeps until something arrives.
pub(super) fn park(task: Task) -> Result<(), String> {
    run(&task, Wait::Sleep).map_err(|error| error.to_string())?
}

/// Polls by entering the kernel.
pub(super) fn spin(task: Task) -> Result<(), String> {
    run(&task, Wait::Enter).map_err(|error| error.to_string())?
}

/// Polls the completion queue in memory.
pub(super) fn look(task: Task) -> Result<(), String> {
    run(&task, Wait::Look).map_err(|error| error.to_string())?
}

/// Buffers that the kernel takes and the reader gives back, in memory that both see.
struct Buffers {
    entries: *mut types::BufRingEntry,
    layout: Layout,
    bytes: Box<[u8]>,
    tail: u16,
}

impl Buffers {
    #[expect(unsafe_code, reason = "the ring of buffers is shared with the kernel")]
    fn register(ring: &IoUring) -> std::io::Result<Self> {
        let bytes = usize::from(BUFFERS) * size_of::<types::BufRingEntry>();
        let layout = Layout::from_size_align(bytes, PAGE_BYTES).expect("a power of two");
        // SAFETY: the layout is not empty; the memory lives until `drop`, after the ring's end.
        let entries = unsafe { alloc_zeroed(layout) }.cast::<types::BufRingEntry>();
        // SAFETY: page-aligned, BUFFERS entries long, and zeroed.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(entries as u64, BUFFERS, GROUP, 0)
        }?;
        let bytes = vec![0; usize::from(BUFFERS) * BUFFER_BYTES].into_boxed_slice();
        let mut this = Self { entries, layout, bytes, tail: 0 };
        for id in 0..BUFFERS {
            this.give_back(id);
        }
        Ok(this)
    }

    /// Bytes that the kernel wrote.
    fn filled(&self, id: u16, count: usize) -> &[u8] {
        let first = usize::from(id) * BUFFER_BYTES;
        &self.bytes[first..first + count]
    }

    /// Lets the kernel write there again.
    #[expect(unsafe_code, reason = "the ring of buffers is shared with the kernel")]
    fn give_back(&mut self, id: u16) {
        let place = usize::from(self.tail & (BUFFERS - 1));
        let address = self.bytes[usize::from(id) * BUFFER_BYTES..].as_mut_ptr() as u64;
        // SAFETY: `place` is within the ring; the kernel reads entries below the tail alone, and
        // this one is not below it before the store that releases it.
        unsafe {
            let entry = &mut *self.entries.add(place);
            entry.set_addr(address);
            entry.set_len(BUFFER_BYTES as u32);
            entry.set_bid(id);
            self.tail = self.tail.wrapping_add(1);
            let tail = types::BufRingEntry::tail(self.entries).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }
}

impl Drop for Buffers {
    #[expect(unsafe_code, reason = "allocated by hand")]
    fn drop(&mut self) {
        // SAFETY: allocated with this layout; the ring that used it was dropped before.
        unsafe { dealloc(self.entries.cast(), self.layout) }
    }
}

struct Socket {
    stream: TcpStream,
    websocket: WebSocket<Memory>,
}

fn open(task: &Task, socket: usize) -> std::io::Result<Socket> {
    let mut stream = TcpStream::connect(task.address)?;
    stream.set_nodelay(true)?;
    stream.write_all(upgrade_request(task.address).as_bytes())?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    if !head.starts_with(b"HTTP/1.1 101") {
        return Err(std::io::Error::other("the upgrade was refused"));
    }
    let mut websocket = WebSocket::from_raw_socket(Memory::new(), Role::Client, None);
    let subscription = Message::text(task.subscription(socket));
    websocket.send(subscription).map_err(std::io::Error::other)?;
    stream.write_all(&websocket.get_mut().take_output())?;
    Ok(Socket { stream, websocket })
}

#[expect(unsafe_code, reason = "what is submitted to the kernel must stay where it is")]
fn arm(ring: &mut IoUring, sockets: &[Socket], place: usize) -> std::io::Result<()> {
    let fd = types::Fd(sockets[place].stream.as_raw_fd());
    let entry = opcode::RecvMulti::new(fd, GROUP).build().user_data(place as u64);
    // SAFETY: the sockets and the buffers outlive the ring.
    unsafe { ring.submission().push(&entry) }.map_err(std::io::Error::other)
}

fn run(task: &Task, wait: Wait) -> std::io::Result<Result<(), String>> {
    let sockets: std::io::Result<Vec<Socket>> =
        (0..task.sockets.len()).map(|socket| open(task, socket)).collect();
    let mut sockets = sockets?;
    let mut builder = IoUring::builder();
    builder.setup_cqsize(4 * ENTRIES).setup_single_issuer();
    if wait != Wait::Look {
        builder.setup_defer_taskrun();
    }
    // Declared first, so dropped after the ring.
    let mut buffers;
    let mut ring = builder.build(ENTRIES)?;
    buffers = Buffers::register(&ring)?;
    for place in 0..sockets.len() {
        arm(&mut ring, &sockets, place)?;
    }
    ring.submit()?;
    let mut reader = Reader::new(task);
    let mut again = Vec::new();
    while !reader.stopping() {
        match wait {
            Wait::Look => {}
            Wait::Enter => {
                // Zero to wait for, but enter all the same.
                let timeout = types::Timespec::new();
                let now = types::SubmitArgs::new().timespec(&timeout);
                end_of_time(ring.submitter().submit_with_args(1, &now))?;
            }
            Wait::Sleep => {
                let timeout = types::Timespec::new().nsec(100_000_000);
                let later = types::SubmitArgs::new().timespec(&timeout);
                end_of_time(ring.submitter().submit_with_args(1, &later))?;
            }
        }
        for entry in ring.completion() {
            let place = entry.user_data() as usize;
            if !cqueue::more(entry.flags()) {
                again.push(place);
            }
            let Some(id) = cqueue::buffer_select(entry.flags()) else { continue };
            let count = usize::try_from(entry.result()).unwrap_or(0);
            let websocket = &mut sockets[place].websocket;
            websocket.get_mut().fill(buffers.filled(id, count));
            buffers.give_back(id);
            loop {
                match websocket.read() {
                    Ok(Message::Text(text)) => reader.on_text(text.as_str()),
                    Ok(_) => {}
                    Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(std::io::Error::other(error)),
                }
            }
        }
        if !again.is_empty() {
            // Out of buffers for a moment, or the end of a socket at the end of the run.
            for place in again.drain(..) {
                arm(&mut ring, &sockets, place)?;
            }
            ring.submit()?;
        }
    }
    drop(ring);
    Ok(reader.verdict())
}

/// No arrival in time is no error.
fn end_of_time(entered: std::io::Result<usize>) -> std::io::Result<()> {
    match entered {
        Err(error)
            if error.raw_os_error() == Some(62) || error.kind() == ErrorKind::Interrupted =>
        {
            Ok(())
        }
        other => other.map(|_| ()),
    }
}
