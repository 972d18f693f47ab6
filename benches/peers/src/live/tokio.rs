//! tokio-tungstenite on the current-thread runtime: one task a socket, sleeping in epoll.

use super::CHANNEL;
use super::client::{Reader, Task};
use futures_util::{SinkExt as _, StreamExt as _};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio_tungstenite::tungstenite::Message;

pub(super) fn run(task: Task) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let reader = Rc::new(RefCell::new(Reader::new(&task)));
    LocalSet::new().block_on(&runtime, async {
        for socket in 0..task.sockets.len() {
            let stream = TcpStream::connect(task.address).await.map_err(|e| e.to_string())?;
            stream.set_nodelay(true).map_err(|e| e.to_string())?;
            let url = format!("ws://{}{CHANNEL}", task.address);
            let opened = tokio_tungstenite::client_async(url, stream).await;
            let (mut websocket, _) = opened.map_err(|e| e.to_string())?;
            let subscription = Message::text(task.subscription(socket));
            websocket.send(subscription).await.map_err(|e| e.to_string())?;
            let reader = Rc::clone(&reader);
            tokio::task::spawn_local(async move {
                while let Some(Ok(message)) = websocket.next().await {
                    if let Message::Text(text) = message {
                        reader.borrow_mut().on_text(text.as_str());
                    }
                }
            });
        }
        while !reader.borrow().stopping() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        reader.borrow().verdict()
    })
}
