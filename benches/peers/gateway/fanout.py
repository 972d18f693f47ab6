"""Frames that a server sends to N clients, and the CPU time that it takes: ringbook's gateway, a relay in Python,
tardis-machine. All clients are plain sockets in this process; all servers get the same books at the same rate.

    python fanout.py --bin target/release --clients 1,100 [--tardis FOLDER --node NODE]
"""

import argparse
import json
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
TICK = os.sysconf("SC_CLK_TCK")


class Client:
    """Counts text frames; `times` has when each one named in `stamps` came."""

    def __init__(self, address, path, text, stamps=None):
        self.socket = socket.create_connection(address)
        request = f"GET {path} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\nUpgrade: websocket\r\n"
        request += "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        request += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        self.socket.sendall(request.encode())
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.socket.recv(65536)
        head, self.rest = data.split(b"\r\n\r\n", 1)
        assert b" 101 " in head.split(b"\r\n")[0], head
        body = text.encode()
        size = len(body)
        frame = bytes([0x81, 0x80 | 126]) + size.to_bytes(2, "big")
        if size < 126:
            frame = bytes([0x81, 0x80 | size])
        elif size >= 65536:
            frame = bytes([0x81, 0x80 | 127]) + size.to_bytes(8, "big")
        self.socket.sendall(frame + bytes(4) + body)
        self.socket.setblocking(False)
        self.frames, self.closed, self.stamps = 0, False, stamps

    def read(self):
        try:
            data = self.socket.recv(1 << 20)
        except BlockingIOError:
            return
        now = time.perf_counter_ns()
        if not data:
            self.closed = True
            return
        data, at = self.rest + data if self.rest else data, 0
        end = len(data)
        while at + 2 <= end:
            size, head = data[at + 1], 2
            if size == 126:
                head, size = 4, int.from_bytes(data[at + 2 : at + 4], "big")
            elif size == 127:
                head, size = 10, int.from_bytes(data[at + 2 : at + 10], "big")
            if at + head + size > end:
                break
            opcode = data[at] & 15
            if opcode == 1:
                self.frames += 1
                if self.stamps is not None:
                    self.note(data[at + head : at + head + size], now)
            elif opcode == 8:
                self.closed = True
            elif opcode == 9:
                self.socket.send(bytes([0x8A, 0x80, 0, 0, 0, 0]))
            at += head + size
        self.rest = data[at:]

    def note(self, text, now):
        place = text.find(b'"hash":"')
        if place >= 0 and text[:1] == b"{":
            self.stamps.setdefault(text[place + 8 : place + 48], now)


