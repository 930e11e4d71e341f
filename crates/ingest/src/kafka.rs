//! Reading from Kafka.
