"""Best prices of a running engine from its shared memory (--shm), without a library.

    prices.py FILE                     one JSON line for each book
    prices.py FILE --check SECONDS     reads one record over and over, and fails when one is not whole
"""
import json, mmap, struct, sys, time

STATES = "free", "awaiting_snapshot", "live", "stale"
RECORD = struct.Struct("<QIIQQQQQIBBH80s16s")  # one record


class Prices:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.words = memoryview(self.bytes).cast("Q")
        if self.bytes[:8] != b"RBPRICES" or self.words[1] != 1:
            raise ValueError(f"{path} is no table of prices of version 1")
        self.index, self.entries, self.first, self.size = self.words[2:6]

    def is_running(self):
        return self.words[8] == 1 and time.time_ns() - self.words[10] < 1_000_000_000

    def read(self, number):
        at = self.first + number * self.size
        while True:
            before = self.words[at]
            row = RECORD.unpack_from(self.bytes, 8 * at)
            if before % 2 == 0 and self.words[at] == before:
                return row

    def find(self, token):
        key, place = token.encode(), 0xCBF29CE484222325
        for byte in key:
            place = (place ^ byte) * 0x100000001B3 % 2**64
        for step in range(self.words[12]):
            entry = self.words[self.index + (place + step) % self.entries]
            if entry == 0:
                return None
            if entry != 2**64 - 1 and self.read(entry - 1)[12].rstrip(b"\0") == key:
                return entry - 1


def show(row):
    _, bid, ask, bid_size, ask_size, version, venue_ms, _, last, state, reason, _, token, venue = row
    level = lambda price, size: [price, size] if size else None
    print(json.dumps({
        "token": token.rstrip(b"\0").decode(), "venue": venue.rstrip(b"\0").decode(), "state": STATES[state],
        "reason": reason, "bid": level(bid, bid_size), "ask": level(ask, ask_size), "version": version,
        "venue_ms": venue_ms, "last": last,
    }))


def check(prices, seconds):
    """The writer of the test sets each field from the version."""
    reads, versions, end = 0, set(), time.monotonic() + seconds
    while time.monotonic() < end or len(versions) < 100:
        _, bid, ask, bid_size, ask_size, version, *_ = prices.read(0)
        if (bid, ask, bid_size, ask_size) != (version % 2**32, (version + 1) % 2**32, 3 * version, 5 * version):
            sys.exit(f"not whole: {bid} {ask} {bid_size} {ask_size} {version}")
        reads += 1
        versions.add(version)
    print(json.dumps({"reads": reads, "versions": len(versions)}))


prices = Prices(sys.argv[1])
if sys.argv[2:3] == ["--check"]:
    check(prices, float(sys.argv[3]))
else:
    print(json.dumps({"running": prices.is_running()}))
    for number in range(prices.words[11]):
        row = prices.read(number)
        if row[9]:
            assert prices.find(row[12].rstrip(b"\0").decode()) == number
            show(row)
