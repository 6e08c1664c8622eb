//! Control records: what the log says to itself, between the records of its users.
//!
//! A control batch holds one record; readers step over it. In a partition it is a transaction's end marker.
//!
//! ```text
//! key     0         2        4
//!         +---------+--------+
//!         | version | type   |
//!         +---------+--------+
//! ```
//!
//! Invariants: whatever the version, and whatever stands behind what is known, is read all the same.

use crate::error::Corruption;

/// The place of the type in the key.
const TYPE_AT: usize = size_of::<i16>();
/// How much of the key is known.
const KEY_BYTES: usize = TYPE_AT + size_of::<i16>();

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
        let (needed, available) = (KEY_BYTES as u64, key.len() as u64);
        let number = key.get(TYPE_AT..).and_then(|tail| tail.first_chunk());
        let number = number.ok_or(Corruption::Truncated { needed, available })?;
        Ok(match i16::from_be_bytes(*number) {
            0 => ControlType::Abort,
            1 => ControlType::Commit,
            other => ControlType::Other(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_kafkas() {
        assert_eq!(ControlType::from_key(&[0, 0, 0, 0]), Ok(ControlType::Abort));
        assert_eq!(ControlType::from_key(&[0, 0, 0, 1]), Ok(ControlType::Commit));
        assert_eq!(ControlType::from_key(&[0, 0, 0, 2]), Ok(ControlType::Other(2)));
    }

    #[test]
    fn higher_versions_and_more_bytes_are_read() {
        assert_eq!(ControlType::from_key(&[0, 9, 0, 1, 0xff]), Ok(ControlType::Commit));
    }

    #[test]
    fn fewer_bytes_are_refused() {
        for available in 0..4 {
            let short = Corruption::Truncated { needed: 4, available: available as u64 };
            assert_eq!(ControlType::from_key(&[0; 4][..available]), Err(short));
        }
    }
}
