//! A topic with a codec of its own: what is appended in another one is stored in the topic's.

use streamlog::{
    BatchBuilder, Compression, EncodedBatch, Error, Offset, Partition, Record, RecordBatch, Timestamp,
    TimestampType, TopicCompression, TopicConfig,
};

use crate::kit::{Place, START, all_rows};

fn codecs() -> impl Iterator<Item = Compression> {
    let all =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    all.into_iter().filter(|codec| codec.is_available())
}

fn in_codec(codec: Compression) -> TopicConfig {
    TopicConfig::default().compression(TopicCompression::Codec(codec))
}

/// A batch of a transactional producer with everything that a record may have.
fn batch(codec: Compression) -> EncodedBatch {
    let mut builder = BatchBuilder::new(codec).producer(77, 3, 1000).transactional(true);
    let text = "3 apples ".repeat(50);
    for (number, time) in [5_000, 1_000, 9_000].into_iter().enumerate() {
        let timestamp = Timestamp::from_millis(time);
        let key = number.to_string();
        let record = Record::new().key(&key).timestamp(timestamp);
        let record = record.value(&text).header("trace", Some(b"42")).header("none", None);
        builder.append(&record, timestamp).unwrap();
    }
    builder.append(&Record::new().key("tombstone"), Timestamp::from_millis(7_000)).unwrap();
    builder.build().unwrap()
}

fn stored(partition: &Partition) -> Vec<RecordBatch> {
    partition.read(Offset::ZERO, usize::MAX).unwrap().iter().cloned().collect()
}

#[test]
fn batches_are_stored_in_the_topics_codec_with_everything_else_as_it_was() {
    let plain = Place::memory();
    let (_, as_sent) = plain.begin(TopicConfig::default());
    as_sent.append_batch(batch(Compression::None)).unwrap();
    let expected = all_rows(&as_sent, Offset::ZERO, usize::MAX);
    for topic in codecs() {
        for sent in codecs() {
            let (_, partition) = Place::memory().begin(in_codec(topic));
            let given = batch(sent);
            assert_eq!(partition.append_batch(given.clone()).unwrap(), Offset::ZERO..Offset::from(4));
            let [stored] = &stored(&partition)[..] else { panic!("one batch stays one") };
            assert_eq!(stored.compression(), topic, "{sent}");
            assert_eq!((stored.producer_id(), stored.producer_epoch()), (Some(77), Some(3)));
            assert_eq!((stored.base_sequence(), stored.is_transactional()), (Some(1000), true));
            assert_eq!(stored.max_timestamp(), Timestamp::from_millis(9_000));
            assert_eq!(stored.timestamp_type(), TimestampType::Create);
            assert_eq!(RecordBatch::decode(stored.bytes()).unwrap().record_count(), 4, "the CRC is right");
            assert_eq!(all_rows(&partition, Offset::ZERO, usize::MAX), expected, "{sent} to {topic}");
            if topic == sent {
                // Behind base offset, length and epoch, byte for byte.
                assert_eq!(stored.bytes()[16..], given.bytes()[16..]);
            }
        }
    }
}

#[test]
fn records_are_encoded_in_the_topics_codec_whatever_the_handle_says() {
    for topic in codecs() {
        for handle in codecs() {
            let (_, partition) = Place::memory().begin(in_codec(topic));
            let value = "3 apples ".repeat(100);
            partition.clone().compression(handle).append(&[Record::new().value(&value)]).unwrap();
            assert!(stored(&partition).iter().all(|batch| batch.compression() == topic), "{handle}");
        }
    }
}

#[test]
fn the_append_time_is_stamped_on_a_recompressed_batch_too() {
    for topic in codecs() {
        let (_, partition) = Place::memory().begin(in_codec(topic).timestamp_type(TimestampType::Append));
        partition.append_batch(batch(Compression::None)).unwrap();
        let [stored] = &stored(&partition)[..] else { panic!("one batch stays one") };
        assert_eq!((stored.compression(), stored.timestamp_type()), (topic, TimestampType::Append));
        let rows = all_rows(&partition, Offset::ZERO, usize::MAX);
        assert!(rows.iter().all(|row| row.timestamp == START), "{rows:?}");
        RecordBatch::decode(stored.bytes()).unwrap();
    }
}

#[test]
fn the_largest_batch_is_checked_before_and_after() {
    for codec in codecs().filter(|codec| *codec != Compression::None) {
        let limit = u32::try_from(batch(codec).bytes().len()).unwrap() + 100;
        assert!(batch(Compression::None).bytes().len() > limit as usize);
        // It would fit compressed, but it was sent as it is; and it is small as it was sent, but it is stored as it is.
        for (topic, sent) in [(codec, Compression::None), (Compression::None, codec)] {
            let (broker, partition) = Place::memory().begin(in_codec(topic).max_message_bytes(limit));
            let before = broker.metrics();
            let error = partition.append_batch(batch(sent)).unwrap_err();
            assert!(matches!(error, Error::BatchTooLarge { .. }), "{error}");
            assert_eq!((partition.log_end_offset().into(), broker.metrics()), (0_u64, before));
        }
        let (_, partition) = Place::memory().begin(in_codec(codec).max_message_bytes(limit));
        partition.append_batch(batch(codec)).unwrap();
    }
}

#[test]
fn a_change_of_codec_concerns_what_comes_after() {
    for codec in codecs() {
        let (broker, partition) = Place::memory().begin(TopicConfig::default());
        partition.append_batch(batch(Compression::None)).unwrap();
        broker.admin().alter_topic_config("t", in_codec(codec), &[]).unwrap();
        partition.append_batch(batch(Compression::None)).unwrap();
        broker.admin().alter_topic_config("t", TopicConfig::default(), &["compression.type"]).unwrap();
        partition.append_batch(batch(Compression::None)).unwrap();
        let found: Vec<_> = stored(&partition).iter().map(RecordBatch::compression).collect();
        assert_eq!(found, [Compression::None, codec, Compression::None]);
        let rows = all_rows(&partition, Offset::ZERO, usize::MAX);
        assert_eq!(rows.len(), 12);
        assert!(rows.iter().zip(&rows[4..]).all(|(one, other)| one.value == other.value));
    }
}

#[test]
fn the_topics_level_is_that_of_everything_the_topic_compresses() {
    let words = ["apples", "pears", "order", "payment", "accepted", "refused", "customer", "alice"];
    let mut random = fastrand::Rng::with_seed(7);
    let text: String = (0..8000).map(|_| words[random.usize(..words.len())]).collect();
    let record = || Record::new().value(&text);
    let mut builder = BatchBuilder::new(Compression::None);
    builder.append(&record(), Timestamp::from_millis(0)).unwrap();
    let sent = builder.build().unwrap();
    for (codec, fast, small) in [
        (
            Compression::Gzip,
            in_codec(Compression::Gzip).gzip_level(1),
            in_codec(Compression::Gzip).gzip_level(9),
        ),
        (
            Compression::Zstd,
            in_codec(Compression::Zstd).zstd_level(-50),
            in_codec(Compression::Zstd).zstd_level(19),
        ),
    ] {
        if !codec.is_available() {
            continue;
        }
        let [fast, small] = [fast, small].map(|config| {
            let (_, partition) = Place::memory().begin(config);
            partition.append(&[record()]).unwrap();
            partition.append_batch(sent.clone()).unwrap();
            let [one, other] = &stored(&partition)[..] else { panic!("two batches") };
            assert_eq!(one.bytes().len(), other.bytes().len());
            one.bytes().len()
        });
        assert!(small < fast, "{codec}: {small} {fast}");
    }
}
