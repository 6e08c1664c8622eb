//! What a partitioner is, and how one is asked.
//!
//! A partitioner may be a user's code: its answer is checked, and its panic is an error of the send, so that neither
//! reaches the state of a producer.

use std::fmt;
use std::panic::{self, AssertUnwindSafe};

use super::choice::PartitionChoice;
use crate::error::{Error, Result, text_of};
use crate::offset::PartitionId;

/// Chooses the partition of a record that names none. Kafka's name: `partitioner.class`.
///
/// The answer is a number in `0..choice.partition_count()`; the send fails with
/// [`Error::InvalidPartitioning`] otherwise, and with [`Error::PartitionerPanicked`] where the partitioner panics. It is asked
/// once for each record, by whichever thread sends it, so it should be quick and must not wait. It keeps nothing from
/// one choice to the next: what a choice needs beyond the record is in the [`PartitionChoice`].
///
/// Built in: [`HashPartitioner`](crate::HashPartitioner), the default; [`ConsistentPartitioner`](crate::ConsistentPartitioner),
/// [`RoundRobinPartitioner`](crate::RoundRobinPartitioner), [`StickyPartitioner`](crate::StickyPartitioner).
///
/// # Examples
///
/// ```
/// use streamlog::{HashPartitioner, PartitionChoice, Partitioner, Record};
///
/// /// What is urgent has partition 0 to itself; all else goes by its key to the others.
/// #[derive(Debug)]
/// struct UrgentFirst;
///
/// impl Partitioner for UrgentFirst {
///     fn partition(&self, choice: &PartitionChoice<'_>) -> u32 {
///         let others = choice.partition_count() - 1;
///         if others == 0 || choice.headers().any(|header| header.name() == "urgent") {
///             return 0;
///         }
///         1 + HashPartitioner.partition(choice) % others
///     }
/// }
///
/// let (urgent, calm) = (Record::to("orders").key("a").header("urgent", None), Record::to("orders").key("a"));
/// assert_eq!(UrgentFirst.partition(&PartitionChoice::new(&urgent, 3)), 0);
/// assert_ne!(UrgentFirst.partition(&PartitionChoice::new(&calm, 3)), 0);
/// ```
pub trait Partitioner: fmt::Debug + Send + Sync + 'static {
    /// The record's partition, in `0..choice.partition_count()`.
    fn partition(&self, choice: &PartitionChoice<'_>) -> u32;
}

/// What `partitioner` chooses, if that is a partition.
///
/// # Errors
///
/// [`Error::InvalidPartitioning`], [`Error::PartitionerPanicked`].
pub(crate) fn choose(partitioner: &dyn Partitioner, choice: &PartitionChoice<'_>) -> Result<PartitionId> {
    // Whatever it leaves half done is its own: it gets nothing here that it could change.
    let answer = panic::catch_unwind(AssertUnwindSafe(|| partitioner.partition(choice)));
    let count = choice.partition_count();
    match answer {
        Ok(partition) if partition < count => partition.try_into(),
        Ok(partition) => {
            Err(Error::InvalidPartitioning { topic: choice.topic().to_owned(), partition, count })
        }
        Err(payload) => {
            Err(Error::PartitionerPanicked { topic: choice.topic().to_owned(), reason: text_of(payload) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    /// Answers with the record's number, or panics in one of the ways there are.
    #[derive(Debug)]
    struct Odd;

    /// Panics when it is dropped.
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("again");
        }
    }

    impl Partitioner for Odd {
        fn partition(&self, choice: &PartitionChoice<'_>) -> u32 {
            match choice.key() {
                None => u32::try_from(choice.number()).unwrap(),
                Some(b"text") => panic!("no key is welcome"),
                Some(b"format") => panic!("no key is welcome, and {} were here", choice.number()),
                Some(_) => panic::panic_any(Bomb),
            }
        }
    }

    #[test]
    fn answers_past_the_last_partition_are_refused_with_their_numbers() {
        let record = Record::to("t");
        let choose = |number| choose(&Odd, &PartitionChoice::new(&record, 3).with_number(number));
        assert_eq!(choose(0).unwrap(), 0);
        assert_eq!(choose(2).unwrap(), 2);
        for number in [3, u32::MAX] {
            let error = choose(number.into()).unwrap_err();
            let is_right = matches!(&error, Error::InvalidPartitioning { topic, partition, count: 3 }
                if topic == "t" && *partition == number);
            assert!(is_right, "{error}");
        }
    }

    #[test]
    fn a_panic_is_an_error_with_its_text() {
        for (key, text) in [
            ("text", "no key is welcome"),
            ("format", "no key is welcome, and 5 were here"),
            ("bomb", "a value that is no text"),
        ] {
            let record = Record::to("t").key(key);
            let error = choose(&Odd, &PartitionChoice::new(&record, 3).with_number(5)).unwrap_err();
            let is_right = matches!(&error, Error::PartitionerPanicked { topic, reason }
                if topic == "t" && reason == text);
            assert!(is_right, "{error}");
        }
    }
}
