//! Control records: what the log says to itself, between the records of its users.
//!
//! A control batch holds one record; readers step over it. In a partition it is a transaction's end marker.
//!
//! ```text
//! key     0         2        4            value   0         2                    6
//!         +---------+--------+                    +---------+--------------------+
//!         | version | type   |                    | version | coordinator epoch  |
//!         +---------+--------+                    +---------+--------------------+
//! ```
//!
//! Invariants: version 0 is written; higher versions, and more bytes behind what is known, are read all the same.

use crate::error::Corruption;

/// The version that is written into keys and values.
const VERSION: i16 = 0;
/// The place of the type in the key.
const TYPE_AT: usize = size_of::<i16>();
/// How much of the key is known.
const KEY_BYTES: usize = TYPE_AT + size_of::<i16>();
/// The place of the coordinator's epoch in a marker's value.
const EPOCH_AT: usize = size_of::<i16>();
/// How much of the value is known.
const VALUE_BYTES: usize = EPOCH_AT + size_of::<i32>();

/// What a control batch says.
///
/// # Examples
///
/// ```
/// use streamlog::{Compression, ControlType, Record, RecordBatch, Timestamp};
/// # use streamlog::BatchBuilder;
///
/// let mut builder = BatchBuilder::new(Compression::None);
/// builder.append(&Record::new().value("3 apples"), Timestamp::from_millis(0))?;
/// let batch = RecordBatch::decode(builder.build()?.bytes())?;
/// assert_eq!(batch.control_type()?, None::<ControlType>);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ControlType {
    /// The producer's transaction was aborted: its records before this one do not count.
    Abort,
    /// The producer's transaction was committed.
    Commit,
    /// Any other; Kafka uses some in the log of its own metadata.
    Other(i16),
}

impl ControlType {
    /// What the key of a control record says.
    pub(super) fn from_key(key: &[u8]) -> Result<ControlType, Corruption> {
        Ok(match i16::from_be_bytes(field(key, TYPE_AT, KEY_BYTES)?) {
            0 => ControlType::Abort,
            1 => ControlType::Commit,
            other => ControlType::Other(other),
        })
    }

    /// The key of a control record that says this.
    pub(super) fn to_key(self) -> [u8; KEY_BYTES] {
        let number = match self {
            ControlType::Abort => 0,
            ControlType::Commit => 1,
            ControlType::Other(other) => other,
        };
        let [v0, v1] = VERSION.to_be_bytes();
        let [t0, t1] = i16::to_be_bytes(number);
        [v0, v1, t0, t1]
    }
}

/// The coordinator's epoch in the value of a transaction's end marker.
pub(super) fn coordinator_epoch(value: &[u8]) -> Result<i32, Corruption> {
    Ok(i32::from_be_bytes(field(value, EPOCH_AT, VALUE_BYTES)?))
}

/// The value of a transaction's end marker.
pub(super) fn marker_value(coordinator_epoch: i32) -> [u8; VALUE_BYTES] {
    let [v0, v1] = VERSION.to_be_bytes();
    let [e0, e1, e2, e3] = coordinator_epoch.to_be_bytes();
    [v0, v1, e0, e1, e2, e3]
}

fn field<const N: usize>(bytes: &[u8], at: usize, needed: usize) -> Result<[u8; N], Corruption> {
    let field = bytes.get(at..).and_then(|tail| tail.first_chunk());
    let available = bytes.len() as u64;
    field.copied().ok_or(Corruption::Truncated { needed: needed as u64, available })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_kafkas() {
        assert_eq!(ControlType::Abort.to_key(), [0, 0, 0, 0]);
        assert_eq!(ControlType::Commit.to_key(), [0, 0, 0, 1]);
        assert_eq!(ControlType::from_key(&[0, 0, 0, 2]), Ok(ControlType::Other(2)));
        assert_eq!(marker_value(7), [0, 0, 0, 0, 0, 7]);
    }

    #[test]
    fn higher_versions_and_more_bytes_are_read() {
        assert_eq!(ControlType::from_key(&[0, 9, 0, 1, 0xff]), Ok(ControlType::Commit));
        assert_eq!(coordinator_epoch(&[0, 1, 0, 0, 0, 7, 0xff]), Ok(7));
    }

    #[test]
    fn fewer_bytes_are_refused() {
        let short = |needed, available| Corruption::Truncated { needed, available };
        assert_eq!(ControlType::from_key(&[0, 0, 0]), Err(short(4, 3)));
        assert_eq!(coordinator_epoch(&[0; 5]), Err(short(6, 5)));
    }
}
