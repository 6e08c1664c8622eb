//! A directory's entries as the processes see them, those on the device, and the changes in between.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use fastrand::Rng;

use super::crash::Crash;

/// Names, each with the number of what it stands for.
pub(super) type Names = BTreeMap<OsString, usize>;

#[derive(Debug, Clone, Default)]
pub(super) struct Directory {
    /// What a process finds.
    pub(super) seen: Names,
    device: Names,
    unsynced: Vec<NameChange>,
}

#[derive(Debug, Clone)]
pub(super) enum NameChange {
    Link(OsString, usize),
    Unlink(OsString),
    /// One name for another, at once.
    Rename(OsString, OsString, usize),
}

impl Directory {
    /// One that has these entries on the device.
    fn of(names: Names) -> Directory {
        Directory { seen: names.clone(), device: names, unsynced: Vec::new() }
    }

    pub(super) fn change(&mut self, change: NameChange) {
        change.apply(&mut self.seen);
        self.unsynced.push(change);
    }

    /// Gives this name to `node`, or to nothing, on the device too: no change from before takes it back.
    pub(super) fn change_for_good(&mut self, name: &OsStr, node: Option<usize>) {
        let unsynced = std::mem::take(&mut self.unsynced);
        self.unsynced = unsynced.into_iter().filter_map(|change| change.without(name)).collect();
        let change = match node {
            Some(node) => NameChange::Link(name.to_os_string(), node),
            None => NameChange::Unlink(name.to_os_string()),
        };
        change.apply(&mut self.seen);
        change.apply(&mut self.device);
    }

    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            change.apply(&mut self.device);
        }
    }

    /// What the next process finds.
    pub(super) fn after(&self, crash: Crash, random: &mut Rng) -> Directory {
        match crash {
            Crash::Kill => self.clone(),
            Crash::PowerCut => Directory::of(self.device.clone()),
            Crash::Torn { .. } => Directory::of(self.torn(random)),
            Crash::Reordered { .. } => Directory::of(self.reordered(random)),
        }
    }

    /// What was synced, and the first so many changes since.
    fn torn(&self, random: &mut Rng) -> Names {
        let mut names = self.device.clone();
        let count = random.usize(0..=self.unsynced.len());
        self.unsynced.iter().take(count).for_each(|change| change.apply(&mut names));
        names
    }

    /// What was synced, and any of the changes since.
    fn reordered(&self, random: &mut Rng) -> Names {
        let mut names = self.device.clone();
        for change in &self.unsynced {
            if random.bool() {
                change.apply(&mut names);
            }
        }
        names
    }
}

impl NameChange {
    /// What is left of it where this name is not its own any more.
    fn without(self, name: &OsStr) -> Option<NameChange> {
        match self {
            NameChange::Link(other, _) | NameChange::Unlink(other) if other == name => None,
            NameChange::Rename(source, target, node) if source == name => {
                Some(NameChange::Link(target, node))
            }
            NameChange::Rename(source, target, _) if target == name => Some(NameChange::Unlink(source)),
            change => Some(change),
        }
    }

    fn apply(&self, names: &mut Names) {
        match self {
            NameChange::Link(name, node) => drop(names.insert(name.clone(), *node)),
            NameChange::Unlink(name) => drop(names.remove(name)),
            NameChange::Rename(source, target, node) => {
                names.remove(source);
                names.insert(target.clone(), *node);
            }
        }
    }
}
