//! Topics: what there must be, and what changes it.

use streamlog::{Error, NewTopic, TopicConfig};

use super::super::input::Input;
use super::program::Run;
use super::writes::Model;

pub(super) const NAMES: [&str; 2] = ["a", "b"];
const PARTITIONS_MAX: u32 = 3;

#[derive(Debug, Clone, Default)]
pub(super) struct Topic {
    pub(super) partitions: Vec<Model>,
    /// Whether a change of it failed, so that the next open may find it done.
    pub(super) may_grow_to: Option<u32>,
    pub(super) may_be_gone: bool,
}

impl Run {
    pub(super) fn create(&mut self, input: &mut Input<'_>) {
        let name = NAMES[input.below(NAMES.len())];
        let partitions = 1 + u32::from(input.byte()) % PARTITIONS_MAX;
        let topic = NewTopic::new(name).partitions(partitions).config(self.config.clone());
        let is_there = self.topics.contains_key(name);
        self.look_at_groups();
        self.unsettle();
        match self.broker().admin().create_topic(topic) {
            Ok(_) => {
                assert!(!is_there);
                // Nothing that was committed of one that had its name.
                self.drop_offsets(name, true);
                let partitions = vec![Model::default(); partitions as usize];
                self.topics.insert(name, Topic { partitions, ..Topic::default() });
                self.may_appear.remove(name);
            }
            Err(Error::TopicExists { .. }) => assert!(is_there),
            Err(error) => {
                self.excuse(&error);
                if !is_there {
                    self.drop_offsets(name, false);
                    assert!(self.broker().topic(name).is_err(), "what failed is there");
                    self.may_appear.entry(name).or_default().push(partitions);
                }
            }
        }
    }

    pub(super) fn extend(&mut self, input: &mut Input<'_>) {
        let name = NAMES[input.below(NAMES.len())];
        self.unsettle();
        let Some(topic) = self.topics.get(name) else { return };
        let (count, total) = (topic.partitions.len(), 1 + u32::from(input.byte()) % PARTITIONS_MAX);
        match self.broker().admin().create_partitions(name, total) {
            Ok(_) => {
                assert!(total as usize > count);
                let topic = self.topics.get_mut(name).unwrap();
                topic.partitions.resize(total as usize, Model::default());
                topic.may_grow_to = None;
            }
            Err(Error::PartitionsNotAdded { .. }) => assert!(total as usize <= count),
            Err(error) => {
                self.excuse(&error);
                assert_eq!(self.broker().topic(name).unwrap().partition_count() as usize, count);
                let topic = self.topics.get_mut(name).unwrap();
                topic.may_grow_to = topic.may_grow_to.max(Some(total));
            }
        }
    }

    pub(super) fn alter(&mut self, input: &mut Input<'_>) {
        let name = NAMES[input.below(NAMES.len())];
        if !self.topics.contains_key(name) {
            return;
        }
        let interval = u32::from(input.byte());
        let changes = TopicConfig::from_properties([("index.interval.bytes", interval.to_string())]).unwrap();
        match self.broker().admin().alter_topic_config(name, changes, &[]) {
            Ok(topic) => assert_eq!(topic.config().index_interval_bytes, interval),
            Err(error) => self.excuse(&error),
        }
    }

    pub(super) fn delete(&mut self, input: &mut Input<'_>) {
        let name = NAMES[input.below(NAMES.len())];
        let is_there = self.topics.contains_key(name);
        self.look_at_groups();
        self.unsettle();
        match self.broker().admin().delete_topic(name) {
            Ok(()) => {
                assert!(is_there);
                self.topics.remove(name);
                self.members.iter_mut().for_each(|member| member.forget(name));
                // Where they cannot be written, they are there until another topic has the name.
                self.drop_offsets(name, !self.is_troubled);
            }
            Err(Error::UnknownTopic { .. }) => assert!(!is_there),
            Err(error) => {
                self.excuse(&error);
                // As before, but the next open may find it done.
                self.topics.get_mut(name).unwrap().may_be_gone = true;
                assert!(self.broker().topic(name).is_ok(), "what failed is done");
            }
        }
    }
}
