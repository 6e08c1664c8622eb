//! Kafka's identifiers for topics and directories: 16 bytes, printed as 22 characters of URL-safe base64.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A universally unique identifier, in Kafka's spelling.
///
/// # Examples
///
/// ```
/// use streamlog::{Broker, NewTopic};
///
/// let broker = Broker::in_memory()?;
/// broker.admin().create_topic(NewTopic::new("orders"))?;
/// assert_eq!(broker.topic("orders")?.id().to_string().len(), 22);
/// # Ok::<(), streamlog::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

impl Uuid {
    /// The catalog's own topic, which must be known before the catalog is read. Kafka keeps this one for its metadata too.
    pub(crate) const CATALOG: Uuid = Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    /// A random one (version 4), from the generator that is handed in. Never one that begins with `-`, as in Kafka.
    pub(crate) fn random(random: &mut fastrand::Rng) -> Uuid {
        loop {
            let mut bytes = [0; 16];
            random.fill(&mut bytes);
            let [.., version, _, variant, _, _, _, _, _, _, _] = &mut bytes;
            *version = *version & 0x0f | 0x40;
            *variant = *variant & 0x3f | 0x80;
            let uuid = Uuid(bytes);
            if !uuid.to_string().starts_with('-') {
                return uuid;
            }
        }
    }

    /// The 16 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Uuid {
        Uuid(bytes)
    }

    /// Reads what [`Display`](fmt::Display) wrote; the zero one, which Kafka forbids, is refused.
    pub(crate) fn parse(text: &str) -> Option<Uuid> {
        let bytes: [u8; 16] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        (bytes != [0; 16]).then_some(Uuid(bytes))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uuid({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_reads_back() {
        let uuid = Uuid::random(&mut fastrand::Rng::with_seed(7));
        assert_eq!(uuid.to_string().len(), 22);
        assert_eq!(Uuid::parse(&uuid.to_string()), Some(uuid));
        assert_eq!(uuid.as_bytes()[6] >> 4, 4);
        assert_eq!(uuid.as_bytes()[8] >> 6, 2);
        assert_eq!(Uuid::CATALOG.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
    }

    #[test]
    fn what_is_no_uuid_is_refused() {
        for text in ["", "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAA", "!AAAAAAAAAAAAAAAAAAAAQ"] {
            assert_eq!(Uuid::parse(text), None, "{text}");
        }
    }
}
