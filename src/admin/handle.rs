//! The handle of whoever looks after a broker.

use crate::broker::Broker;

/// What changes and describes a broker's topics and groups. From [`Broker::admin`].
///
/// # Examples
///
/// ```
/// use streamlog::{Broker, NewTopic};
///
/// let broker = Broker::in_memory()?;
/// let admin = broker.admin();
/// admin.create_topic(NewTopic::new("orders").partitions(2))?;
/// admin.create_topic(NewTopic::new("invoices"))?;
/// assert_eq!(admin.list_topics()?, ["invoices", "orders"]);
/// let orders = admin.describe_topic("orders")?;
/// assert_eq!(orders.partitions.len(), 2);
/// assert_eq!(orders.partitions[0].end_offset, 0);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Admin {
    pub(super) broker: Broker,
}

impl Broker {
    /// To create, list and describe topics, and to look after groups.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin { broker: self.clone() }
    }
}
