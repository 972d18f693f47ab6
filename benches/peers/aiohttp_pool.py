"""aiohttp's pooled session, measured as tests/network/pools/peers.rs measures the pool of this crate.

python aiohttp_pool.py URL bursts|loops REQUESTS AT_ONCE CONNECTIONS
Prints requests/s; p50, p99 and the largest latency in microseconds.
"""

import asyncio
import sys
import time

import aiohttp


async def main(url, load, requests, at_once, connections):
    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask(count, took_ns):
            for _ in range(count):
                started = time.perf_counter_ns()
                async with session.get(url) as response:
                    body = await response.read()
                    assert response.status == 200 and len(body) == 26
                took_ns.append(time.perf_counter_ns() - started)

        async def together(count, took_ns):
            await asyncio.gather(*(ask(count, took_ns) for _ in range(at_once)))

        await together(10, [])
        rounds = requests // at_once
        took_ns = []
        started = time.perf_counter()
        if load == "loops":
            await together(rounds, took_ns)
        else:
            for _ in range(rounds):
                await together(1, took_ns)
        seconds = time.perf_counter() - started
        took_ns.sort()

        def at(share):
            return took_ns[int(len(took_ns) * share)] / 1e3

        print(len(took_ns) / seconds, at(0.5), at(0.99), took_ns[-1] / 1e3)


asyncio.run(main(sys.argv[1], sys.argv[2], *(int(text) for text in sys.argv[3:6])))
