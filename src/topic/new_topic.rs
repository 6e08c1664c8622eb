//! What a caller says of a topic that is to be created.

use crate::log::TopicConfig;

/// A topic to create: its name, how many partitions, and its settings.
///
/// # Examples
///
/// ```
/// use streamlog::{Broker, NewTopic, TopicConfig};
///
/// let broker = Broker::in_memory()?;
/// let config = TopicConfig::default().max_message_bytes(64 << 10);
/// broker.admin().create_topic(NewTopic::new("orders").partitions(3).config(config))?;
/// assert_eq!(broker.topic("orders")?.partition_count(), 3);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct NewTopic {
    pub(crate) name: String,
    pub(crate) partitions: u32,
    pub(crate) config: TopicConfig,
}

impl NewTopic {
    /// A topic with one partition and default settings. The name is checked when the topic is created: 1 to 249
    /// characters out of `a-z A-Z 0-9 . _ -`, not `.` or `..`, and not one that differs from another only in `.` and `_`.
    pub fn new(name: impl Into<String>) -> NewTopic {
        NewTopic { name: name.into(), partitions: 1, config: TopicConfig::default() }
    }

    /// How many partitions; 1 to 10,000.
    #[must_use]
    pub fn partitions(mut self, count: u32) -> NewTopic {
        self.partitions = count;
        self
    }

    /// How its partitions store what they are given. What the config does not set follows the broker's defaults
    /// ([`BrokerConfig::topic_defaults`](crate::BrokerConfig::topic_defaults())).
    #[must_use]
    pub fn config(mut self, config: TopicConfig) -> NewTopic {
        self.config = config;
        self
    }
}
