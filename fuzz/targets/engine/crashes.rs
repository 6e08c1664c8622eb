//! What goes wrong with the disk, how brokers end, and what the next one must find.

use streamlog::testing::{Calls, Crash, Fault};
use streamlog::{Broker, Error};

use super::super::input::Input;
use super::super::rows::Row;
use super::checks::{check_part, read_all};
use super::groups::{Group, Place};
use super::program::Run;
use super::topics::{NAMES, Topic};
use super::writes::Model;

/// How often the power goes again in the middle of one recovery, at most.
const CUTS_MAX: usize = 3;

impl Run {
    pub(super) fn break_disk(&mut self, input: &mut Input<'_>) {
        let shape = input.byte();
        let fault = match shape % 8 {
            0 => Fault::full(),
            1 => Fault::io().on(Calls::Writes),
            2 => Fault::short_write(),
            3 => Fault::late_write(),
            4 => Fault::io().on(Calls::Syncs),
            5 => Fault::io().on(Calls::Reads),
            6 => Fault::io(),
            _ => Fault::power_cut(),
        };
        let steps = self.disk.step_count() + 1 + u64::from(input.byte());
        let fault = match shape / 8 % 4 {
            // Nothing heals a power cut.
            _ if shape % 8 == 7 => fault.at_step(steps),
            from if shape >= 224 => {
                let fault = fault.of("__consumer_offsets-0/");
                if from == 0 { fault.at_step(steps) } else { fault }
            }
            0 => fault.at_step(steps),
            1 => fault.from_step(steps),
            2 => fault.of("a-0/"),
            _ => fault,
        };
        self.disk.inject(fault);
        self.is_troubled = true;
    }

    /// Ends the broker in order and opens the next one.
    pub(super) fn reopen(&mut self, input: &mut Input<'_>) {
        let broker = self.broker.take().unwrap();
        let closed = broker.close();
        drop(broker);
        // They find that it is closed.
        self.members.clear();
        if self.disk.is_down() {
            return self.crash(input);
        }
        if closed.is_ok() {
            self.groups.iter_mut().for_each(Group::note_closed);
        }
        match closed {
            Ok(()) => self.topics.values_mut().flat_map(|topic| &mut topic.partitions).for_each(|model| {
                model.durable = model.rows.len();
                // What had failed was undone, or is cut off.
                model.failed.clear();
            }),
            Err(error) => self.excuse(&error),
        }
        let was_troubled = self.is_troubled;
        if was_troubled && input.flag() {
            // The next one meets the same disk.
            match self.open() {
                Ok(broker) => drop(broker),
                Err(Error::Locked { .. }) => panic!("the lock is not let go"),
                Err(_) => {}
            }
            if self.disk.is_down() {
                return self.crash(input);
            }
        }
        self.disk.heal();
        let broker = self.open().unwrap();
        let report = broker.recovery_report();
        assert!(
            was_troubled
                || report.was_clean && report.partitions.iter().all(|found| found.scanned_bytes == 0),
            "{report}"
        );
        self.begin(broker, true, input);
    }

    /// Ends the process, or the power, and opens the next broker on what is left.
    pub(super) fn crash(&mut self, input: &mut Input<'_>) {
        let crash = crash_of(input, self.disk.is_down());
        self.lose(crash);
        let broker = self.open().unwrap();
        self.begin(broker, crash.keeps_page_cache(), input);
    }

    /// As [`crash`](Self::crash); and the power goes again in the middle of the recovery, a few times.
    pub(super) fn crash_in_recovery(&mut self, input: &mut Input<'_>) {
        let first = crash_of(input, self.disk.is_down());
        let mut keeps_page_cache = first.keeps_page_cache();
        self.lose(first);
        for _ in 0..=input.below(CUTS_MAX) {
            self.disk.inject(Fault::power_cut().at_step(1 + u64::from(input.byte())));
            let opened = self.open();
            let is_down = self.disk.is_down();
            assert!(is_down || opened.is_ok());
            let crash = crash_of(input, is_down);
            keeps_page_cache &= crash.keeps_page_cache();
            let left = self.disk.after(crash);
            drop(opened);
            self.disk = left;
        }
        let broker = self.open().unwrap();
        self.begin(broker, keeps_page_cache, input);
    }