def cpu_seconds(pid, thread=None):
    """CPU time of a process, or of its threads of one name."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            name, rest = (task / "stat").read_text().rsplit(")", 1)
        except FileNotFoundError:
            continue
        if thread is None or name.split("(", 1)[1] == thread:
            total += sum(map(int, rest.split()[11:13]))
    return total / TICK


def run(clients, seconds):
    """Reads for so long; the frames received."""
    selector = selectors.DefaultSelector()
    for client in clients:
        selector.register(client.socket, selectors.EVENT_READ, client)
    before = sum(client.frames for client in clients)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not all(client.closed for client in clients):
        for key, _ in selector.select(0.02):
            key.data.read()
            if key.data.closed:
                selector.unregister(key.data.socket)
    selector.close()
    return sum(client.frames for client in clients) - before


def row(name, count, frames, seconds, cpu, lags=()):
    lags = sorted(lags)
    at = lambda share: f"{lags[int(share * (len(lags) - 1))] / 1e3:10.1f}" if lags else f"{'':10}"
    per_cpu = frames / cpu if cpu else 0
    print(f"{name:24}{count:8}{frames / seconds:12.0f}{cpu / seconds:8.2f}{per_cpu:14.0f}{at(0.5)}{at(0.99)}", flush=True)


def live(name, address, venue, tokens, count, seconds, pid, thread=None):
    text = lambda tokens: json.dumps({"type": "market", "assets_ids": tokens})
    direct, through = {}, {}
    clients = [Client(address, "/ws/market", text(tokens), through)]
    clients += [Client(address, "/ws/market", text(tokens)) for _ in range(count - 1)]
    # The same reader has the venue's own message: the difference is what the server adds.
    reference = Client(venue, "/ws/market", text(tokens), direct)
    run(clients + [reference], 2)
    before, begun = cpu_seconds(pid, thread), time.monotonic()
    frames_before = reference.frames
    frames = run(clients + [reference], seconds) - (reference.frames - frames_before)
    passed, used = time.monotonic() - begun, cpu_seconds(pid, thread) - before
    lags = [through[stamp] - came for stamp, came in direct.items() if stamp in through]
    row(name, count, frames, passed, used, lags)
    for client in clients + [reference]:
        client.socket.close()


def replayed(address, tokens, count, seconds, pid):
    path = "/ws-replay?exchange=polymarket&from=2026-08-01T00:00&to=2026-08-01T00:01"
    text = json.dumps({"type": "market", "assets_ids": tokens})
    clients = [Client(address, path, text) for _ in range(count)]
    # It waits two seconds for subscriptions.
    while not any(client.frames or client.closed for client in clients):
        run(clients, 0.05)
    before, begun = cpu_seconds(pid), time.monotonic()
    frames = run(clients, seconds)
    row("tardis-machine, replay", count, frames, time.monotonic() - begun, cpu_seconds(pid) - before)
    for client in clients:
        client.socket.close()


def main():
    flags = argparse.ArgumentParser()
    flags.add_argument("--bin", default="target/release")
    flags.add_argument("--clients", default="1,100")
    flags.add_argument("--rate", type=int, default=4000)
    flags.add_argument("--markets", type=int, default=100)
    flags.add_argument("--seconds", type=float, default=5)
    flags.add_argument("--tardis", help="folder of tardis-machine, built")
    flags.add_argument("--node", default="node")
    flags = flags.parse_args()
    folder = tempfile.mkdtemp()
    venue = subprocess.Popen(
        [f"{flags.bin}/venue-sim", "--plain", "--listen", "127.0.0.1:9380", "--markets", str(flags.markets)]
        + ["--rate", str(flags.rate), "--burst", "0", "--no-rate-limits", "--births-per-minute", "0"]
        + ["--resolutions-per-minute", "0", "--ending-soon", "0"],
        stdout=subprocess.DEVNULL,
        cwd=folder,
    )
    url = "http://127.0.0.1:9380"
    time.sleep(1)
    page = json.load(urllib.request.urlopen(f"{url}/markets?limit=500&closed=false"))
    tokens = [token for market in page for token in json.loads(market["clobTokenIds"])]
    Path(f"{folder}/tokens").write_text("\n".join(tokens))
    ringbook = subprocess.Popen(
        [f"{flags.bin}/ringbook", "--log", "error", "run", "--gamma-url", url, "--clob-url", url, "--shards", "1"]
        + ["--ws-url", "ws://127.0.0.1:9380/ws/market", "--gateway", "127.0.0.1:9381", "--audit", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )
    relay = subprocess.Popen(
        [sys.executable, str(HERE / "relay.py"), "9385", "ws://127.0.0.1:9380/ws/market", f"{folder}/tokens"]
    )
    processes = [venue, ringbook, relay]
    try:
        time.sleep(4)
        print(f"{len(tokens)} tokens, {flags.rate} messages a second; load {os.getloadavg()[0]:.1f}")
        print(f"{'':24}{'clients':>8}{'frames/s':>12}{'cores':>8}{'frames/CPU-s':>14}{'added p50':>10}{'p99, us':>10}")
        for count in map(int, flags.clients.split(",")):
            arguments = ("127.0.0.1", 9380), tokens, count, flags.seconds
            live("ringbook, serve thread", ("127.0.0.1", 9381), *arguments, ringbook.pid, "serve")
            live("websockets relay", ("127.0.0.1", 9385), *arguments, relay.pid)
        if flags.tardis:
            recorded = Client(("127.0.0.1", 9380), "/ws/market", json.dumps({"type": "market", "assets_ids": tokens}))
            lines, read = [], recorded.note
            recorded.stamps, recorded.note = {}, lambda text, now: lines.append(text.decode())
            while len(lines) < 20_000:
                run([recorded], 1)
            Path(f"{folder}/lines").write_text("\n".join(line for line in lines if line[0] == "{"))
            for process in (relay, ringbook, venue):
                process.terminate()
                process.wait()
            tardis = subprocess.Popen(
                [flags.node, str(HERE / "tardis.mjs"), flags.tardis, "9388", f"{folder}/lines", f"{folder}/cache"],
                stdout=subprocess.PIPE,
            )
            processes = [tardis]
            tardis.stdout.readline()
            for count in map(int, flags.clients.split(",")):
                replayed(("127.0.0.1", 9389), tokens, count, flags.seconds, tardis.pid)
    finally:
        for process in processes:
            process.terminate()


main()
