//! A batch that stands for records that are lost.
//!
//! It has their offsets and no records, as Kafka's cleaner leaves one where all records of a batch are gone and its offsets must
//! stay used; to Kafka it is such a batch. A bit of the attributes that Kafka does not use says that these were lost.

use std::ops::Range;

use crate::offset::{LeaderEpoch, Offset};
use crate::record::compression::Compression;
use crate::record::header::{BATCH_HEADER_BYTES, BatchHeader};

/// The most offsets that one batch can stand for.
pub(crate) const LOST_OFFSETS_MAX: u64 = i32::MAX.unsigned_abs() as u64 + 1;

/// The batch that stands for `offsets`, of which there is one at least and [`LOST_OFFSETS_MAX`] at most; more are left out.
pub(crate) fn lost(offsets: &Range<Offset>, epoch: Option<LeaderEpoch>) -> [u8; BATCH_HEADER_BYTES] {
    let mut header = BatchHeader::empty(Compression::None);
    let count = offsets.end.delta_from(offsets.start).unwrap_or(0);
    header.base_offset = offsets.start;
    header.last_offset_delta = i32::try_from(count.saturating_sub(1)).unwrap_or(i32::MAX);
    header.leader_epoch = epoch;
    header.set_lost();
    let mut batch = [0; BATCH_HEADER_BYTES];
    header.seal(&mut batch);
    batch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::batch::RecordBatch;
    use crate::storage::Slice;

    #[test]
    fn it_holds_its_offsets_and_no_record() {
        for count in [1, 7, LOST_OFFSETS_MAX] {
            let offsets = Offset::from(5)..Offset::from(5).saturating_add(count);
            let epoch = LeaderEpoch::from_i32(3);
            let batch = RecordBatch::parse(Slice::from(lost(&offsets, epoch).to_vec())).unwrap();
            batch.check_crc().unwrap();
            assert_eq!(batch.base_offset()..batch.next_offset(), offsets);
            assert_eq!((batch.record_count(), batch.leader_epoch()), (0, epoch));
            assert_eq!(batch.records().unwrap().len(), 0);
            assert!(batch.is_lost() && !batch.is_control());
        }
    }
}
