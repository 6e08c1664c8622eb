//! Where a consumer stands, where its partitions begin and end, and going elsewhere.

use std::collections::BTreeMap;

use super::assigned::Reading;
use super::handle::Consumer;
use crate::error::Result;
use crate::log::Log;
use crate::offset::{Offset, Timestamp, TopicPartition};

impl Consumer {
    /// The offset of the next record to be returned from a partition. Where there is no position yet, it is found out now, as
    /// [`auto_offset_reset`](super::ConsumerBuilder::auto_offset_reset) says.
    ///
    /// # Errors
    ///
    /// [`Error::NotAssigned`](crate::Error::NotAssigned), [`Error::NoPosition`](crate::Error::NoPosition),
    /// [`Error::PartitionOffline`](crate::Error::PartitionOffline), [`Error::Closed`](crate::Error::Closed).
    pub fn position(&mut self, partition: &TopicPartition) -> Result<Offset> {
        let (reading, assigned) = self.one(partition)?;
        assigned.position(reading)
    }

    /// How many offsets lie between the position and the end of what is visible; 0 for a position beyond it. Costs no I/O.
    ///
    /// # Errors
    ///
    /// As [`position`](Consumer::position).
    pub fn lag(&mut self, partition: &TopicPartition) -> Result<u64> {
        let (reading, assigned) = self.one(partition)?;
        let position = assigned.position(reading)?;
        let bound = reading.bound(assigned.log(reading)?);
        Ok(bound.delta_from(position).unwrap_or(0))
    }

    /// Moves the position in a partition to `offset`: the next poll reads from there.
    ///
    /// Whether there is such an offset is seen by that poll only. Beyond the end, or before the beginning, it moves the
    /// position as [`auto_offset_reset`](super::ConsumerBuilder::auto_offset_reset) says, with a warning in the log; with
    /// [`AutoOffsetReset::None`](super::AutoOffsetReset::None) it fails. Until then, beyond the end,
    /// [`lag`](Consumer::lag) is 0.
    ///
    /// # Errors
    ///
    /// [`Error::NotAssigned`](crate::Error::NotAssigned), [`Error::Closed`](crate::Error::Closed).
    pub fn seek(&mut self, partition: &TopicPartition, offset: Offset) -> Result<()> {
        let (_, assigned) = self.one(partition)?;
        assigned.seek(offset);
        Ok(())
    }

