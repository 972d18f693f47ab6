"""What open pages cost an engine, and what the engine costs a page.

pages.py PAGE_URL PID [--pages COUNT] [--seconds SECONDS] [--rounds ROUNDS] [--browser]

In turns without and with COUNT pages, each a third of them in one view (overview, markets, one market), with the requests
and streams of that view: percentiles of the stage read_to_applied (us, all shards) and CPU of the thread `serve` of the
engine with this process id. `--browser` then opens each view in chromium and prints the time between its frames.
"""

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import websockets

sys.path.append(str(Path(__file__).parent.parent / "tests/python"))
from page import FLAGS, Browser, get, port_of  # noqa: E402

STAGE = "read_to_applied"
TICKS_PER_S = 100
# Frames of so many seconds, in milliseconds between two of them.
FRAMES = """new Promise((done) => {
  const gaps = []; let last = performance.now(); const end = last + %d;
  const frame = (now) => { gaps.push(now - last); last = now;
    if (now < end) requestAnimationFrame(frame); else done(gaps.slice(1)); };
  requestAnimationFrame(frame);
})"""


def stage_buckets(url):
    """Counts of the stage by upper bound in ns."""
    stages = get(f"{url}/latency")["stages"]
    return {bound: count for stage in stages if stage["stage"] == STAGE for bound, count in stage["buckets"]}


def quantile(before, after, share):
    grown = sorted((bound, count - before.get(bound, 0)) for bound, count in after.items())
    wanted = share * sum(count for _, count in grown)
    for bound, count in grown:
        wanted -= count
        if wanted <= 0:
            return bound / 1000
    return float("nan")


def serve_cpu_s(pid):
    """CPU of the serve thread in seconds."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() == "serve":
            fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / TICKS_PER_S
    raise SystemExit(f"process {pid} has no thread `serve`")


async def page(url, number, markets):
    """One page: the requests and the stream of its view, until cancelled."""
    tokens = [token["token"] for token in markets[number % len(markets)]["tokens"]]
    firsts = [market["tokens"][0]["token"] for market in markets[:50]]
    query, wanted = [(None, []), ("kinds=top&interval_ms=250", firsts), ("", tokens)][number % 3]

    async def polls():
        while True:
            await asyncio.to_thread(get, f"{url}/stats")
            await asyncio.sleep(1)

    async def stream():
        async with websockets.connect(f"{url.replace('http', 'ws')}/v1/stream?{query}", max_size=None) as socket:
            await socket.send(json.dumps({"subscribe": wanted}))
            async for _ in socket:
                pass

    await asyncio.gather(polls(), *([stream()] if query is not None else []))


async def measure(url, pid, pages, seconds, markets):
    tasks = [asyncio.create_task(page(url, number, markets)) for number in range(pages)]
    await asyncio.sleep(2)
    before, cpu_s, stats = stage_buckets(url), serve_cpu_s(pid), get(f"{url}/stats")
    await asyncio.sleep(seconds)
    after, later = stage_buckets(url), get(f"{url}/stats")
    ended = [task for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if ended:
        raise SystemExit(f"{len(ended)} pages ended: {ended[0].exception()}")
    updates = sum(shard["updates"] for shard in later["shards"]) - sum(shard["updates"] for shard in stats["shards"])
    p50, p99 = (quantile(before, after, share) for share in (0.5, 0.99))
    cpu = (serve_cpu_s(pid) - cpu_s) / seconds
    elapsed_s = (later["now_wall_ns"] - stats["now_wall_ns"]) / 1e9
    print(f"{pages:3} pages: {updates / elapsed_s:8.0f} updates/s, p50 {p50:6.1f} us, p99 {p99:6.1f} us, serve {cpu:.1%}")
    return p99


async def frames(url, seconds, market):
    folder = tempfile.mkdtemp()
    command = ["chromium", *FLAGS, f"--user-data-dir={folder}", "about:blank"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        address = f"127.0.0.1:{await port_of(process, Path(folder, 'DevToolsActivePort'))}"
        target = next(target for target in get(f"http://{address}/json") if target["type"] == "page")
        async with websockets.connect(target["webSocketDebuggerUrl"], max_size=None) as socket:
            browser = Browser(socket)
            await browser.call("Performance.enable")
            for view in ("overview", "connections", "markets", "latency", f"market/{market}"):
                await browser.call("Page.navigate", url=f"{url}/#/{view}")
                await asyncio.sleep(3)
                busy = await busy_s(browser)
                gaps = sorted(await browser.value(FRAMES % (seconds * 1000)))
                share = (await busy_s(browser) - busy) / seconds
                late = sum(gap > 25 for gap in gaps)
                print(
                    f"{view.split('/')[0]:12} {len(gaps) / seconds:5.1f} frames/s, p50 {statistics.median(gaps):5.1f} ms,"
                    f" p99 {gaps[int(len(gaps) * 0.99)]:5.1f} ms, {late} of {len(gaps)} later than 25 ms,"
                    f" main thread busy {share:.1%}"
                )
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


async def busy_s(browser):
    metrics = (await browser.call("Performance.getMetrics"))["metrics"]
    return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("pid", type=int)
    parser.add_argument("--pages", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--browser", action="store_true")
    given = parser.parse_args()
    url = given.url.rstrip("/")
    markets = get(f"{url}/markets?limit=50")["markets"]
    rounds = [
        [await measure(url, given.pid, count, given.seconds, markets) for count in (0, given.pages)]
        for _ in range(given.rounds)
    ]
    if rounds:
        ratios = sorted(after / before for before, after in rounds)
        print(f"p99 with pages / without: median {statistics.median(ratios):.2f}, {ratios[0]:.2f} to {ratios[-1]:.2f}")
    if given.browser:
        await frames(url, given.seconds, markets[0]["tokens"][0]["token"])


if __name__ == "__main__":
    asyncio.run(main())
