//! Pools of WebSockets, against a server made of tungstenite on std threads.
use super::*;
use ringbook::pool::connection::Message;
use ringbook::pool::statistics::HealthState;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::Duration;
use tungstenite::{Message as Sent, WebSocket};

/// Echoes; some texts are commands.
fn converse(mut socket: WebSocket<TcpStream>) {
    loop {
        match socket.read() {
            Ok(Sent::Text(text)) => match text.as_str() {
                "close" => {
                    let _ = socket.close(None);
                }
                "die" => return,
                "unresponsive" => sleep(Duration::from_secs(1)),
                "twice" => {
                    socket.write(Sent::text("one")).unwrap();
                    socket.send(Sent::text("two")).unwrap();
                }
                "binary" => socket.send(Sent::binary(vec![1u8, 2, 3])).unwrap(),
                text => socket.send(Sent::text(format!("echo {text}"))).unwrap(),
            },
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

fn serve() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            counted.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || {
                // A client that goes away during the upgrade is no failure of this server's.
                if let Ok(mut socket) = tungstenite::accept(stream) {
                    socket.send(Sent::text("hello")).unwrap();
                    converse(socket);
                }
            });
        }
    });
    (address, count)
}

fn text(text: &str) -> Message {
    Message::Text(text.to_owned())
}

#[test]
fn the_next_guard_reuses_the_connection() {
    let (address, accepted) = serve();
    run(async move {
        let (manager, pool) = manage(service(Kind::Ws, address, |s| s.limits.max = 2), None);
        let mut guard = pool.acquire().await.unwrap();
        assert!(!guard.is_reused());
        assert_eq!(guard.receive(S).await.unwrap(), Some(text("hello")));
        guard.send_text("a").await.unwrap();
        assert_eq!(guard.receive(S).await.unwrap(), Some(text("echo a")));
        // Giving up loses nothing and breaks nothing.
        assert_eq!(guard.receive(20 * MS).await.unwrap(), None);
        guard.send_text("twice").await.unwrap();
        guard.ping(S).await.unwrap();
        assert_eq!(guard.receive(S).await.unwrap(), Some(text("one")));
        assert_eq!(guard.receive(S).await.unwrap(), Some(text("two")));
        guard.send_text("binary").await.unwrap();
        assert_eq!(guard.receive(S).await.unwrap(), Some(Message::Binary(vec![1, 2, 3])));
        drop(guard);
        assert_eq!(pool.occupation().idle, 1);
        let guard = pool.acquire().await.unwrap();
        assert!(guard.is_reused());
        drop(guard);
        assert_eq!(kind_of(pool.get("/").await), "usage");
        assert_eq!(manager.stop(S).await, []);
    });
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[test]
fn messages_received_while_idle_go_to_the_next_holder_and_a_close_is_detected() {
    let (address, accepted) = serve();
    run(async move {
        let (_manager, pool) = manage(service(Kind::Ws, address, |s| s.limits.max = 1), None);
        let mut guard = pool.acquire().await.unwrap();
        assert_eq!(guard.receive(S).await.unwrap(), Some(text("hello")));
        guard.send_text("late").await.unwrap();
        drop(guard);
        pause(50).await;
        let mut guard = pool.acquire().await.unwrap();
        assert_eq!(guard.receive(S).await.unwrap(), Some(text("echo late")));
        // It dies while it is idle: the next holder gets another one.
        guard.send_text("die").await.unwrap();
        drop(guard);
        pause(50).await;
        let mut guard = pool.acquire().await.unwrap();
        assert!(!guard.is_reused());
        assert_eq!(guard.receive(S).await.unwrap(), Some(text("hello")));
        // It ends under its holder, who is notified; it is not reused.
        guard.send_text("close").await.unwrap();
        assert_eq!(kind_of(guard.receive(S).await), "broken");
        drop(guard);
        assert_eq!((pool.occupation().idle, pool.report().closed_broken), (0, 2));
    });
    assert_eq!(accepted.load(Ordering::SeqCst), 2);
}

#[test]
fn a_server_without_pongs_is_down_until_it_has_them() {
    let (address, _accepted) = serve();
    run(async move {
        let probed = service(Kind::Ws, address, |s| {
            s.limits.min = 1;
            s.limits.health_interval_ns = 100 * MS;
            s.limits.request_timeout_ns = 200 * MS;
        });
        let (_manager, pool) = manage(probed, None);
        until(|| pool.health().state == HealthState::Up && pool.health().probes > 1).await;
        let mut guard = pool.acquire().await.unwrap();
        guard.send_text("unresponsive").await.unwrap();
        drop(guard);
        let up_since_ns = pool.health().since_ns;
        // It may be down for a moment only: the next probe has another connection.
        until(|| pool.health().probes_failed >= 1).await;
        assert!(pool.health().last_error.unwrap().contains("within 200 ms"));
        // The unresponsive connection is closed; a new one is answered.
        until(|| pool.health().state == HealthState::Up).await;
        assert!(pool.health().since_ns > up_since_ns);
        assert!(pool.report().closed_broken >= 1);
    });
}

#[test]
fn a_refused_upgrade_is_reported_with_its_status() {
    let server = super::server::Server::start(super::server::echo_path);
    let address = server.address;
    run(async move {
        let (_manager, pool) = manage(service(Kind::Ws, address, |_| ()), None);
        let error = pool.acquire().await.unwrap_err();
        assert_eq!(error.to_string(), "the server refused the WebSocket with HTTP 200");
        assert_eq!(error.kind().name(), "protocol");
    });
}

#[test]
fn a_websocket_in_tls() {
    use super::server::Authority;
    let authority = Authority::new();
    let config = authority.server("service.test");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let connection = rustls::ServerConnection::new(config).unwrap();
        let mut socket = tungstenite::accept(rustls::StreamOwned::new(connection, stream)).unwrap();
        socket.send(Sent::text("hello")).unwrap();
        while socket.read().is_ok() {}
    });
    run(async move {
        let (manager, pool) = manage(service(Kind::Wss, address, |_| ()), Some(&authority.pem));
        let mut guard = pool.acquire().await.unwrap();
        assert_eq!(guard.receive(S).await.unwrap(), Some(text("hello")));
        guard.ping(S).await.unwrap();
        drop(guard);
        assert_eq!(manager.stop(S).await, []);
    });
    // It ends because the client closed the WebSocket.
    serving.join().unwrap();
}
