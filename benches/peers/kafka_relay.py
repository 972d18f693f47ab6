"""Records a second of a relay in Python: lines `KEY<tab>JSON` of FILE to a topic, again and again for SECONDS.

    python kafka_relay.py HOST:PORT FILE SECONDS

The producer is confluent-kafka with the settings of `--bus`: idempotent, lz4, 5 ms.
"""
import resource
import sys
import time

from confluent_kafka import Producer

address, file, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
with open(file) as lines:
    records = [line.rstrip("\n").split("\t", 1) for line in lines]
settings = {
    "bootstrap.servers": address,
    "enable.idempotence": True,
    "compression.type": "lz4",
    "linger.ms": 5,
    "queue.buffering.max.messages": 1_000_000,
    "queue.buffering.max.kbytes": 65_536,
}
producer = Producer(settings)
done = 0


def on_delivery(error, _message):
    global done
    if error is None:
        done += 1


headers = [("engine", b"bench"), ("epoch", b"1796130880000000")]
begun = time.monotonic()
while time.monotonic() - begun < seconds:
    for key, text in records:
        while True:
            try:
                producer.produce("m.books", text, key, headers=headers, on_delivery=on_delivery)
                break
            except BufferError:
                producer.poll(0.01)
        producer.poll(0)
        if time.monotonic() - begun >= seconds:
            break
passed, usage = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_SELF)
cpu = usage.ru_utime + usage.ru_stime
print(f"{done / passed:.0f} records/s, {cpu / done * 1e6:.2f} us of CPU a record")
