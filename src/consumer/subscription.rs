//! Which topics a consumer of a group reads: by their names, or by a predicate over the names there are.

use std::collections::BTreeSet;
use std::fmt;

use crate::error::{Result, guarded};
use crate::topic::{Catalog, is_internal};

/// What is subscribed to.
pub(super) enum Subscription {
    /// These topics, whether or not they exist.
    Topics(BTreeSet<String>),
    /// Every topic, but internal ones, whose name passes.
    Matching(Box<dyn Fn(&str) -> bool + Send>),
}

impl Subscription {
    /// The topics that it comes to now, in order.
    pub(super) fn topics(&self, catalog: &Catalog) -> Result<Vec<String>> {
        let passes = match self {
            Subscription::Topics(topics) => return Ok(topics.iter().cloned().collect()),
            Subscription::Matching(passes) => passes,
        };
        let all = catalog.topics();
        let names = all.keys().filter(|name| !is_internal(name));
        guarded(
            || "the predicate of a subscription".to_owned(),
            || names.filter(|name| passes(name)).cloned().collect(),
        )
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subscription::Topics(topics) => f.debug_tuple("Topics").field(topics).finish(),
            Subscription::Matching(_) => f.write_str("Matching"),
        }
    }
}
