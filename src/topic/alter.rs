//! Changing the settings of a topic that exists.
//!
//! The topic's record is written anew with the other settings and synced before anything goes by them: its logs first, then
//! the list of topics. So a crash leaves the settings from before or the new ones, of all partitions alike.

use super::catalog::Catalog;
use super::entry::TopicEntry;
use crate::error::Result;
use crate::log::TopicConfig;
use crate::sync::Arc;

impl Catalog {
    /// Makes what `changes` sets the topic's own, and gives up what it has of its own under the names in `reset`.
    pub(crate) fn alter_config(
        &self,
        name: &str,
        changes: TopicConfig,
        reset: &[&str],
    ) -> Result<Arc<TopicEntry>> {
        let changes = changes.with_assigned();
        changes.validate()?;
        reset.iter().try_for_each(|name| TopicConfig::check_name(name))?;
        let change = self.change(name)?;
        let entry = self.topic(name)?;
        let config = entry.config.changed(&changes, reset, &self.dirs.first().config.topic_defaults);
        if config == entry.config {
            return Ok(entry);
        }
        let altered = TopicEntry { config, ..TopicEntry::clone(&entry) };
        self.append(name, Some(&altered.record()))?;
        self.log.sync()?;
        altered.logs().for_each(|log| log.set_config(altered.config.clone()));
        let altered = Arc::new(altered);
        change.publish(Some(&altered));
        Ok(altered)
    }
}
