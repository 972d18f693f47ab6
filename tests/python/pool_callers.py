"""Callers of `ringbook pools --listen` with http.client and websockets: every answer must be the caller's own.

Usage: pool_callers.py ADDRESS CALLERS
"""
import http.client
import sys
import threading

from websockets.sync.client import connect

SERVICES = ["litellm", "wan2gp", "rvc", "whisper"]
ROUNDS = 10


def chunks(body):
    for start in range(0, len(body), 1000):
        yield body[start : start + 1000]


def over_http(address, caller):
    connection = http.client.HTTPConnection(address, timeout=60)
    for number in range(ROUNDS):
        service = SERVICES[(caller + number) % len(SERVICES)]
        path = f"/python/{caller}/{number}"
        method = "POST" if number % 3 == 0 else "GET"
        body = b"x" * (1 + 997 * number) if method == "POST" else None
        connection.request(method, f"/{service}{path}", body=body)
        response = connection.getresponse()
        text = response.read().decode()
        expected = f"{service} {method} {path} {len(body or b'')}"
        assert (response.status, text) == (200, expected), (response.status, text, expected)
    connection.close()


def over_websocket(address, caller):
    with connect(f"ws://{address}/comfyui", open_timeout=60, proxy=None) as socket:
        assert socket.recv(timeout=60) == "hello"
        for number in range(ROUNDS):
            for message in (f"{caller} {number}", bytes([number]) * 5000):
                socket.send(message)
                assert socket.recv(timeout=60) == message


def call(address, caller, failed):
    try:
        (over_websocket if caller % 10 == 0 else over_http)(address, caller)
    except BaseException as error:
        failed.append(f"caller {caller}: {error!r}")


def main():
    address, callers = sys.argv[1], int(sys.argv[2])
    failed = []
    threads = [threading.Thread(target=call, args=(address, caller, failed)) for caller in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{callers} callers in Python, {len(failed)} failed")
    if failed:
        sys.exit("\n".join(failed[:10]))


main()
