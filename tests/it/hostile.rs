//! Bytes that nobody meant: flipped, cut, made up. None of them panics, and none is taken for what was written.

use streamlog::{BatchBuilder, Compression, Corruption, Error, Record, RecordBatch, Timestamp};

/// More than any batch here decompresses to honestly.
const LIMIT_BYTES: usize = 1 << 20;

/// What is in front of the bytes that the CRC covers: offset, length, epoch, magic, and the CRC itself.
const BASE_OFFSET: std::ops::Range<usize> = 0..8;
const LEADER_EPOCH: std::ops::Range<usize> = 12..16;
const CRC: std::ops::Range<usize> = 17..21;

/// Reads everything that can be read of `bytes`, as a batch; the body of a fuzz target.
fn read_all(bytes: &[u8]) -> Result<usize, Error> {
    let batch = RecordBatch::decode(bytes)?;
    let _ = (batch.next_offset(), batch.max_timestamp(), batch.base_sequence());
    // Whatever this says, it must not panic.
    let _ = batch.control_type();
    let records = batch.records_within(LIMIT_BYTES)?;
    let mut total = 0;
    let mut count = 0;
    for record in &records {
        assert!(record.offset() >= batch.base_offset() && record.offset() <= batch.last_offset());
        assert_eq!(record.headers().len(), record.headers().count());
        let headers: usize =
            record.headers().map(|header| header.name().len() + header.value().map_or(0, <[u8]>::len)).sum();
        total += record.key().map_or(0, <[u8]>::len) + record.value().map_or(0, <[u8]>::len) + headers;
        count += 1;
    }
    assert_eq!(count, records.len(), "what was checked is yielded");
    Ok(total)
}

/// A small batch with something of everything.
fn sample(codec: Compression) -> Vec<u8> {
    let mut builder = BatchBuilder::new(codec).producer(42, 3, 7);
    let now = Timestamp::from_millis(1_700_000_000_000);
    builder.append(&Record::new().key("alice").value("3 apples, 3 apples, 3 apples"), now).unwrap();
    builder
        .append(&Record::new().value("x").header("trace", Some(b"\xca\xfe")).header("größe", None), now)
        .unwrap();
    builder.append(&Record::new().key("bob"), now).unwrap();
    builder.build().unwrap().into_bytes()
}

pub(crate) fn samples() -> impl Iterator<Item = (Compression, Vec<u8>)> {
    use Compression::{Gzip, Lz4, None, Snappy, Zstd};
    [None, Gzip, Snappy, Lz4, Zstd]
        .into_iter()
        .filter(|codec| codec.is_available())
        .map(|codec| (codec, sample(codec)))
}

/// Gives `batch` the CRC that its bytes have, as whoever makes up a batch would.
pub(crate) fn fix_crc(batch: &mut [u8]) {
    if let Err(Error::InvalidBatch { source: Corruption::Crc { computed, .. } }) = RecordBatch::decode(batch)
    {
        batch[CRC].copy_from_slice(&computed.to_be_bytes());
    }
}

/// A small generator of its own: the same bytes in every run and on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound as u64)).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[3]
    }
}

#[test]
fn the_crc_catches_every_flipped_byte_that_it_covers() {
    for (codec, batch) in samples() {
        for at in 0..batch.len() {
            for mask in [0x01, 0x80, 0xff] {
                let mut flipped = batch.clone();
                flipped[at] ^= mask;
                let read = read_all(&flipped);
                let is_outside = BASE_OFFSET.contains(&at) || LEADER_EPOCH.contains(&at);
                assert!(is_outside || read.is_err(), "{codec}: byte {at} ^ {mask:#04x}");
            }
        }
    }
}

#[test]
fn a_flipped_byte_under_a_right_crc_does_not_panic() {
    for (_, batch) in samples() {
        for at in 0..batch.len() {
            for mask in 1..=u8::MAX {
                let mut flipped = batch.clone();
                flipped[at] ^= mask;
                fix_crc(&mut flipped);
                let _ = read_all(&flipped);
            }
        }
    }
}

#[test]
fn a_batch_cut_anywhere_is_refused() {
    for (codec, batch) in samples() {
        for cut in 0..batch.len() {
            let error = read_all(&batch[..cut]).unwrap_err();
            assert!(error.is_corruption(), "{codec} cut at {cut}: {error}");
        }
    }
}

#[test]
fn a_batch_cut_anywhere_under_a_right_length_and_crc_is_refused() {
    for (codec, batch) in samples() {
        for cut in 61..batch.len() {
            let mut short = batch[..cut].to_vec();
            short[8..12].copy_from_slice(&u32::try_from(cut - 12).unwrap().to_be_bytes());
            fix_crc(&mut short);
            // What gzip and zstd carry behind the data is for their own checks.
            assert!(read_all(&short).is_err(), "{codec} cut at {cut}");
        }
    }
}

#[test]
fn made_up_records_under_a_right_header_do_not_panic() {
    let mut random = Random(0x5eed);
    for (_, batch) in samples() {
        for _ in 0..5_000 {
            let mut made_up = batch.clone();
            let from = 61 + random.below(batch.len() - 61);
            let to = from + random.below(batch.len() - from) + 1;
            for byte in &mut made_up[from..to] {
                *byte = random.byte();
            }
            fix_crc(&mut made_up);
            let _ = read_all(&made_up);
        }
    }
}

#[test]
fn noise_is_not_a_batch() {
    let mut random = Random(0xbad);
    for _ in 0..20_000 {
        let bytes = random.below(200);
        let noise: Vec<u8> = (0..bytes).map(|_| random.byte()).collect();
        assert!(read_all(&noise).is_err());
    }
}
