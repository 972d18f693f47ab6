"""The same rows through asyncpg: executemany, and copy_records_to_table into a stage.

    python3 benches/peers/asyncpg_rows.py postgres://keeper@127.0.0.1:5432/postgres rows.tsv

rows.tsv is what `RINGBOOK_BENCH_ROWS_OUT` of `cargo bench --bench trades` wrote. Batches of 5,000, one transaction
each, into tables with the same key; the second way is what ringbook does: a temporary table, then
INSERT .. SELECT .. ON CONFLICT DO NOTHING.
"""

import asyncio
import sys
import time

import asyncpg

BATCH = 5_000
COLUMNS = """venue text, market text, token text, outcome text, price_e6 bigint, size_e6 bigint, side text,
             venue_ms bigint, receive_ns bigint, id text, fee_bps_e6 bigint, connection bigint"""
KEY = "PRIMARY KEY (venue_ms, token, id, price_e6, size_e6, side)"


def rows(path):
    for line in open(path):
        v = line.rstrip("\n").split("\t")
        yield (v[0], v[1], v[2], v[3], int(v[4]), int(v[5]), v[6], int(v[7]), int(v[8]), v[9], int(v[10]), int(v[11]))


async def measure(name, connection, table, batches, insert):
    await connection.execute(f"DROP TABLE IF EXISTS {table}")
    await connection.execute(f"CREATE TABLE {table} ({COLUMNS}, {KEY})")
    times = []
    for batch in batches:
        begun = time.perf_counter()
        async with connection.transaction():
            await insert(batch)
        times.append(time.perf_counter() - begun)
    stored = await connection.fetchval(f"SELECT count(*) FROM {table}")
    rate = sum(len(batch) for batch in batches) / sum(times)
    times.sort()
    print(f"{name:<24} {rate:>9.0f} rows/s, {stored} rows, batch p50 {times[len(times) // 2] * 1e3:.1f} ms")
    await connection.execute(f"DROP TABLE {table}")


async def main(address, path):
    all_rows = list(rows(path))
    batches = [all_rows[at : at + BATCH] for at in range(0, len(all_rows), BATCH)]
    connection = await asyncpg.connect(address)
    marks = ", ".join(f"${n}" for n in range(1, 13))

    async def one_by_one(batch):
        await connection.executemany(f"INSERT INTO rows_a VALUES ({marks}) ON CONFLICT DO NOTHING", batch)

    async def staged(batch):
        await connection.copy_records_to_table("rows_stage", records=batch)
        await connection.execute("INSERT INTO rows_b SELECT * FROM rows_stage ON CONFLICT DO NOTHING")

    await measure("asyncpg executemany", connection, "rows_a", batches, one_by_one)
    await connection.execute(f"CREATE TEMP TABLE rows_stage ({COLUMNS}) ON COMMIT DELETE ROWS")
    await measure("asyncpg copy, stage", connection, "rows_b", batches, staged)
    await connection.close()


asyncio.run(main(sys.argv[1], sys.argv[2]))
