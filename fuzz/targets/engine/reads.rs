//! Reading: by offset, by time, while a bit flips, and through a consumer.

use std::time::Duration;

use streamlog::testing::Fault;
use streamlog::{Consumer, Error, IsolationLevel, Offset, Result, Timestamp, TopicPartition};

use super::super::files::START;
use super::super::input::Input;
use super::super::rows::Row;
use super::checks::rows_of;
use super::program::Run;

impl Run {
    pub(super) fn read(&mut self, input: &mut Input<'_>) {
        let Some((name, at, partition)) = self.pick(input) else { return };
        let end = self.model(name, at).rows.len();
        let from = input.below(end + 2);
        let max_bytes = [0, 1, 300, 5000, usize::MAX][input.below(5)];
        match partition.read(Offset::try_from(from as u64).unwrap(), max_bytes) {
            Ok(batches) => {
                let rows: Vec<Row> = batches.iter().flat_map(rows_of).collect();
                assert!(from <= end && rows.is_empty() == (from == end));
                assert_eq!(rows, self.model(name, at).rows[from..from + rows.len()]);
            }
            Err(Error::OffsetOutOfRange { .. }) => assert!(from > end),
            Err(error) => self.excuse(&error),
        }
    }

    /// Reads while one bit of what is read flips: the right records, or an error.
    pub(super) fn read_flipped(&mut self, input: &mut Input<'_>) {
        let Some((name, at, partition)) = self.pick(input) else { return };
        let end = self.model(name, at).rows.len();
        let from = input.below(end + 1);
        self.disk.heal();
        self.disk.inject(Fault::flipped_bit(input.long()).of(format!("{name}-{at}/")));
        let read = partition.read(Offset::try_from(from as u64).unwrap(), 5000);
        self.disk.heal();
        match read {
            Ok(batches) => {
                let rows: Vec<Row> = batches.iter().flat_map(rows_of).collect();
                assert!(rows.is_empty() == (from == end));
                assert_eq!(rows, self.model(name, at).rows[from..from + rows.len()]);
            }
            Err(error) => assert!(error.is_corruption(), "{error:?}"),
        }
    }

    pub(super) fn look_up(&mut self, input: &mut Input<'_>) {
        let Some((name, at, partition)) = self.pick(input) else { return };
        let rows = &self.model(name, at).rows;
        let near = if rows.is_empty() { START } else { rows[input.below(rows.len())].timestamp };
        let time = near + i64::from(input.byte() % 4) - 1;
        let expected = rows.iter().find(|row| row.timestamp >= time).map(|row| row.offset);
        match partition.offset_for_time(Timestamp::from_millis(time)) {
            Ok(found) => assert_eq!(found.map(u64::from), expected, "at {time}"),
            Err(error) => self.excuse(&error),
        }
    }

    /// A consumer reads one partition to its end.
    pub(super) fn poll(&mut self, input: &mut Input<'_>) {
        let Some((name, at, partition)) = self.pick(input) else { return };
        let shape = input.byte();
        let levels =
            [IsolationLevel::ReadUncommitted, IsolationLevel::ReadCommitted, IsolationLevel::ReadDurable];
        let level = levels[usize::from(shape % 3)];
        let end = if level == IsolationLevel::ReadDurable {
            partition.durable_offset()
        } else {
            partition.log_end_offset()
        };
        let end = usize::try_from(u64::from(end)).unwrap();
        let from = input.below(end + 1);
        let place = TopicPartition::new(name, partition.id());
        let builder = self
            .broker()
            .consumer()
            .isolation(level)
            .max_poll_records([1, 3, 500][usize::from(shape / 3 % 3)]);
        let mut consumer =
            builder.max_partition_fetch_bytes([1, 500, 1 << 20][usize::from(shape / 9 % 3)]).build().unwrap();
        consumer.assign([place.clone()]).unwrap();
        consumer.seek(&place, Offset::try_from(from as u64).unwrap()).unwrap();
        let rows = match poll_rows(&mut consumer, end - from) {
            Ok(rows) => rows,
            Err(error) => return self.excuse(&error),
        };
        assert_eq!(consumer.position(&place).unwrap(), end as u64);
        assert_eq!(rows, self.model(name, at).rows[from..end]);
    }
}

/// Polls until there are so many records, which there must be; or what is wrong with the next.
pub(super) fn poll_rows(consumer: &mut Consumer, count: usize) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    while rows.len() < count {
        match consumer.poll(Duration::ZERO) {
            Ok(records) => {
                assert!(!records.is_empty(), "there is more");
                rows.extend(records.iter().map(Row::from));
            }
            Err(Error::Fetch { source, .. }) => return Err(*source),
            Err(error) => return Err(error),
        }
    }
    Ok(rows)
}
