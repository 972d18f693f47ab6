//! Servers that are not ours: nginx, and the `websockets` package of Python.
//!
//! Each test prints that it is skipped where its server is missing; CI installs both.
use super::*;
use ringbook::pool::connection::Message;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // nginx's workers end with their master only on SIGTERM or SIGQUIT.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        for _ in 0..200 {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// nginx with a small file, a large one, and answers of its own; ends when dropped.
pub(crate) struct Nginx {
    pub(crate) address: SocketAddr,
    process: Option<Process>,
    folder: tempfile::TempDir,
}

/// A port that is free for now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Nginx {
    /// `None`, and a printed line, where there is no nginx.
    pub(crate) fn start() -> Option<Self> {
        let found = ["nginx", "/usr/sbin/nginx"].into_iter().find(|name| {
            let version = Command::new(name).arg("-v").stderr(Stdio::null()).status();
            version.is_ok_and(|status| status.success())
        });
        let Some(program) = found else {
            eprintln!("skipped: there is no nginx");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let (root, port) = (folder.path(), free_port());
        std::fs::write(root.join("small.json"), br#"{"status":"ok","value":42}"#).unwrap();
        std::fs::write(root.join("large.json"), vec![b'x'; 300_000]).unwrap();
        std::fs::write(root.join("nginx.conf"), configuration(root, port)).unwrap();
        let mut nginx = Self { address: ([127, 0, 0, 1], port).into(), process: None, folder };
        nginx.launch(program);
        Some(nginx)
    }

    fn launch(&mut self, program: &str) {
        let root = self.folder.path();
        let child = Command::new(program)
            .arg("-p")
            .arg(root)
            .arg("-c")
            .arg(root.join("nginx.conf"))
            .args(["-e", "stderr"])
            .stderr(Stdio::null())
            .spawn();
        self.process = Some(Process(child.unwrap()));
        for _ in 0..500 {
            if TcpStream::connect(self.address).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("nginx did not start");
    }

    fn restart(&mut self) {
        self.process = None;
        let program =
            if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
        self.launch(program);
    }
}

fn configuration(root: &Path, port: u16) -> String {
    let root = root.display();
    // Root keeps its rights: no other user reads the folder of the test.
    let user = if rustix::process::getuid().is_root() { "user root;" } else { "" };
    format!(
        "{user} daemon off; worker_processes 1; pid {root}/pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; default_type application/json; gzip on; gzip_types application/json;
  client_body_temp_path {root}/a; proxy_temp_path {root}/b; fastcgi_temp_path {root}/c;
  uwsgi_temp_path {root}/d; scgi_temp_path {root}/e; keepalive_requests 1000;
  server {{
    listen 127.0.0.1:{port} backlog=1024; root {root};
    location = /moved {{ return 302 /small.json; }}
    location = /busy {{ add_header Retry-After 1 always; return 503; }}
    location = /closing {{ keepalive_timeout 0; return 200 closing; }}
  }}
}}
"
    )
}

#[test]
fn nginx_serves_the_pool_through_redirects_gzip_closes_and_a_restart() {
    let Some(mut nginx) = Nginx::start() else { return };
    let address = nginx.address;
    run(async move {
        let (manager, pool) = manage(service(Kind::Http, address, |s| s.limits.max = 20), None);
        let ask = |_| {
            let pool = Rc::clone(&pool);
            async move { pool.get("/small.json").await.unwrap().body }
        };
        let bodies = concurrently(200, ask).await;
        assert!(bodies.iter().all(|body| body == br#"{"status":"ok","value":42}"#));
        let large = pool.get("/large.json").await.unwrap();
        assert_eq!((large.header("content-encoding"), large.body.len()), (Some("gzip"), 300_000));
        let moved = pool.get("/moved").await.unwrap();
        assert_eq!(moved.body, br#"{"status":"ok","value":42}"#);
        assert_eq!(pool.get("/nothing").await.unwrap().status, 404);
        let idle = pool.occupation().idle;
        assert_eq!(pool.get("/closing").await.unwrap().body, b"closing");
        assert_eq!(pool.occupation().idle, idle - 1);
        assert_eq!(pool.get("/busy").await.unwrap().status, 503);
        let started = std::time::Instant::now();
        assert_eq!(pool.get("/small.json").await.unwrap().status, 200);
        assert!(started.elapsed() >= Duration::from_millis(900), "Retry-After is respected");
        nginx.restart();
        let bodies = concurrently(50, ask).await;
        assert!(bodies.iter().all(|body| body.len() == 26));
        let report = pool.report();
        assert_eq!((report.failed, report.redirected), (0, 1), "{:?}", report.errors);
        assert_eq!(manager.stop(S).await, []);
        drop(nginx);
    });
}

pub(crate) fn python() -> String {
    std::env::var("RINGBOOK_TEST_PYTHON").unwrap_or_else(|_| "python3".into())
}

const ECHO: &str = "
import asyncio, websockets

async def serve(socket):
    await socket.send('hello')
    while True:
        try:
            message = await socket.recv()
        except websockets.ConnectionClosed:
            return
        if message == 'close':
            await socket.close(4000, 'as asked')
        else:
            await socket.send('echo ' + message)

async def main():
    async with websockets.serve(serve, '127.0.0.1', 0, compression='deflate') as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()

asyncio.run(main())
";

#[test]
fn the_websockets_package_of_python_serves_the_pool() {
    let has = Command::new(python()).args(["-c", "import websockets"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: {} has no websockets", python());
        return;
    }
    let child = Command::new(python()).args(["-c", ECHO]).stdout(Stdio::piped()).spawn();
    let mut process = Process(child.unwrap());
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address: SocketAddr = ([127, 0, 0, 1], line.trim().parse().unwrap()).into();
    run(async move {
        let text = |text: &str| Some(Message::Text(text.to_owned()));
        let (manager, pool) = manage(service(Kind::Ws, address, |s| s.limits.max = 3), None);
        let talk = |place: usize| {
            let pool = Rc::clone(&pool);
            async move {
                let mut guard = pool.acquire().await.unwrap();
                if !guard.is_reused() {
                    assert_eq!(guard.receive(5 * S).await.unwrap(), text("hello"));
                }
                let long = format!("{place} {}", "x".repeat(1000 * place));
                guard.send_text(&long).await.unwrap();
                guard.ping(5 * S).await.unwrap();
                assert_eq!(guard.receive(5 * S).await.unwrap(), text(&format!("echo {long}")));
            }
        };
        concurrently(30, talk).await;
        let report = pool.report();
        assert_eq!((report.acquired, report.opened), (30, 3));
        assert!(pool.probe(5 * S).await.is_ok());
        let mut guard = pool.acquire().await.unwrap();
        guard.send_text("close").await.unwrap();
        assert_eq!(kind_of(guard.receive(5 * S).await), "broken");
        drop(guard);
        assert_eq!(pool.occupation().idle, 2);
        assert_eq!(manager.stop(S).await, []);
    });
    drop(process);
}
