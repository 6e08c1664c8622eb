//! Subscribing: a consumer begins to share topics with its group, shares others, or leaves it.

use std::collections::BTreeSet;

use super::handle::Consumer;
use super::membership::Membership;
use super::rebalance::{NoListener, RebalanceListener};
use super::subscription::Subscription;
use crate::error::{Error, Result};

impl Consumer {
    /// Shares the partitions of these topics with the other members of the group, in the polls from now on. Replaces what was
    /// subscribed to before. A topic that does not exist yet is shared out once it does, and so are partitions that are added
    /// to one. No topics: as [`unsubscribe`](Consumer::unsubscribe).
    ///
    /// Where the group has committed nothing, [`auto_offset_reset`](super::ConsumerBuilder::auto_offset_reset) says where to begin,
    /// once a poll is given the partition. So with [`Latest`](super::AutoOffsetReset::Latest), the default, what is sent before
    /// that is not seen, to a new topic or partition neither: read with [`Earliest`](super::AutoOffsetReset::Earliest) to see
    /// all of it.
    ///
    /// # Errors
    ///
    /// [`Error::MissingGroup`]; [`Error::WrongSubscription`] for a consumer that was [given](Consumer::assign) partitions;
    /// [`Error::ReadOnly`]; [`Error::Closed`]; and, without topics, those of [`unsubscribe`](Consumer::unsubscribe).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::{AutoOffsetReset, Broker, NewTopic, Record};
    ///
    /// let broker = Broker::in_memory()?;
    /// broker.admin().create_topic(NewTopic::new("orders"))?;
    /// broker.topic("orders")?.partition(0)?.append(&[Record::new().value("3 apples")])?;
    ///
    /// let builder = broker.consumer().group("billing").auto_offset_reset(AutoOffsetReset::Earliest);
    /// let mut consumer = builder.build()?;
    /// consumer.subscribe(["orders"])?;
    /// assert_eq!(consumer.poll(Duration::from_secs(1))?.len(), 1);
    /// consumer.commit()?;
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn subscribe<T: Into<String>>(&mut self, topics: impl IntoIterator<Item = T>) -> Result<()> {
        self.subscribe_with(topics, NoListener)
    }

    /// As [`subscribe`](Consumer::subscribe), and tells `listener` which partitions come and go. An example is at
    /// [`RebalanceListener`].
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Consumer::subscribe).
    pub fn subscribe_with<T: Into<String>>(
        &mut self,
        topics: impl IntoIterator<Item = T>,
        listener: impl RebalanceListener,
    ) -> Result<()> {
        let topics: BTreeSet<String> = topics.into_iter().map(Into::into).collect();
        if topics.is_empty() {
            return self.unsubscribe();
        }
        self.begin_subscription(Subscription::Topics(topics), Box::new(listener))
    }

    /// As [`subscribe`](Consumer::subscribe), to every topic whose name passes `predicate`, those included that are created later.
    /// Internal topics are never asked about. Kafka's subscription by a pattern; with a regular expression it is
    /// `subscribe_matching(move |name| pattern.is_match(name), ...)`.
    ///
    /// The predicate is asked about every name at each change of the topics. It should be quick, and always answer the same.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Consumer::subscribe). A panic of the predicate is returned from a poll.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use streamlog::{Broker, NewTopic, TopicPartition};
    ///
    /// let broker = Broker::in_memory()?;
    /// broker.admin().create_topic(NewTopic::new("orders.eu"))?;
    /// broker.admin().create_topic(NewTopic::new("invoices"))?;
    /// let mut consumer = broker.consumer().group("billing").build()?;
    /// consumer.subscribe_matching(|name| name.starts_with("orders."))?;
    /// consumer.poll(Duration::ZERO)?;
    /// assert_eq!(consumer.subscription(), ["orders.eu"]);
    ///
    /// broker.admin().create_topic(NewTopic::new("orders.us"))?;
    /// consumer.poll(Duration::ZERO)?;
    /// assert_eq!(consumer.assignment().iter().map(TopicPartition::topic).collect::<Vec<_>>(), ["orders.eu", "orders.us"]);
    /// # Ok::<(), streamlog::Error>(())
    /// ```
    pub fn subscribe_matching(&mut self, predicate: impl Fn(&str) -> bool + Send + 'static) -> Result<()> {
        self.subscribe_matching_with(predicate, NoListener)
    }

    /// As [`subscribe_matching`](Consumer::subscribe_matching), and tells `listener` which partitions come and go.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Consumer::subscribe).
    pub fn subscribe_matching_with(
        &mut self,
        predicate: impl Fn(&str) -> bool + Send + 'static,
        listener: impl RebalanceListener,
    ) -> Result<()> {
        self.begin_subscription(Subscription::Matching(Box::new(predicate)), Box::new(listener))
    }

    /// The topics that it subscribes to, by name: with a predicate those that passed when it was last asked.
    #[must_use]
    pub fn subscription(&self) -> Vec<String> {
        self.member.as_ref().map(Membership::topics).unwrap_or_default()
    }

    /// Leaves the group, at once, and has no partitions any more. Where it [commits by itself](super::ConsumerBuilder::auto_commit),
    /// it commits its positions first, and waits until they are on the device. Partitions that it was [given](Consumer::assign)
    /// are let go as well. Without any of it nothing happens.
    ///
    /// # Errors
    ///
    /// Those of [`commit`](Consumer::commit), and what the listener returned: it has left all the same; [`Error::Closed`].
    pub fn unsubscribe(&mut self) -> Result<()> {
        self.shared()?;
        let ended = self.leave_group("the consumer unsubscribed");
        self.assigned.clear();
        self.turn = 0;
        ended
    }

    /// Has the group share its partitions out anew, with the next poll: for an assignor whose answer depends on more than
    /// members and topics. Without a subscription nothing happens. Kafka's `enforceRebalance` (KIP-568).
    ///
    /// # Errors
    ///
    /// [`Error::MissingGroup`], [`Error::Closed`].
    pub fn enforce_rebalance(&mut self, reason: &str) -> Result<()> {
        self.shared()?;
        self.offsets_of_group("enforce a rebalance")?;
        if let Some(member) = &mut self.member {
            member.rejoin(reason);
        }
        Ok(())
    }

    fn begin_subscription(
        &mut self,
        subscription: Subscription,
        listener: Box<dyn RebalanceListener>,
    ) -> Result<()> {
        let shared = self.shared()?;
        shared.check_writable("join a group")?;
        let now = shared.background.clock.monotonic();
        let offsets = self.offsets_of_group("subscribe")?;
        if self.member.is_none() && !self.assigned.is_empty() {
            let reason = "it was given its partitions: unsubscribe first";
            return Err(Error::WrongSubscription { operation: "subscribe", reason });
        }
        let changes = offsets.coordinator.changes(&offsets.group)?;
        match &mut self.member {
            Some(member) => member.subscribe(subscription, listener),
            None => {
                let watcher = &self.waker.watcher;
                self.member = Some(Membership::new(subscription, listener, changes, watcher, now));
            }
        }
        Ok(())
    }
}
