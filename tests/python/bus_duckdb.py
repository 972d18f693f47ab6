"""Last best prices on the bus, with DuckDB: bus_duckdb.py BROKERS PREFIX"""
import sys
import duckdb
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

BROKERS, TOPIC = sys.argv[1], sys.argv[2] + ".tops"

consumer = Consumer({"bootstrap.servers": BROKERS, "group.id": "duckdb", "enable.auto.commit": False,
                     "enable.partition.eof": True})
partitions = consumer.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions
consumer.assign([TopicPartition(TOPIC, number, OFFSET_BEGINNING) for number in partitions])
ended = 0
with open("tops.ndjson", "wb") as file:
    while ended < len(partitions):
        message = consumer.poll(1.0)
        if message is None:
            continue
        if not message.error():
            file.write(message.value() + b"\n")
        elif message.error().code() == KafkaError._PARTITION_EOF:
            ended += 1
        else:
            raise KafkaException(message.error())
consumer.close()

tops = duckdb.sql("""
    SELECT token, arg_max({'bid': bid[1], 'ask': ask[1]}, sequence) AS top
    FROM read_ndjson('tops.ndjson', columns = {token: 'VARCHAR', sequence: 'BIGINT', state: 'VARCHAR',
                     bid: 'VARCHAR[]', ask: 'VARCHAR[]'})
    GROUP BY token ORDER BY token
""")
for token, top in tops.fetchall():
    print(token, top["bid"], top["ask"])
