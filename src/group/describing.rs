//! What anybody may ask about groups.

use super::commits::check_exists;
use super::coordinator::Coordinator;
use super::description::{GroupDescription, GroupListing};
use crate::error::Result;

impl Coordinator {
    /// All groups whose partitions are online, by name.
    pub(crate) fn list(&self) -> Result<Vec<GroupListing>> {
        self.check_open()?;
        let mut list = Vec::new();
        for cell in self.cells() {
            let data = cell.state.lock();
            if data.classic.exists() {
                list.push(data.classic.listing());
            }
        }
        list.sort_by(|a, b| a.group.cmp(&b.group));
        Ok(list)
    }

    /// A group as it is now, without the lag, which only whoever knows the partitions can tell.
    pub(crate) fn describe(&self, group: &str) -> Result<GroupDescription> {
        let cell = self.existing(group)?;
        let data = cell.state.lock();
        check_exists(&cell, &data)?;
        let classic = &data.classic;
        Ok(GroupDescription {
            group: group.to_owned(),
            state: classic.state(),
            protocol_type: classic.protocol_type().unwrap_or_default().to_owned(),
            assignor: classic.protocol().map(str::to_owned),
            generation: classic.generation(),
            leader: classic.leader().map(str::to_owned),
            members: classic.describe_members(),
            committed: data.offsets.all().clone(),
            lag: std::collections::BTreeMap::new(),
            rebalances: classic.rebalances(),
        })
    }
}
