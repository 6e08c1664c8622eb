use std::collections::BTreeMap;
use streamlog::{ConsumerRecord, IsolationLevel, Offset, TopicPartition};

/// A database, with one table for the effect and one for the offsets.
#[derive(Default)]
struct Store {
    bills: Vec<u64>,
    last: BTreeMap<TopicPartition, Offset>,
}

impl Store {
    /// One transaction: both, or nothing. Whether it was new.
    fn bill(&mut self, record: ConsumerRecord<'_>) -> bool {
        let partition = record.topic_partition();
        if self.last.get(partition).is_some_and(|&last| record.offset() <= last) {
            return false;
        }
        self.bills.push(record.offset().into());
        self.last.insert(partition.clone(), record.offset());
        true
    }
}

fn main() -> Result<()> {
    let broker = orders()?;
    let (mut store, mut duplicates) = (Store::default(), 0);
    for dies in [true, false] {
        let builder = broker.consumer().group("billing").auto_commit(None).max_poll_records(4);
        let builder = builder.isolation(IsolationLevel::ReadDurable); // nothing that a power cut could take back
        let mut consumer = builder.auto_offset_reset(AutoOffsetReset::Earliest).build()?;
        consumer.subscribe(["orders"])?;
        'program: while store.bills.len() < 10 {
            for record in &consumer.poll(Duration::from_secs(1))? {
                duplicates += u32::from(!store.bill(record));
                if dies && store.bills.len() == 7 {
                    break 'program; // it dies, three bills after the last commit
                }
            }
            consumer.commit()?;
        }
    }
    assert_eq!(duplicates, 3);
    assert_eq!(store.bills, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    Ok(())
}
