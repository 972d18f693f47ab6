"""Drives ringbook's web page in chromium through the DevTools protocol, and compares it with the server's answers.

page.py PAGE_URL VENUE_URL: the page of a running engine, and the simulated venue that it follows, over plain HTTP. Ends
with "the page is right", or with an exception. Each value is waited for; nothing depends on how long something takes.
"""

import asyncio
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import websockets

# A condition that has not come true by then never will.
PATIENCE_S = 60
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--remote-debugging-port=0",
]
KEYS = {
    "Enter": ("Enter", 13, "\r"),
    "ArrowDown": ("ArrowDown", 40, ""),
    "Backspace": ("Backspace", 8, ""),
    "Escape": ("Escape", 27, ""),
    "Tab": ("Tab", 9, ""),
}
VIEWS = ["Overview", "Connections", "Markets", "Latency"]


def get(url):
    """The answer as JSON; asked again while a core is too busy to answer."""
    begun = time.monotonic()
    while True:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 503 or time.monotonic() - begun > PATIENCE_S:
                raise
        time.sleep(0.1)


def post(url):
    urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=PATIENCE_S).read()


def total(stats, key):
    return sum(shard[key] for shard in stats["shards"])


class Browser:
    """One page of chromium. Collects what scripts complain about and the addresses of all requests."""

    def __init__(self, socket):
        self.socket = socket
        self.numbers = itertools.count(1)
        self.complaints = []
        self.requests = []

    async def call(self, method, **parameters):
        number = next(self.numbers)
        await self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(await asyncio.wait_for(self.socket.recv(), PATIENCE_S))
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self.on_event(message["method"], message["params"])

    def on_event(self, method, parameters):
        if method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(parameters["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning"):
            self.complaints.append(json.dumps(parameters["args"]))
        elif method == "Log.entryAdded":
            entry = parameters["entry"]
            # An answer such as 503 of a busy core is no error of the page.
            if entry["level"] == "error" and entry["source"] != "network":
                self.complaints.append(json.dumps(entry))
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.requests.append(parameters["url"])

    async def value(self, script):
        result = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    async def wait(self, what, script, is_wanted=bool):
        """Looks at the value of a script until it is as wanted."""
        begun = time.monotonic()
        while True:
            value = await self.value(script)
            if is_wanted(value):
                return value
            if time.monotonic() - begun > PATIENCE_S:
                text = await self.value("document.body.innerText")
                raise AssertionError(f"{what}: {value!r} after {PATIENCE_S} s; {self.complaints}; page:\n{text}")
            await asyncio.sleep(0.1)

    async def press(self, key):
        name, code, text = KEYS.get(key, (key, ord(key.upper()[0]), key))
        event = {"key": name, "code": name, "windowsVirtualKeyCode": code}
        await self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **event)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    async def type(self, text):
        await self.call("Input.insertText", text=text)


def tile(title, term):
    """A script: the value of a term in a tile of the overview."""
    return f"""(() => {{
        const tiles = [...document.querySelectorAll('.tile')];
        const tile = tiles.find((one) => one.querySelector('h3').innerText === {title!r});
        const terms = [...(tile?.querySelectorAll('dt') ?? [])];
        return terms.find((one) => one.innerText === {term!r})?.nextSibling.innerText ?? null;
    }})()"""


def cells(caption):
    """A script: the texts of a table's rows."""
    return f"""(() => {{
        const tables = [...document.querySelectorAll('table')];
        const table = tables.find((one) => one.caption?.textContent === {caption!r});
        return [...(table?.tBodies[0].rows ?? [])].map((row) => [...row.cells].map((cell) => cell.textContent));
    }})()"""


def number(value):
    return f"{value:,}"


async def check_overview(browser, page):
    await browser.press("1")
    for title, term, value in [
        ("Messages a second", "messages", lambda stats: total(stats, "messages")),
        ("Messages a second", "frames", lambda stats: total(stats, "frames")),
        ("Level changes a second", "level changes", lambda stats: total(stats, "updates")),
        ("Trades a second", "seen", lambda stats: total(stats, "trades")),
        ("Books live", "markets", lambda stats: stats["registry"]["markets"]),
        ("Books live", "stale", lambda stats: 0),
        ("Connections up", "reconnects", lambda stats: stats["pool"]["reconnects"]),
        ("Correctness", "wrong", lambda stats: 0),
    ]:
        # What the venue sent before its pause may still arrive, so both are looked at again.
        same = lambda text, value=value: text == number(value(get(f"{page}/stats")))
        await browser.wait(f"{title}, {term}", tile(title, term), same)
    stats = get(f"{page}/stats")
    live = "document.querySelector('.tile .big').innerText"
    books = number(total(stats, "books"))
    await browser.wait("live books", live, lambda text: text == f"{books} of {books}")
    rows = await browser.value(cells("Venues"))
    assert [row[0] for row in rows] == [venue["venue"] for venue in stats["venues"]], rows
    await browser.wait("host", tile("Host", "profile"))


