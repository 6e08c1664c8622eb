//! Records to batches and back: pure bytes in Kafka's format version 2, no I/O.
