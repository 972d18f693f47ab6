"""Counts the recorded changes that tardis-client and tardis-dev fetch: tardis_replay.py ADDRESS FROM TO FOLDER."""

import asyncio
import sys

import tardis_client
import tardis_dev


async def main(address, begin, end, folder):
    client = tardis_client.TardisClient(endpoint=address, cache_dir=f"{folder}/tardis-client")
    changes = client.replay(
        exchange="polymarket",
        from_date=begin,
        to_date=end,
        filters=[tardis_client.Channel(name="price_change", symbols=[])],
    )
    first = [message async for _, message in changes]
    changes = tardis_dev.replay(
        exchange="polymarket",
        from_date=begin,
        to_date=end,
        filters=[tardis_dev.Channel(name="price_change", symbols=[])],
        endpoint=f"{address}/v1",
        cache_dir=f"{folder}/tardis-dev",
    )
    second = [response.message async for response in changes]
    assert first == second
    print(len(first), len(second))


asyncio.run(main(*sys.argv[1:]))