async def check_connections(browser, page):
    """A recycle by keyboard, and the rows."""
    await browser.press("2")
    await browser.wait("connections", cells("Connections"))
    await browser.press("j")
    await browser.press("r")
    question = "document.querySelector('dialog[open]')?.innerText ?? ''"
    await browser.wait("the question", question, lambda text: "Recycle" in text)
    await browser.press("Escape")
    await browser.wait("no question", "document.querySelector('dialog[open]') === null")
    assert get(f"{page}/stats")["recycling"]["initiated"] == 0
    await browser.wait("a row", "document.querySelector('tbody tr') !== null")
    await browser.press("j")
    await browser.press("r")
    await browser.wait("the question again", "document.querySelector('dialog[open]') !== null")
    await browser.press("Tab")
    await browser.press("Enter")
    await browser.wait("a recycle", cells("Last recycles"), lambda rows: any("asked" in row for row in rows))

    def shown(rows):
        # A connection that has been replaced may leave meanwhile.
        pool = get(f"{page}/stats")["pool"]["connections"]
        wanted = {one["name"]: [str(one["shard"]), number(one["tokens"])] for one in pool}
        return {row[0]: row[3:5] for row in rows} == wanted

    await browser.wait("the rows of /stats", cells("Connections"), shown)


async def check_market(browser, page):
    """From the list to one market and back, by keyboard."""
    await browser.press("3")
    found = get(f"{page}/markets?limit=100")
    await browser.wait("all markets", cells("Markets"), lambda rows: len(rows) == found["total"])
    live = lambda rows: all("live" in row[1] and row[3] not in ("", "–") for row in rows)
    await browser.wait("best prices", cells("Markets"), live)
    market = found["markets"][7]
    token = market["tokens"][0]["token"]
    await browser.press("/")
    await browser.type(market["slug"])
    await browser.wait("one market", cells("Markets"), lambda rows: len(rows) == 1)
    await browser.press("ArrowDown")
    await browser.press("Enter")
    await browser.wait("the market", "location.hash", lambda text: token in text)
    for outcome in market["tokens"]:
        await check_ladder(browser, page, outcome)

    def has_hash(rows):
        book = get(f"{page}/market?token_id={token}")["tokens"][0]["book"]
        return rows and rows[0][4] == (book["hash"] or "none")[:12]

    await browser.wait("the hash", cells("Comparisons"), has_hash)
    chart = "document.querySelector('select[name=span]')"
    source = f"{chart}.closest('section').querySelector('h2').innerText"
    await browser.wait("the source of the chart", source, lambda text: "trades in memory" in text)
    await browser.value(f"{chart}.value = '604800'; {chart}.dispatchEvent(new Event('change'))")
    return token


# Labels of marks at each distance that share a place, leave the picture, or lie across a line.
LABELS = """import('/page/chart.js').then(({ markLabels }) => {
    const [bad, wide] = [[], 60];
    for (const width of [200, 317, 500]) for (let one = 0; one <= width; one += 3)
        for (let two = one; two <= width; two += two - one < 200 ? 3 : 17) {
            const [a, b] = markLabels([{ at: one, wide }, { at: two, wide }], width);
            const shares = a.row === b.row && a.left < b.left + wide && b.left < a.left + wide;
            const leaves = [a, b].some(({ left }) => left < 0 || left + wide > width);
            const lies = (label, line) => label.row > line.row && label.left < line.at && line.at < label.left + wide;
            if (shares || leaves || lies(a, b) || lies(b, a)) bad.push([width, one, two, a, b]);
        }
    return bad.slice(0, 3);
})"""


async def check_ladder(browser, page, outcome):
    def side(levels):
        return [[float(level["price"]), round(float(level["size"]), 2)] for level in levels[::-1][:12]]

    script = f"""(() => {{
        const rows = [...document.querySelectorAll('[data-token="{outcome['token']}"] tbody tr')];
        const of = (name) => rows.filter((row) => row.className === name && row.cells[0].innerText !== '')
            .map((row) => [0, 1].map((place) => Number(row.cells[place].innerText.replaceAll(',', ''))));
        return {{ bid: of('bid'), ask: of('ask') }};
    }})()"""

    def is_shown(shown):
        book = get(f"{page}/book?token_id={outcome['token']}")
        wanted = {"bid": side(book["bids"]), "ask": side(book["asks"])[::-1]}
        near = lambda a, b: a[0] == b[0] and abs(a[1] - b[1]) <= (0.5 if b[1] >= 1000 else 0.005)
        same = lambda name: len(shown[name]) == len(wanted[name]) and all(map(near, shown[name], wanted[name]))
        return same("bid") and same("ask")

    await browser.wait(f"the ladder of {outcome['outcome']}", script, is_shown)


