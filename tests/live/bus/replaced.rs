//! A reader of a broker that is away, and returns with its records or with others.
//!
//! Runs on:  test threads; the brokers are librdkafka's mock.
use super::TOPICS;
use crate::program::TIMEOUT;
use crate::proxy::Proxy;
use rdkafka::config::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use ringbook::bus::{BusConsumer, record::Topic};
use std::time::{Duration, Instant};

type Mock = super::Mock;

fn broker() -> Mock {
    let cluster = MockCluster::new(1).unwrap();
    for topic in TOPICS {
        cluster.create_topic(&format!("re.{topic}"), 1, 1).unwrap();
    }
    cluster
}

/// Records that are numbers.
fn publish(cluster: &Mock, numbers: std::ops::Range<u32>) {
    let servers = cluster.bootstrap_servers();
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    for number in numbers {
        let text = number.to_string();
        producer.send(BaseRecord::to("re.trades").key("1").payload(&text)).unwrap();
    }
    producer.flush(TIMEOUT).unwrap();
}

fn read(consumer: &mut BusConsumer, numbers: std::ops::Range<u32>) {
    let begun = Instant::now();
    for number in numbers {
        let text = loop {
            assert!(begun.elapsed() < TIMEOUT, "no {number}");
            if let Some(record) = consumer.poll(Duration::from_millis(50)).unwrap() {
                break record.text;
            }
        };
        assert_eq!(text, number.to_string());
    }
}

#[test]
fn a_broker_that_is_back_is_read_on_and_another_one_from_its_beginning() {
    let first = broker();
    publish(&first, 0..10);
    // The other broker is no broker yet.
    let second = broker();
    let proxy = Proxy::start(second.bootstrap_servers().parse().unwrap());
    proxy.close();
    let url = format!("kafka://{},{}/re", first.bootstrap_servers(), proxy.address);
    let mut consumer = BusConsumer::connect(&url, &[Topic::Trades], &[Topic::Trades]).unwrap();
    read(&mut consumer, 0..10);
    let failures = consumer.failures();
    first.broker_down(-1).unwrap();
    let begun = Instant::now();
    while consumer.failures() == failures {
        assert!(begun.elapsed() < TIMEOUT, "nothing says that the broker is away");
        assert_eq!(consumer.poll(Duration::from_millis(50)).unwrap(), None);
    }
    first.broker_up(-1).unwrap();
    publish(&first, 10..20);
    read(&mut consumer, 10..20);
    // It has more records than were read of the first one.
    publish(&second, 100..150);
    drop(first);
    proxy.open();
    read(&mut consumer, 100..150);
    publish(&second, 150..160);
    read(&mut consumer, 150..160);
}
