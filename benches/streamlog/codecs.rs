//! Each codec, through the log and alone on the same bytes.

use streamlog::{BatchBuilder, Broker, Compression, Offset, Record, Timestamp, TopicConfig};

use crate::harness::{Case, Outcome, Settings, Table, Target, Unit, create_partition, seconds};

const RECORD_BYTES: usize = 200;
/// Records of one call: they fill one batch of just under 64 KiB.
const CALL_RECORDS: usize = 310;
/// A batch's header, in front of its records.
const HEADER_BYTES: usize = 61;
/// Of the codec's own speed.
const TARGET: Target = Target::RatioAtLeast(0.7);
const CODECS: [Compression; 4] =
    [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// Appends and reads of batches of text, against compressing and decompressing the same bytes and nothing else.
pub(crate) fn codecs(settings: &Settings, table: &mut Table) -> Outcome<()> {
    let text = text();
    let records: Vec<Record<'_>> =
        text.chunks_exact(RECORD_BYTES).map(|line| Record::new().value(line)).collect();
    let calls = settings.sized(512);
    let plain = plain_batch(&records)?;
    let mut cases = Vec::new();
    for codec in CODECS.into_iter().filter(|codec| codec.is_available()) {
        let (records, plain) = (&records, &plain);
        let rate = move |elapsed: f64| calls as f64 * plain.len() as f64 / 1e6 / elapsed;
        let append = move || {
            let scratch = settings.scratch()?;
            let broker = Broker::open(scratch.path())?;
            let partition = create_partition(&broker, TopicConfig::default())?.compression(codec);
            let append = || (0..calls).try_for_each(|_| Ok(partition.append(records).map(drop)?));
            let ((), elapsed) = seconds(append)?;
            assert_eq!(partition.log_end_offset(), calls * records.len() as u64);
            Ok(rate(elapsed))
        };
        let compress_alone = move || {
            let mut compress = compressor(codec)?;
            let mut output = Vec::new();
            let run = || {
                (0..calls).try_for_each(|_| {
                    output.clear();
                    compress(plain, &mut output)
                })
            };
            let ((), elapsed) = seconds(run)?;
            assert!(!output.is_empty() && output.len() < plain.len(), "text shrinks");
            Ok(rate(elapsed))
        };
        let (name, bare) = (format!("codecs, append, {codec}"), format!("{codec} alone"));
        cases.push(Case::new(name, Unit::MegabytesPerSecond, append, (&bare, compress_alone), TARGET));

        let read = move || {
            let broker = Broker::in_memory()?;
            let partition = create_partition(&broker, TopicConfig::default())?.compression(codec);
            partition.append(records)?;
            let run = || {
                let mut bytes = 0;
                for _ in 0..calls {
                    for batch in &partition.read(Offset::ZERO, 1)? {
                        let decoded = batch.records()?;
                        bytes +=
                            decoded.iter().map(|record| record.value().map_or(0, <[u8]>::len)).sum::<usize>();
                    }
                }
                Ok(bytes as u64)
            };
            let (bytes, elapsed) = seconds(run)?;
            assert_eq!(bytes, calls * (RECORD_BYTES * records.len()) as u64, "every record was read");
            Ok(rate(elapsed))
        };
        let decompress_alone = move || {
            let mut stored = Vec::new();
            compressor(codec)?(plain, &mut stored)?;
            let mut decompress = decompressor(codec)?;
            let mut output = vec![0; plain.len()];
            let run = || (0..calls).try_for_each(|_| decompress(&stored, &mut output));
            let ((), elapsed) = seconds(run)?;
            assert!(output == *plain, "it comes back");
            Ok(rate(elapsed))
        };
        let name = format!("codecs, read, {codec}");
        cases.push(Case::new(name, Unit::MegabytesPerSecond, read, (&bare, decompress_alone), TARGET));
    }
    table.measure(cases)
}

/// Lines as a service logs them, of [`RECORD_BYTES`] each.
fn text() -> Vec<u8> {
    const WORDS: [&str; 12] = [
        "order", "payment", "accepted", "refused", "customer", "alice", "bob", "shipping", "basket",
        "timeout", "retried", "amount",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    let mut text = String::new();
    for line in 0..CALL_RECORDS {
        let start = text.len();
        text.push_str(&format!(
            "{{\"time\":17000000{line:05},\"id\":\"{:016x}\",\"text\":\"",
            random.u64(..)
        ));
        while text.len() < start + RECORD_BYTES {
            text.push_str(WORDS.get(random.usize(..WORDS.len())).copied().unwrap_or_default());
            text.push(' ');
        }
        text.truncate(start + RECORD_BYTES);
    }
    text.into_bytes()
}

/// The records as a batch holds them, not compressed.
fn plain_batch(records: &[Record<'_>]) -> Outcome<Vec<u8>> {
    let mut builder = BatchBuilder::new(Compression::None);
    for record in records {
        builder.append(record, Timestamp::from_millis(1_700_000_000_000))?;
    }
    Ok(builder.build()?.bytes().get(HEADER_BYTES..).unwrap_or_default().to_vec())
}

type Compress = Box<dyn FnMut(&[u8], &mut Vec<u8>) -> Outcome<()>>;
type Decompress = Box<dyn FnMut(&[u8], &mut [u8]) -> Outcome<()>>;

/// The codec alone, at the level and with the blocks that the log uses, without a batch around it.
fn compressor(codec: Compression) -> Outcome<Compress> {
    match codec {
        #[cfg(feature = "gzip")]
        Compression::Gzip => {
            let mut encoder = flate2::Compress::new_gzip(flate2::Compression::default(), 15);
            Ok(Box::new(move |input, output| {
                output.resize(input.len(), 0);
                encoder.reset();
                let status = encoder.compress(input, output, flate2::FlushCompress::Finish)?;
                assert_eq!(status, flate2::Status::StreamEnd, "text shrinks");
                output.truncate(usize::try_from(encoder.total_out())?);
                Ok(())
            }))
        }
        #[cfg(feature = "snappy")]
        Compression::Snappy => {
            let mut encoder = snap::raw::Encoder::new();
            Ok(Box::new(move |input, output| {
                output.resize(snap::raw::max_compress_len(input.len()), 0);
                let written = encoder.compress(input, output)?;
                output.truncate(written);
                Ok(())
            }))
        }
        #[cfg(feature = "lz4")]
        Compression::Lz4 => Ok(Box::new(|input, output| {
            output.resize(lz4_flex::block::get_maximum_output_size(input.len()), 0);
            let written = lz4_flex::block::compress_into(input, output)?;
            output.truncate(written);
            Ok(())
        })),
        #[cfg(feature = "zstd")]
        Compression::Zstd => {
            let mut compressor = zstd::bulk::Compressor::new(zstd::DEFAULT_COMPRESSION_LEVEL)?;
            Ok(Box::new(move |input, output| {
                output.resize(zstd::zstd_safe::compress_bound(input.len()), 0);
                let written = compressor.compress_to_buffer(input, output.as_mut_slice())?;
                output.truncate(written);
                Ok(())
            }))
        }
        absent => Err(format!("{absent} is not built in").into()),
    }
}

/// The reverse of [`compressor`], into a buffer of the right size.
fn decompressor(codec: Compression) -> Outcome<Decompress> {
    match codec {
        #[cfg(feature = "gzip")]
        Compression::Gzip => Ok(Box::new(|input, output| {
            let mut decoder = flate2::Decompress::new_gzip(15);
            let status = decoder.decompress(input, output, flate2::FlushDecompress::Finish)?;
            assert_eq!(status, flate2::Status::StreamEnd, "it comes back");
            Ok(())
        })),
        #[cfg(feature = "snappy")]
        Compression::Snappy => Ok(Box::new(|input, output| {
            snap::raw::Decoder::new().decompress(input, output)?;
            Ok(())
        })),
        #[cfg(feature = "lz4")]
        Compression::Lz4 => Ok(Box::new(|input, output| {
            lz4_flex::block::decompress_into(input, output)?;
            Ok(())
        })),
        #[cfg(feature = "zstd")]
        Compression::Zstd => {
            let mut decompressor = zstd::bulk::Decompressor::new()?;
            Ok(Box::new(move |input, output| {
                decompressor.decompress_to_buffer(input, output)?;
                Ok(())
            }))
        }
        absent => Err(format!("{absent} is not built in").into()),
    }
}
