//! Batches by hand: places of the fields, lengths and checksums put right, and a reading of their own.
//!
//! A fuzzer does not guess a CRC and would never get behind it, so what it made is mended first. The CRC is computed bit
//! by bit here, because the crate's own is under test.

use std::ops::Range;

pub const BASE_OFFSET: Range<usize> = 0..8;
pub const LENGTH: Range<usize> = BASE_OFFSET.end..12;
pub const LEADER_EPOCH: Range<usize> = LENGTH.end..16;
pub const MAGIC: usize = LEADER_EPOCH.end;
pub const CRC: Range<usize> = MAGIC + 1..21;
pub const ATTRIBUTES: Range<usize> = CRC.end..23;
pub const LAST_OFFSET_DELTA: Range<usize> = ATTRIBUTES.end..27;
pub const TIMES: Range<usize> = LAST_OFFSET_DELTA.end..43;
pub const PRODUCER: Range<usize> = TIMES.end..57;
pub const RECORD_COUNT: Range<usize> = PRODUCER.end..61;
pub const HEADER_BYTES: usize = RECORD_COUNT.end;

/// The header of a batch, as far as recovery looks at it, read without the crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub base_offset: u64,
    pub total_bytes: usize,
    pub last_offset: u64,
}

/// The batch at the front of `bytes`, if it is whole, can be, and has the CRC that it says.
pub fn good_head(bytes: &[u8]) -> Option<Head> {
    let header = bytes.get(..HEADER_BYTES)?;
    let length = usize::try_from(i32::from_be_bytes(header[LENGTH].try_into().ok()?)).ok()?;
    let batch = bytes.get(..LENGTH.end + length).filter(|batch| batch.len() >= HEADER_BYTES)?;
    let base_offset = u64::try_from(i64::from_be_bytes(header[BASE_OFFSET].try_into().ok()?)).ok()?;
    let delta = u32::try_from(i32::from_be_bytes(header[LAST_OFFSET_DELTA].try_into().ok()?)).ok()?;
    let crc = u32::from_be_bytes(header[CRC].try_into().ok()?);
    let is_good = header[MAGIC] == 2 && crc == crc32c(&batch[CRC.end..]);
    is_good.then(|| Head {
        base_offset,
        total_bytes: batch.len(),
        last_offset: base_offset + u64::from(delta),
    })
}

/// Makes `bytes` one batch as far as its frame goes: length, magic and checksum. Too few bytes are filled up with zeros.
pub fn mend(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().max(HEADER_BYTES), 0);
    let length = u32::try_from(bytes.len() - LENGTH.end).unwrap();
    bytes[LENGTH].copy_from_slice(&length.to_be_bytes());
    bytes[MAGIC] = 2;
    mend_crc(bytes);
}

/// Stores the checksum that a batch should have.
pub fn mend_crc(batch: &mut [u8]) {
    let crc = crc32c(&batch[CRC.end..]);
    batch[CRC].copy_from_slice(&crc.to_be_bytes());
}

/// Puts a batch somewhere in a log; what is changed lies outside its checksum.
pub fn stamp(batch: &mut [u8], base_offset: u64, epoch: u32) {
    batch[BASE_OFFSET].copy_from_slice(&base_offset.to_be_bytes());
    batch[LEADER_EPOCH].copy_from_slice(&epoch.to_be_bytes());
}

/// A batch, not compressed, that says it holds `count` records, which are `records`.
pub fn headed(records: &[u8], count: u32) -> Vec<u8> {
    let mut batch = vec![0; HEADER_BYTES];
    batch[LEADER_EPOCH].fill(0xff);
    batch[PRODUCER].fill(0xff);
    batch[LAST_OFFSET_DELTA].copy_from_slice(&count.saturating_sub(1).to_be_bytes());
    batch[RECORD_COUNT].copy_from_slice(&count.to_be_bytes());
    batch.extend_from_slice(records);
    mend(&mut batch);
    batch
}

/// CRC-32C, the polynomial of batches.
pub fn crc32c(data: &[u8]) -> u32 {
    crc(data, 0x82f6_3b78)
}

/// CRC-32 (ISO HDLC), the polynomial of durable slots.
pub fn crc32(data: &[u8]) -> u32 {
    crc(data, 0xedb8_8320)
}

fn crc(data: &[u8], polynomial: u32) -> u32 {
    let bit = |crc: u32, _| (crc >> 1) ^ (polynomial & (crc & 1).wrapping_neg());
    !data.iter().fold(u32::MAX, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), bit))
}
