//! In which codec a topic stores batches.

use crate::error::{Error, Result};
use crate::record::Compression;

/// In which codec a topic stores batches. Kafka's `compression.type` of a topic.
///
/// # Examples
///
/// ```
/// use streamlog::{Broker, Compression, NewTopic, Offset, Record, TopicCompression, TopicConfig};
///
/// # if !Compression::Zstd.is_available() { return Ok(()) }
/// let broker = Broker::in_memory()?;
/// let config = TopicConfig::default().compression(TopicCompression::Codec(Compression::Zstd));
/// broker.admin().create_topic(NewTopic::new("archive").config(config))?;
/// let archive = broker.topic("archive")?.partition(0)?;
/// archive.append(&[Record::new().value("3 apples")])?;
/// let batches = archive.read(Offset::ZERO, 1 << 20)?;
/// assert!(batches.iter().all(|batch| batch.compression() == Compression::Zstd));
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TopicCompression {
    /// As each batch was appended.
    #[default]
    Producer,
    /// All in this codec: a batch in another one is compressed anew before it is stored, one in this codec is kept as it
    /// is. [`Compression::None`] is Kafka's `uncompressed`.
    Codec(Compression),
}

impl TopicCompression {
    /// By Kafka's names.
    pub(super) const NAMES: [(&'static str, TopicCompression); 6] = [
        ("producer", TopicCompression::Producer),
        ("uncompressed", TopicCompression::Codec(Compression::None)),
        ("gzip", TopicCompression::Codec(Compression::Gzip)),
        ("snappy", TopicCompression::Codec(Compression::Snappy)),
        ("lz4", TopicCompression::Codec(Compression::Lz4)),
        ("zstd", TopicCompression::Codec(Compression::Zstd)),
    ];

    /// The codec in which a batch is stored that was appended in `given`.
    pub(super) fn stored(self, given: Compression) -> Compression {
        match self {
            TopicCompression::Producer => given,
            TopicCompression::Codec(codec) => codec,
        }
    }

    /// Refuses a codec that is not built in, in which nothing could be appended.
    pub(super) fn validate(self) -> Result<()> {
        match self {
            TopicCompression::Codec(codec) if !codec.is_available() => {
                Err(Error::CodecDisabled { codec: codec.name() })
            }
            TopicCompression::Codec(_) | TopicCompression::Producer => Ok(()),
        }
    }
}
