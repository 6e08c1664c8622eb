//! What a delivery waits for.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// When a record that was sent counts as delivered, and what it survives then. Kafka's `acks`.
///
/// Read from Kafka's `0`, `1`, `-1` and `all`, and from `none` and `leader`; written as `0`, `1` and `all`.
///
/// # Examples
///
/// ```
/// use streamlog::Acks;
///
/// let acks: Acks = "all".parse()?;
/// assert_eq!(acks, Acks::All);
/// assert_eq!("leader".parse::<Acks>()?, Acks::Leader);
/// assert_eq!(Acks::Leader.to_string(), "1");
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Acks {
    /// At once: nothing is promised, and a failure is only logged. Kafka's `0`.
    None,
    /// When it is appended: a crash of the process loses nothing, a power cut may. Nobody syncs it for its own sake: a sync for
    /// others, the topic's `flush_interval` or the next checkpoint does. Kafka's `1`.
    Leader,
    /// When it is on the device, synced together with what others wait for: a power cut loses nothing. Where the
    /// [`Delivery`](crate::Delivery) was dropped, the background syncs the record within moments of its append. Kafka's
    /// `all`, which does not wait for the disk there, because other machines have the record too. The default.
    #[default]
    All,
}

impl Acks {
    /// Kafka's names and ours, of which the first for a value is the one that is written.
    pub(crate) const NAMES: [(&'static str, Acks); 6] = [
        ("all", Acks::All),
        ("-1", Acks::All),
        ("1", Acks::Leader),
        ("leader", Acks::Leader),
        ("0", Acks::None),
        ("none", Acks::None),
    ];
}

impl fmt::Display for Acks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Acks::None => "0",
            Acks::Leader => "1",
            Acks::All => "all",
        })
    }
}

impl FromStr for Acks {
    type Err = Error;

    fn from_str(name: &str) -> Result<Acks, Error> {
        crate::settings::choice(name, &Acks::NAMES).map_err(|reason| Error::InvalidConfig {
            setting: "acks",
            value: name.to_owned(),
            reason,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_and_written_as_kafkas() {
        for (name, written) in
            [("all", "all"), ("-1", "all"), ("1", "1"), ("leader", "1"), ("0", "0"), ("none", "0")]
        {
            assert_eq!(name.parse::<Acks>().unwrap().to_string(), written);
        }
        let refusal = "2".parse::<Acks>().unwrap_err().to_string();
        assert_eq!(refusal, "invalid value 2 for acks: must be one of all, -1, 1, leader, 0, none");
    }
}