    fn lose(&mut self, crash: Crash) {
        let left = self.disk.after(crash);
        // What the old one does to its disk when it is dropped is not seen any more.
        self.members.clear();
        drop(self.broker.take());
        self.disk = left;
    }

    /// Takes over what the next broker found, which must be what it had to find.
    pub(super) fn begin(&mut self, broker: Broker, keeps_page_cache: bool, input: &mut Input<'_>) {
        let report = broker.recovery_report();
        assert!(report.partitions.iter().all(|found| found.offline.is_none()), "{report}");
        self.broker = Some(broker);
        self.is_troubled = false;
        for name in NAMES {
            let found = self.broker().topic(name).ok().map(|topic| topic.partition_count());
            let may_appear = self.may_appear.remove(name).unwrap_or_default();
            let known = self.topics.get_mut(name);
            match (found, known) {
                (None, None) => {}
                (Some(count), None) => {
                    assert!(may_appear.contains(&count), "topic {name} is there, and should not be");
                    // Where it was deleted, or never told of, nothing is known of what is in it.
                    let partitions = (0..count as usize).map(|at| {
                        let rows = read_all(&self.partition(name, at), 0);
                        Model { durable: rows.len(), rows, failed: Vec::new() }
                    });
                    let topic = Topic { partitions: partitions.collect(), ..Topic::default() };
                    self.topics.insert(name, topic);
                }
                (None, Some(topic)) => {
                    assert!(topic.may_be_gone, "topic {name} is gone");
                    self.topics.remove(name);
                }
                (Some(count), Some(topic)) => {
                    let may_be = topic.may_grow_to.take().map_or(0, |total| total as usize);
                    assert!(count as usize == topic.partitions.len() || count as usize == may_be);
                    topic.partitions.resize(count as usize, Model::default());
                    topic.may_be_gone = false;
                }
            }
        }
        let places = self.places();
        for (name, at) in places {
            let found = read_all(&self.partition(name, at), 0);
            let model = self.model(name, at);
            let kept = found.len().min(model.rows.len());
            let least = if keeps_page_cache { model.rows.len() } else { model.durable };
            assert!(
                kept >= least,
                "{name}-{at}: {kept} records are left of {}, {least} must be",
                model.rows.len()
            );
            // Here rows and found part: what is behind was asked for when this was the end.
            let kept = (least..=kept).rev().find(|&kept| found[..kept] == model.rows[..kept]);
            let kept = kept.unwrap_or_else(|| panic!("{name}-{at}: other records"));
            let failed = model.failed.iter().filter(|(end, _)| *end == kept);
            check_part(&found[kept..], &failed.map(|(_, row)| row.clone()).collect::<Vec<Row>>());
            *model = Model { durable: found.len(), rows: found, failed: Vec::new() };
        }
        let topics = &self.topics;
        let end = |(name, number): Place| {
            topics.get(name)?.partitions.get(number as usize).map(|model| model.rows.len() as u64)
        };
        self.groups.iter_mut().for_each(|group| group.note_crash(keeps_page_cache, end));
        // So that somebody else is the first who asks for the groups.
        let looks_later = self.groups.iter().any(|group| group.is_used) && input.flag();
        for at in 0..self.groups.len() {
            if self.groups[at].is_used && !looks_later {
                self.look(at);
            }
        }
    }
}

fn crash_of(input: &mut Input<'_>, is_down: bool) -> Crash {
    let seed = u64::from(input.byte());
    match seed % 4 {
        0 if !is_down => Crash::Kill,
        0 | 1 => Crash::PowerCut,
        2 => Crash::Torn { seed },
        _ => Crash::Reordered { seed },
    }
}