async def check_latency(browser, page):
    await browser.press("4")
    await browser.wait("stages", cells("Stages"))
    await browser.wait("labels of marks", LABELS, lambda bad: bad == [])
    await browser.value("document.querySelectorAll('select')[1].value = '0'")

    def shown(rows):
        buckets = {stage["stage"]: stage["buckets"] for stage in get(f"{page}/latency")["stages"]}
        count = sum(values for _, values in buckets["read_to_applied"])
        return any(row[0] == "read_to_applied" and row[1] == number(count) for row in rows)

    await browser.wait("values of a stage", cells("Stages"), shown)
    connections = len(get(f"{page}/stats")["pool"]["connections"])
    await browser.wait("lags", cells("Lag of each connection"), lambda rows: len(rows) == connections)


async def check_fault(browser, venue, token):
    """Connections that are lost and refused: the page says which books are stale, until they are live again."""
    await browser.value(f"location.hash = '#/market/{token}'")
    state = "document.querySelector('.ladders .state')?.innerText ?? ''"
    await browser.wait("a live book", state, lambda text: text == "live")
    post(f"{venue}/sim/refuse?status=503&ms=3600000")
    post(f"{venue}/sim/drop?connections=all")
    await browser.wait("a stale book", state, lambda text: text == "stale:disconnected")
    await browser.press("1")
    stale = lambda rows: any(row[0] == "stale:disconnected" and row[2] for row in rows)
    await browser.wait("stale books with a remedy", cells("Books by state"), stale)
    verdict = "document.getElementById('verdict').innerText"
    await browser.wait("a verdict", verdict, lambda text: text != "Healthy")
    remedy = "document.querySelector('.findings p')?.innerText ?? ''"
    await browser.wait("a remedy", remedy, lambda text: len(text) > 20)
    post(f"{venue}/sim/refuse?status=503&ms=0")
    await browser.wait("live books", cells("Books by state"), lambda rows: not any("stale" in row[0] for row in rows))


async def drive(browser, page, venue):
    for domain in ["Page", "Runtime", "Log", "Network"]:
        await browser.call(f"{domain}.enable")
    await browser.call("Page.navigate", url=f"{page}/")
    await browser.wait("the page", "document.querySelectorAll('nav a').length === 4")
    figure = "document.querySelector('.tile .big')?.innerText ?? '–'"
    await browser.wait("figures", figure, lambda text: text[:1].isdigit())
    for place, name in enumerate(VIEWS):
        await browser.press(str(place + 1))
        current = "document.querySelector('nav a[aria-current]').innerText"
        await browser.wait(f"view {name}", current, lambda text, name=name: text == name)
    await browser.press("?")
    await browser.wait("the keys", "document.getElementById('help').open")
    await browser.press("Escape")
    await browser.wait("no keys", "!document.getElementById('help').open")
    await check_connections(browser, page)
    post(f"{venue}/sim/pause")
    await check_overview(browser, page)
    token = await check_market(browser, page)
    await browser.press("Backspace")
    await browser.wait("the list", "location.hash", lambda text: text.startswith("#/markets"))
    await check_latency(browser, page)
    await check_fault(browser, venue, token)
    assert not browser.complaints, browser.complaints
    host = page.split("//")[1]
    others = [url for url in browser.requests if not url.startswith((f"http://{host}/", f"ws://{host}/", "data:"))]
    assert not others, others
    assert any(url.startswith("ws://") for url in browser.requests), browser.requests


async def port_of(process, file):
    """Chromium writes it when it listens."""
    begun = time.monotonic()
    while not (file.exists() and file.read_text().strip()):
        assert process.poll() is None and time.monotonic() - begun < PATIENCE_S, "chromium does not start"
        await asyncio.sleep(0.05)
    return file.read_text().split()[0]


async def main(page, venue):
    folder = tempfile.mkdtemp()
    command = ["chromium", *FLAGS, f"--user-data-dir={folder}", "about:blank"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        address = f"127.0.0.1:{await port_of(process, Path(folder, 'DevToolsActivePort'))}"
        pages = [target for target in get(f"http://{address}/json") if target["type"] == "page"]
        async with websockets.connect(pages[0]["webSocketDebuggerUrl"], max_size=None) as socket:
            await drive(Browser(socket), page, venue)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        shutil.rmtree(folder, ignore_errors=True)
    print("the page is right")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
