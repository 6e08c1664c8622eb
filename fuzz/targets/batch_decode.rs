//! Decodes arbitrary bytes as a record batch and looks at everything in it.
//!
//! Nothing may panic, hang, or allocate past [`LIMIT_BYTES`] and what was handed in. Every input is tried twice: as it is,
//! and with the checksum that its bytes should have, for a fuzzer does not guess a CRC and would never get behind it.
//!
//! Shared by the fuzzer and by `tests/fuzz_corpus.rs`, which runs it over the kept inputs.

use std::hint::black_box;
use std::ops::Range;

use streamlog::RecordBatch;

/// How many bytes the records may decompress to.
const LIMIT_BYTES: usize = 1 << 20;
/// The batch's length field: how many bytes follow it.
const LENGTH: Range<usize> = 8..12;
/// The checksum field; it covers what follows it.
const CRC: Range<usize> = LENGTH.end + 5..LENGTH.end + 9;

/// Tries one input.
pub(crate) fn run(data: &[u8]) {
    decode(data);
    let mut mended = data.to_vec();
    if mend_crc(&mut mended).is_some() {
        decode(&mended);
    }
}

fn decode(data: &[u8]) {
    let Ok(batch) = RecordBatch::decode(data) else { return };
    let Ok(records) = batch.records_within(LIMIT_BYTES) else { return };
    for record in &records {
        black_box((record.key(), record.value()));
        for header in record.headers() {
            black_box(header);
        }
    }
}

/// Stores the right checksum, or gives `None` where the bytes are too few to have one.
fn mend_crc(data: &mut [u8]) -> Option<()> {
    let length = u32::from_be_bytes(data.get(LENGTH)?.try_into().ok()?);
    let end = LENGTH.end.saturating_add(usize::try_from(length).ok()?).min(data.len());
    let crc = crc32c(data.get(CRC.end..end)?);
    data.get_mut(CRC)?.copy_from_slice(&crc.to_be_bytes());
    Some(())
}

/// CRC-32C, bit by bit: not the crate's own, which is what is under test.
fn crc32c(data: &[u8]) -> u32 {
    let bit = |crc: u32, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
    !data.iter().fold(u32::MAX, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), bit))
}
