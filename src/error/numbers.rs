//! The conversions of plain numbers whose failure is an [`Error`], here so that [`offset`](crate::offset) needs no errors.

use super::variants::{Error, Result};
use crate::offset::{Offset, PartitionId};

impl TryFrom<u64> for Offset {
    type Error = Error;

    fn try_from(value: u64) -> Result<Offset> {
        let offset = i64::try_from(value).ok().and_then(Offset::from_i64);
        offset.ok_or(Error::InvalidOffset { value })
    }
}

impl TryFrom<u32> for PartitionId {
    type Error = Error;

    fn try_from(value: u32) -> Result<PartitionId> {
        PartitionId::from_u32(value).ok_or(Error::InvalidPartition { value, limit: PartitionId::MAX.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_past_the_largest_are_refused_by_name() {
        let largest = i64::MAX.unsigned_abs();
        assert_eq!(Offset::try_from(largest).unwrap(), Offset::MAX);
        let error = Offset::try_from(largest + 1).unwrap_err();
        assert!(matches!(error, Error::InvalidOffset { value } if value == largest + 1));

        let largest = u32::from(PartitionId::MAX);
        assert_eq!(PartitionId::try_from(largest).unwrap(), PartitionId::MAX);
        let error = PartitionId::try_from(largest + 1).unwrap_err();
        assert!(matches!(error, Error::InvalidPartition { value, limit } if value == limit + 1));
    }
}
