//! The assignors through the public API: Kafka's worked cases, and what must hold whatever the members and topics are.

mod rebalance;

mod cases;
mod properties;
