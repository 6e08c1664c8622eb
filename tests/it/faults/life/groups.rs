//! Groups as an administrator sees them: moved, made to forget, deleted.

use streamlog::{OffsetSpec, Result, TopicPartition};

use super::commits::{Offsets, Place, named};
use super::live::Life;
use super::steps::To;

impl Life<'_> {
    pub(super) fn reset(&mut self, group: &'static str, topic: &'static str, to: To) -> Result<()> {
        let committed = self.ledger.commits.committed(group);
        let mut asked = Offsets::new();
        for partition in self.broker.topic(topic)?.partitions() {
            let partition = partition?;
            let place = (topic, partition.id().into());
            let (start, end) = (partition.log_start_offset().into(), partition.log_end_offset().into());
            let offset = match to {
                To::Earliest => Some(start),
                To::Latest => Some(end),
                To::Back(count) => {
                    committed.get(&place).map(|&offset| offset.saturating_sub(count).clamp(start, end))
                }
            };
            asked.extend(offset.map(|offset| (place, offset)));
        }
        self.ledger.commits.asking(group, &asked);
        let spec = match to {
            To::Earliest => OffsetSpec::Earliest,
            To::Latest => OffsetSpec::Latest,
            To::Back(count) => OffsetSpec::Shift(-i64::try_from(count).unwrap()),
        };
        let places = self.places(topic)?;
        let told =
            self.broker.admin().reset_group_offsets(group, places.iter().map(|(_, named)| named), spec)?;
        let told: Offsets =
            places.iter().filter_map(|(place, named)| Some((*place, u64::from(*told.get(named)?)))).collect();
        assert_eq!(told, asked, "{group}: to {to:?} in {topic}");
        self.ledger.commits.durable(group, &self.broker);
        Ok(())
    }

    pub(super) fn forget(&mut self, group: &'static str, topic: &'static str) -> Result<()> {
        self.ledger.commits.forgetting_of(group, |place| place.0 == topic);
        let places = self.places(topic)?;
        self.broker.admin().delete_group_offsets(group, places.iter().map(|(_, named)| named))?;
        self.ledger.commits.durable(group, &self.broker);
        Ok(())
    }

    pub(super) fn delete_group(&mut self, group: &'static str) -> Result<()> {
        self.ledger.commits.forgetting_of(group, |_| true);
        self.broker.admin().delete_group(group)?;
        self.ledger.commits.durable(group, &self.broker);
        Ok(())
    }

    /// The partitions of a topic.
    fn places(&self, topic: &'static str) -> Result<Vec<(Place, TopicPartition)>> {
        let count = self.broker.topic(topic)?.partition_count();
        Ok((0..count).map(|number| ((topic, number), named((topic, number)))).collect())
    }
}
