"""Trades of the bus so far, with polars: bus_polars.py BROKERS PREFIX"""
import json, sys
import polars as pl
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

BROKERS, TOPIC = sys.argv[1], sys.argv[2] + ".trades"

consumer = Consumer({"bootstrap.servers": BROKERS, "group.id": "polars", "enable.auto.commit": False,
                     "enable.partition.eof": True})
partitions = consumer.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions
consumer.assign([TopicPartition(TOPIC, number, OFFSET_BEGINNING) for number in partitions])
trades, ended = [], 0
while ended < len(partitions):
    message = consumer.poll(1.0)
    if message is None:
        continue
    if not message.error():
        trades.append(json.loads(message.value()))
    elif message.error().code() == KafkaError._PARTITION_EOF:
        ended += 1
    else:
        raise KafkaException(message.error())
consumer.close()

frame = pl.DataFrame(trades, infer_schema_length=None).with_columns(
    pl.col("price", "size").cast(pl.Decimal(18, 6)),
    received=pl.from_epoch("receive_time", time_unit="ns"),
)
volumes = frame.group_by("token").agg(pl.len().alias("trades"), pl.col("size").sum(), pl.col("received").max())
for token, count, size, _ in volumes.sort("token").iter_rows():
    print(token, count, size)
