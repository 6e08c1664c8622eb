//! The coordinator of the broker's groups: made when somebody first asks for it, so that whoever has no groups pays nothing.
//!
//! Its topic, `__consumer_offsets`, is created by the first group there ever is; where it is there, the coordinator reads it back.

use super::shared::Shared;
use crate::error::{Error, Result};
use crate::group::Coordinator;
use crate::log::TopicConfig;
use crate::sync::Arc;
use crate::topic::{NewTopic, OFFSETS_TOPIC, TopicEntry};

impl Shared {
    /// The coordinator. The topic is created where there is none.
    pub(crate) fn coordinator(&self) -> Result<Arc<Coordinator>> {
        self.begin_groups(|| {
            self.check_writable("keep offsets of groups")?;
            // What a large group's members own and are assigned is one record.
            let segment_bytes = self.config.offsets_topic_segment_bytes;
            let config =
                TopicConfig::default().segment_bytes(segment_bytes).max_message_bytes(segment_bytes / 4);
            let topic = NewTopic::new(OFFSETS_TOPIC).partitions(self.config.offsets_topic_num_partitions);
            self.catalog.create_topic(topic.config(config)).map(Some)
        })?
        .ok_or(Error::Closed)
    }

    /// The coordinator, where there ever was a group.
    pub(crate) fn known_coordinator(&self) -> Result<Option<Arc<Coordinator>>> {
        self.check_open()?;
        // Without the lock: while it is held over the creation of this topic, a change of another one may ask.
        if matches!(self.catalog.topic(OFFSETS_TOPIC), Err(Error::UnknownTopic { .. })) {
            return Ok(None);
        }
        self.begin_groups(|| Ok(None))
    }

    /// The coordinator; `topic` gives what is to be done where there is no topic.
    fn begin_groups(
        &self,
        topic: impl FnOnce() -> Result<Option<Arc<TopicEntry>>>,
    ) -> Result<Option<Arc<Coordinator>>> {
        let mut groups = self.groups.lock();
        // Under the lock that the close takes: what is begun here, it ends.
        self.check_open()?;
        if let Some(coordinator) = &*groups {
            return Ok(Some(Arc::clone(coordinator)));
        }
        let entry = match self.catalog.topic(OFFSETS_TOPIC) {
            Err(Error::UnknownTopic { .. }) => match topic()? {
                Some(entry) => entry,
                None => return Ok(None),
            },
            known => known?,
        };
        let background = &self.background;
        let (clock, timers) = (Arc::clone(&background.clock), Arc::clone(&background.timers));
        let coordinator =
            Coordinator::open(entry.partitions.clone(), self.config.groups(), clock, timers, self.random())?;
        Ok(Some(Arc::clone(groups.insert(coordinator))))
    }

    /// Ends the groups: whoever waits in one hears that the broker is closed.
    pub(super) fn end_groups(&self) {
        let coordinator = self.groups.lock().take();
        if let Some(coordinator) = coordinator {
            coordinator.end();
        }
    }
}
