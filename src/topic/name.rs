//! Which names a topic may have, and what the names of directories tell: Kafka's rules.

use crate::error::{Error, Result};
use crate::offset::{PartitionId, TopicPartition};

/// The longest name, so that a partition's directory fits a file name.
pub(crate) const NAME_BYTES_MAX: usize = 249;

/// Refuses a name that Kafka would refuse.
pub(crate) fn check(name: &str) -> Result<()> {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let reason = match name {
        "" => "it is empty",
        "." | ".." => "it is \".\" or \"..\"",
        _ if name.len() > NAME_BYTES_MAX => "it is longer than 249 characters",
        _ if !name.bytes().all(is_legal) => "only letters, digits, '.', '_' and '-' are allowed",
        _ => return Ok(()),
    };
    Err(Error::InvalidTopicName { name: shortened(name), reason })
}

/// The topic whose only partition the catalog is.
pub(super) const CATALOG_TOPIC: &str = "__topic_catalog";
/// The topic that the offsets of groups are in.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// The topic that the state of transactions is in.
const TRANSACTIONS_TOPIC: &str = "__transaction_state";

/// Whether a topic is the engine's own: nobody else appends to it, or deletes it.
pub(crate) fn is_internal(name: &str) -> bool {
    [OFFSETS_TOPIC, TRANSACTIONS_TOPIC].contains(&name)
}

/// Refuses what only the engine does with a topic of its own.
pub(crate) fn check_not_internal(name: &str) -> Result<()> {
    if is_internal(name) {
        let reason = "it is the broker's own: groups and transactions are kept in it";
        return Err(Error::InvalidTopicName { name: name.to_owned(), reason });
    }
    Ok(())
}

/// Whether two names differ only in `.` and `_`, or not at all.
pub(crate) fn collide(one: &str, other: &str) -> bool {
    let folded = |byte: u8| if byte == b'.' { b'_' } else { byte };
    one.len() == other.len() && one.bytes().zip(other.bytes()).all(|(a, b)| folded(a) == folded(b))
}

/// A name as an error tells it: however long it is, no longer than a legal one.
pub(crate) fn shortened(name: &str) -> String {
    name.chars().take(NAME_BYTES_MAX).collect()
}

/// The partition whose directory has this name, as the engine names it: `orders-3`, and not `orders-03`.
pub(super) fn partition_of(directory: &str) -> Option<TopicPartition> {
    let (topic, number) = directory.rsplit_once('-')?;
    let partition = TopicPartition::new(topic, PartitionId::from_u32(number.parse().ok()?)?);
    (partition.to_string() == directory).then_some(partition)
}

/// Whether a directory has the name of a topic's partition.
pub(super) fn is_partition(directory: &str) -> bool {
    partition_of(directory).is_some_and(|name| name.topic() != CATALOG_TOPIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legal_names_are_kafkas() {
        for name in ["a", "orders", "A-z.0_9", "...", "__x", "-", &"x".repeat(249)] {
            assert!(check(name).is_ok(), "{name}");
        }
        for name in ["", ".", "..", "a/b", "a b", "é", "a\0", "../x", &"x".repeat(250), &"é".repeat(300)] {
            assert!(matches!(check(name), Err(Error::InvalidTopicName { .. })), "{name}");
        }
    }

    #[test]
    fn a_directory_tells_its_partition_only_as_it_is_named_by_the_engine() {
        let named = partition_of("a-b-7").unwrap();
        assert_eq!((named.topic(), u32::from(named.partition())), ("a-b", 7));
        for other in ["a", "a-", "a-07", "a-+7", "a-2147483648", "a-18446744073709551616", "a-7.x-delete"] {
            assert_eq!(partition_of(other), None, "{other}");
        }
    }

    #[test]
    fn names_collide_when_only_dots_and_underscores_differ() {
        assert!(collide("a.b", "a_b") && collide("a.b", "a.b"));
        assert!(!collide("a.b", "a-b") && !collide("a.b", "a.bc"));
    }
}
