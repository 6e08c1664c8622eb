//! Batches as they are written once more: in place, or to another file.
//!
//! What is written is what was checked, and what a second read gives as well: a read that errs must never become what is
//! stored, and base offset and leader epoch are outside the CRC.

use std::io::{self, IoSlice};
use std::ops::Range;

use super::log_segment::LogSegment;
use super::scan::Scan;
use crate::error::{Corruption, Error, Result};
use crate::offset::Offset;
use crate::record::RecordBatch;

/// How many batches, and about how many bytes, are written at a time.
const BATCHES_MAX: usize = 64;
const BYTES_MAX: usize = 1 << 20;

impl LogSegment {
    /// Reads the sound batches in `bytes`, the first of which begins at `from` or later, and hands them to `write`, some at a time,
    /// with their position.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`](crate::Error::Corrupt) where a batch is not sound any more; those of the reads and of `write`.
    pub(crate) fn copy_sound(
        &self,
        bytes: Range<u64>,
        from: Offset,
        write: &mut dyn FnMut(u64, &[IoSlice<'_>]) -> Result<()>,
    ) -> Result<()> {
        let end = bytes.end;
        let mut scan = Scan::new(&self.log, self.base, bytes, from).dense().with_crcs();
        let mut batches: Vec<RecordBatch> = Vec::new();
        let (mut start, mut held) = (scan.position(), 0);
        loop {
            let next = if scan.position() < end { scan.next()? } else { None };
            if let Some(found) = &next {
                held += found.batch.bytes().len();
                batches.push(found.batch.clone());
            }
            if next.is_none() || batches.len() == BATCHES_MAX || held >= BYTES_MAX {
                let parts: Vec<IoSlice<'_>> =
                    batches.iter().map(|batch| IoSlice::new(batch.bytes())).collect();
                self.check_again(start, &parts)?;
                write(start, &parts)?;
                drop(parts);
                batches.clear();
                (start, held) = (scan.position(), 0);
            }
            if next.is_none() {
                break;
            }
        }
        if scan.position() == end { Ok(()) } else { Err(scan.corrupt(Corruption::ZeroLength)) }
    }

    /// Refuses `parts`, which were read from byte `start` on, where the file gives other bytes now.
    fn check_again(&self, start: u64, parts: &[IoSlice<'_>]) -> Result<()> {
        let mut position = start;
        for part in parts {
            let end = position + part.len() as u64;
            if self.log.slice(position..end)?[..] != part[..] {
                let differ = io::Error::new(io::ErrorKind::InvalidData, "two reads of the same bytes differ");
                return Err(Error::io("read", self.log.path())(differ));
            }
            position = end;
        }
        Ok(())
    }
}
