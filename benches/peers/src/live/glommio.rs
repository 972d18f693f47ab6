//! glommio's own TCP streams with tungstenite over memory: one task a socket.

use super::client::{Reader, Task};
use super::memory::{Memory, upgrade_request};
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
use glommio::net::TcpStream;
use glommio::{LocalExecutorBuilder, Placement};
use std::cell::RefCell;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;
use tungstenite::protocol::{Role, WebSocket};
use tungstenite::{Error, Message};

/// How long the spinning executor polls before it sleeps.
const SPIN: Duration = Duration::from_millis(10);

/// Sleeps in the kernel when nothing is to be done.
pub(super) fn park(task: Task) -> Result<(), String> {
    run(task, Duration::ZERO)
}

/// Polls its rings for a while before it sleeps.
pub(super) fn spin(task: Task) -> Result<(), String> {
    run(task, SPIN)
}

fn run(task: Task, spin: Duration) -> Result<(), String> {
    let builder = LocalExecutorBuilder::new(Placement::Fixed(task.core)).spin_before_park(spin);
    let executor = builder.io_memory(0).make().map_err(|error| error.to_string())?;
    executor.run(async move {
        let reader = Rc::new(RefCell::new(Reader::new(&task)));
        let mut readers = Vec::new();
        for socket in 0..task.sockets.len() {
            let (stream, websocket) = open(&task, socket).await?;
            let reader = Rc::clone(&reader);
            readers.push(glommio::spawn_local(follow(stream, websocket, reader)));
        }
        while !reader.borrow().stopping() {
            glommio::timer::sleep(Duration::from_millis(50)).await;
        }
        for task in readers {
            task.cancel().await;
        }
        reader.borrow().verdict()
    })
}

async fn open(task: &Task, socket: usize) -> Result<(TcpStream, WebSocket<Memory>), String> {
    let stream = TcpStream::connect(task.address).await;
    let mut stream = stream.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let request = upgrade_request(task.address);
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.map_err(|error| error.to_string())?;
        head.push(byte[0]);
    }
    if !head.starts_with(b"HTTP/1.1 101") {
        return Err("the upgrade was refused".into());
    }
    let mut websocket = WebSocket::from_raw_socket(Memory::new(), Role::Client, None);
    let subscription = Message::text(task.subscription(socket));
    websocket.send(subscription).map_err(|error| error.to_string())?;
    let output = websocket.get_mut().take_output();
    stream.write_all(&output).await.map_err(|error| error.to_string())?;
    Ok((stream, websocket))
}

async fn follow(
    mut stream: TcpStream,
    mut websocket: WebSocket<Memory>,
    reader: Rc<RefCell<Reader>>,
) {
    loop {
        let memory = websocket.get_mut();
        let Ok(count @ 1..) = stream.read(memory.input_mut()).await else { return };
        memory.filled(count);
        loop {
            match websocket.read() {
                Ok(Message::Text(text)) => reader.borrow_mut().on_text(text.as_str()),
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return,
            }
        }
    }
}
