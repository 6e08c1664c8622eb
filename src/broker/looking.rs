//! Opening without changing anything, beside a process that may change everything.
//!
//! The catalog is read first, and then the partitions that it knows; in between topics may have been created and deleted, or
//! another broker may have recovered the directories. That shows as a partition that cannot be opened, or not as what it was
//! said to be. So where anything is wrong, it is looked at again, until it is wrong in the same way twice: then it is so.

use crate::error::{Chain, Result};
use crate::log::{LogDirs, view};
use crate::storage::Storage;
use crate::sync::Arc;
use crate::topic::{Catalog, CatalogReport};

/// How often it is looked, at most. Who creates and deletes topics all the time may change something in each look; what is
/// seen last is then what there is, with a partition offline that has just gone.
const LOOKS_MAX: usize = 10;

/// What opening found.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) dirs: Arc<LogDirs>,
    pub(super) catalog: Catalog,
    pub(super) found: CatalogReport,
}

/// Opens by `open`, on a view of `storage`.
pub(super) fn look(
    storage: &Arc<dyn Storage>,
    open: impl Fn(Arc<dyn Storage>) -> Result<Opened>,
) -> Result<Opened> {
    let mut before = None;
    let mut looks = 1;
    loop {
        let opened = open(view(Arc::clone(storage)));
        let trouble = trouble(&opened);
        if trouble.is_none() || trouble == before || looks == LOOKS_MAX {
            return opened;
        }
        before = trouble;
        looks += 1;
    }
}

/// What is wrong with what was seen, by which it is known again.
fn trouble(opened: &Result<Opened>) -> Option<String> {
    let Opened { dirs, catalog, found } = match opened {
        Ok(opened) => opened,
        Err(error) => return Some(Chain(error).to_string()),
    };
    let mut trouble = String::new();
    for partition in &found.partitions {
        if let Some(error) = &partition.offline {
            trouble.push_str(&format!("{}: {}\n", partition.partition, Chain(error)));
        }
    }
    if !dirs.are_still() {
        trouble.push_str("closed in order, and in use since\n");
    }
    (!trouble.is_empty()).then(|| format!("{trouble}{}", catalog.end()))
}