    /// Goes back to the first record that there is now, in each of these partitions.
    ///
    /// # Errors
    ///
    /// [`Error::NotAssigned`](crate::Error::NotAssigned), and none has moved then;
    /// [`Error::PartitionOffline`](crate::Error::PartitionOffline), [`Error::Closed`](crate::Error::Closed).
    pub fn seek_to_beginning<'a>(
        &mut self,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
    ) -> Result<()> {
        self.each(partitions, |assigned, reading| {
            let start = assigned.log(reading)?.start();
            assigned.seek(start);
            Ok(())
        })
    }

    /// Goes to the end of what is visible now, in each of these partitions: what becomes visible after this call is seen.
    ///
    /// # Errors
    ///
    /// As [`seek_to_beginning`](Consumer::seek_to_beginning).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::{Broker, NewTopic, PartitionId, Record, TopicPartition};
    ///
    /// let broker = Broker::in_memory()?;
    /// broker.admin().create_topic(NewTopic::new("orders").partitions(2))?;
    /// let mut consumer = broker.consumer().build()?;
    /// let partition = TopicPartition::new("orders", PartitionId::ZERO);
    /// consumer.assign([partition.clone()])?;
    ///
    /// let orders = broker.topic("orders")?.partition(0)?;
    /// orders.append(&[Record::new().value("unseen")])?;
    /// consumer.seek_to_end([&partition])?;
    /// orders.append(&[Record::new().value("seen")])?;
    /// let records = consumer.poll(Duration::ZERO)?;
    /// assert_eq!(records.iter().next().and_then(|record| record.value()), Some(&b"seen"[..]));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn seek_to_end<'a>(
        &mut self,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
    ) -> Result<()> {
        self.each(partitions, |assigned, reading| {
            let bound = reading.bound(assigned.log(reading)?);
            assigned.seek(bound);
            Ok(())
        })
    }

    /// The first readable offset of each of these partitions, assigned or not.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownTopic`](crate::Error::UnknownTopic), [`Error::UnknownPartition`](crate::Error::UnknownPartition),
    /// [`Error::PartitionOffline`](crate::Error::PartitionOffline), [`Error::Closed`](crate::Error::Closed).
    pub fn beginning_offsets<'a>(
        &mut self,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
    ) -> Result<BTreeMap<TopicPartition, Offset>> {
        let asked = partitions.into_iter().map(|partition| (partition, ()));
        self.look_up(asked, |_, log, ()| Ok(log.start()))
    }

    /// The offset behind the last visible record of each of these partitions, assigned or not.
    ///
    /// # Errors
    ///
    /// As [`beginning_offsets`](Consumer::beginning_offsets).
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Broker, NewTopic, PartitionId, Record, TopicPartition};
    ///
    /// let broker = Broker::in_memory()?;
    /// broker.admin().create_topic(NewTopic::new("orders"))?;
    /// broker.topic("orders")?.partition(0)?.append(&[Record::new().value("3 apples")])?;
    /// let mut consumer = broker.consumer().build()?;
    /// let partition = TopicPartition::new("orders", PartitionId::ZERO);
    /// let (starts, ends) = (consumer.beginning_offsets([&partition])?, consumer.end_offsets([&partition])?);
    /// assert_eq!((starts[&partition], ends[&partition]), (0_u32.into(), 1_u32.into()));
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn end_offsets<'a>(
        &mut self,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
    ) -> Result<BTreeMap<TopicPartition, Offset>> {
        let asked = partitions.into_iter().map(|partition| (partition, ()));
        self.look_up(asked, |reading, log, ()| Ok(reading.bound(log)))
    }

    /// For each of these partitions, assigned or not, the first visible record with a timestamp of at least the one given:
    /// its offset and its timestamp, or `None` where there is no such record.
    ///
    /// # Errors
    ///
    /// As [`beginning_offsets`](Consumer::beginning_offsets), and those of reading.
    ///
    /// # Examples
    ///
    /// ```
    /// use streamlog::{Broker, NewTopic, PartitionId, Record, Timestamp, TopicPartition};
    ///
    /// let broker = Broker::in_memory()?;
    /// broker.admin().create_topic(NewTopic::new("ticks"))?;
    /// for second in 0..10 {
    ///     let record = Record::new().value("tick").timestamp(Timestamp::from_millis(1_000 * second));
    ///     broker.topic("ticks")?.partition(0)?.append(&[record])?;
    /// }
    /// let mut consumer = broker.consumer().build()?;
    /// let partition = TopicPartition::new("ticks", PartitionId::ZERO);
    /// consumer.assign([partition.clone()])?;
    ///
    /// let found = consumer.offsets_for_times([(&partition, Timestamp::from_millis(2_500))])?;
    /// if let Some((offset, timestamp)) = found[&partition] {
    ///     assert_eq!((offset, timestamp.as_millis()), (3_u32.into(), 3_000));
    ///     consumer.seek(&partition, offset)?;
    /// }
    /// assert_eq!(consumer.lag(&partition)?, 7);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn offsets_for_times<'a>(
        &mut self,
        times: impl IntoIterator<Item = (&'a TopicPartition, Timestamp)>,
    ) -> Result<BTreeMap<TopicPartition, Option<(Offset, Timestamp)>>> {
        self.look_up(times, |reading, log, time| reading.offset_for_time(log, time))
    }

    /// What `look` finds in the log of each partition that is asked about.
    fn look_up<'a, A, T>(
        &mut self,
        asked: impl IntoIterator<Item = (&'a TopicPartition, A)>,
        look: impl Fn(Reading<'_>, &Log, A) -> Result<T>,
    ) -> Result<BTreeMap<TopicPartition, T>> {
        let (reading, _) = self.parts()?;
        let answer = |(name, about): (&TopicPartition, A)| {
            Ok((name.clone(), look(reading, &*reading.log(name)?, about)?))
        };
        asked.into_iter().map(answer).collect()
    }
}
