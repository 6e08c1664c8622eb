//! Kafka's properties: one table per config says how each setting is called, written as text, and read back.
//!
//! A config declares a `static` [`Settings`]; from it come reading from a properties file, writing one, the list of what was
//! accepted without having a meaning here, and what to say of a name that is nobody's. Names and values are trimmed, as Kafka
//! does; the case of a name counts.
//!
//! Whether a value is within its bounds is mostly the config's own `validate`, which values that were set in code pass as
//! well. A table only says what a text must look like.
//!
//! Invariants: whatever a table writes, it reads back as the same; names and values that were refused are told shortened,
//! so that a hostile one costs nothing.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Result};

/// The longest part of a refused name or value that is told, and the longest name for which a nearest is looked for.
const SHOWN_CHARS_MAX: usize = 100;

/// One setting of a config `C`.
pub(crate) struct Setting<C> {
    /// Kafka's name.
    pub(crate) name: &'static str,
    /// The value as text; `None` where there is none, which text cannot say.
    pub(crate) read: fn(&C) -> Option<String>,
    /// Sets the value from text, or says what is allowed.
    pub(crate) write: fn(&mut C, &str) -> Result<(), String>,
}

/// All settings of a config `C`, and Kafka's that mean nothing here.
pub(crate) struct Settings<C: 'static> {
    /// Where two set the same thing in different units, the finer one comes later, and wins.
    pub(crate) known: &'static [Setting<C>],
    /// Accepted and told. A name that ends in `*` stands for all that begin as it does.
    pub(crate) ignored: &'static [&'static str],
}

impl<C> Settings<C> {
    /// Sets what `pairs` say, and gives the names among them that mean nothing here, in their order. Of one name, the last
    /// value counts; an error leaves `config` half changed.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownSetting`]; [`Error::InvalidConfig`] for a text that is no such value.
    pub(crate) fn apply_all<K: AsRef<str>, V: AsRef<str>>(
        &self,
        config: &mut C,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Vec<String>> {
        let (mut known, mut ignored) = (Vec::new(), Vec::new());
        for (name, value) in pairs {
            let name = name.as_ref().trim();
            match self.place(name)? {
                Some(place) => known.push((place, value)),
                None => ignored.push(name.to_owned()),
            }
        }
        // In the table's order, so that the finer unit wins wherever it stands in the file.
        known.sort_by_key(|(place, _)| *place);
        for (place, value) in known {
            self.known.get(place).map_or(Ok(()), |setting| set(setting, config, value.as_ref()))?;
        }
        Ok(ignored)
    }

    /// Sets one setting; its name is added to `ignored` where it means nothing here.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownSetting`]; [`Error::InvalidConfig`] for a text that is no such value.
    pub(crate) fn apply(
        &self,
        config: &mut C,
        ignored: &mut Vec<String>,
        name: &str,
        value: &str,
    ) -> Result<()> {
        ignored.extend(self.apply_all(config, [(name, value)])?);
        Ok(())
    }

    /// Every setting that has a value, by Kafka's name, in the table's order.
    pub(crate) fn properties(&self, config: &C) -> Vec<(&'static str, String)> {
        let read = |setting: &Setting<C>| Some((setting.name, (setting.read)(config)?));
        self.known.iter().filter_map(read).collect()
    }

    /// The value of one setting.
    pub(crate) fn get(&self, config: &C, name: &str) -> Option<String> {
        self.find(name).and_then(|setting| (setting.read)(config))
    }

    /// Sets one setting, or says what is allowed. A name that is not in the table is left alone.
    pub(crate) fn put(&self, config: &mut C, name: &str, value: &str) -> Result<(), String> {
        self.find(name).map_or(Ok(()), |setting| (setting.write)(config, value))
    }

    /// A name as it stands in the table, if it does, trimmed.
    pub(crate) fn known_name(&self, name: &str) -> Option<&'static str> {
        self.find(name.trim()).map(|setting| setting.name)
    }

    /// Refuses a name that is nobody's.
    pub(crate) fn check_name(&self, name: &str) -> Result<()> {
        self.place(name).map(drop)
    }

    fn find(&self, name: &str) -> Option<&'static Setting<C>> {
        self.known.iter().find(|setting| setting.name == name)
    }

    /// Where in the table a name is; `None` where it means nothing here.
    fn place(&self, name: &str) -> Result<Option<usize>> {
        let place = self.known.iter().position(|setting| setting.name == name);
        if place.is_some() || self.ignored.iter().any(|ignored| stands_for(ignored, name)) {
            return Ok(place);
        }
        Err(Error::UnknownSetting { name: shortened(name), nearest: self.nearest(name).map(str::to_owned) })
    }

    /// The name that was probably meant: the one with the fewest changes, if they are few for its length.
    fn nearest(&self, name: &str) -> Option<&'static str> {
        if name.len() > SHOWN_CHARS_MAX {
            return None;
        }
        let known = self.known.iter().map(|setting| setting.name);
        let candidates = known.chain(self.ignored.iter().copied().filter(|name| !name.ends_with('*')));
        let (changes, nearest) = candidates.map(|other| (changes_between(name, other), other)).min()?;
        (changes <= (nearest.len() / 3).max(2)).then_some(nearest)
    }
}

fn set<C>(setting: &Setting<C>, config: &mut C, value: &str) -> Result<()> {
    let refuse = |reason| Error::InvalidConfig { setting: setting.name, value: shortened(value), reason };
    (setting.write)(config, value.trim()).map_err(refuse)
}

fn stands_for(ignored: &str, name: &str) -> bool {
    match ignored.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => ignored == name,
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

/// How many bytes must be added, removed or replaced to make one name the other.
fn changes_between(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, byte) in one.bytes().enumerate() {
        let (mut diagonal, mut left) = (index, index + 1);
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, other) in row.iter_mut().skip(1).zip(other.bytes()) {
            let above = *cell;
            left = (diagonal + usize::from(byte != other)).min(above + 1).min(left + 1);
            (*cell, diagonal) = (left, above);
        }
    }
    row.last().copied().unwrap_or_default()
}

/// A whole number within `range`.
pub(crate) fn whole<N: FromStr + PartialOrd + Display>(
    value: &str,
    range: RangeInclusive<N>,
) -> Result<N, String> {
    let number = value.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
}

/// A whole number that is `minimum` or more, and has no limit that anybody meets.
pub(crate) fn count(value: &str, minimum: usize) -> Result<usize, String> {
    let count = value.parse().ok().filter(|&count| count >= minimum);
    count.ok_or_else(|| format!("must be a whole number, {minimum} or more"))
}

/// A time of `minimum` milliseconds or more.
pub(crate) fn millis(value: &str, minimum: u32) -> Result<Duration, String> {
    let number = value.parse::<i64>().ok().filter(|&number| number >= i64::from(minimum));
    let number = number.and_then(|number| u64::try_from(number).ok());
    let refuse = || format!("must be a whole number of milliseconds from {minimum} to {}", i64::MAX);
    number.map(Duration::from_millis).ok_or_else(refuse)
}

/// As [`millis`], but `none`, which is -1 or the largest number, is how Kafka says that there is no such limit.
pub(crate) fn millis_or(value: &str, minimum: u32, none: i64) -> Result<Option<Duration>, String> {
    if value.parse() == Ok(none) {
        return Ok(None);
    }
    millis(value, minimum).map(Some).map_err(|reason| format!("{reason}, or {none} for none"))
}

/// A time as Kafka writes it; one that is too long for it is its longest.
pub(crate) fn millis_text(time: Duration) -> String {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX).to_string()
}

/// As [`millis_text`], with `none` for no limit.
pub(crate) fn millis_or_text(time: Option<Duration>, none: i64) -> String {
    time.map_or_else(|| none.to_string(), millis_text)
}

/// `true` or `false`, in any case.
pub(crate) fn boolean(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// One of several values, by its name.
pub(crate) fn choice<T: Clone>(value: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let chosen = choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| choice.clone());
    chosen.ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        format!("must be one of {}", names.join(", "))
    })
}

/// The name of one of several values; `None` where it is not among them.
pub(crate) fn choice_text<T: PartialEq>(value: &T, choices: &[(&str, T)]) -> Option<String> {
    choices.iter().find(|(_, choice)| choice == value).map(|(name, _)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Debug, PartialEq)]
    struct Config {
        bytes: u32,
        age: Option<Duration>,
        is_on: bool,
    }

    static SETTINGS: Settings<Config> = Settings {
        known: &[
            Setting {
                name: "segment.bytes",
                read: |config| Some(config.bytes.to_string()),
                write: |config, value| whole(value, 1..=9).map(|bytes| config.bytes = bytes),
            },
            Setting {
                name: "age.hours",
                read: |_| None,
                write: |config, value| {
                    whole(value, 0..=9).map(|hours: u64| config.age = Some(Duration::from_secs(hours * 3600)))
                },
            },
            Setting {
                name: "age.ms",
                read: |config| Some(millis_or_text(config.age, -1)),
                write: |config, value| millis_or(value, 0, -1).map(|age| config.age = age),
            },
            Setting {
                name: "on",
                read: |config| Some(config.is_on.to_string()),
                write: |config, value| boolean(value).map(|is_on| config.is_on = is_on),
            },
        ],
        ignored: &["bootstrap.servers", "sasl.*"],
    };

    fn apply(pairs: &[(&str, &str)]) -> Result<(Config, Vec<String>)> {
        let mut config = Config::default();
        let ignored = SETTINGS.apply_all(&mut config, pairs.iter().copied())?;
        Ok((config, ignored))
    }

    #[test]
    fn settings_read_back_and_what_means_nothing_is_told() {
        let pairs =
            [("on", "TRUE"), (" sasl.x ", "?"), ("\tsegment.bytes ", " 7 "), ("bootstrap.servers", "")];
        let (config, ignored) = apply(&pairs).unwrap();
        assert_eq!(config, Config { bytes: 7, age: None, is_on: true });
        assert_eq!(ignored, ["sasl.x", "bootstrap.servers"]);
        let properties = SETTINGS.properties(&config);
        let texts: Vec<_> = properties.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(texts, [("segment.bytes", "7"), ("age.ms", "-1"), ("on", "true")]);
        assert_eq!(apply(&texts).unwrap().0, config);
    }

    #[test]
    fn the_finer_unit_wins_wherever_it_stands_and_the_last_of_one_name() {
        let (config, _) = apply(&[("age.ms", "5"), ("age.hours", "1"), ("age.ms", "6")]).unwrap();
        assert_eq!(config.age, Some(Duration::from_millis(6)));
        let mut ignored = Vec::new();
        let mut config = Config::default();
        SETTINGS.apply(&mut config, &mut ignored, "age.hours", "1").unwrap();
        SETTINGS.apply(&mut config, &mut ignored, "sasl.y", "1").unwrap();
        assert_eq!((config.age, ignored), (Some(Duration::from_secs(3600)), vec!["sasl.y".to_owned()]));
    }

    #[test]
    fn an_unknown_name_tells_the_nearest_one() {
        let told = |name: &str| apply(&[(name, "1")]).unwrap_err().to_string();
        assert_eq!(told("segmnt.bytes"), r#"unknown setting "segmnt.bytes": did you mean "segment.bytes"?"#);
        assert_eq!(
            told("bootstrap.server"),
            r#"unknown setting "bootstrap.server": did you mean "bootstrap.servers"?"#
        );
        assert_eq!(told("nothing.like.it"), r#"unknown setting "nothing.like.it""#);
        assert!(told(&"é".repeat(1 << 20)).len() < 300);
    }

    #[test]
    fn a_text_that_is_no_value_tells_what_is() {
        let told = |name: &str, value: &str| apply(&[(name, value)]).unwrap_err().to_string();
        for (name, value, reason) in [
            ("segment.bytes", "many", "must be a whole number from 1 to 9"),
            ("segment.bytes", "10", "must be a whole number from 1 to 9"),
            (
                "age.ms",
                "-2",
                "must be a whole number of milliseconds from 0 to 9223372036854775807, or -1 for none",
            ),
            ("on", "yes", "must be true or false"),
        ] {
            assert_eq!(told(name, value), format!("invalid value {value} for {name}: {reason}"));
        }
        assert!(told("on", &"x".repeat(1 << 20)).len() < 300);
    }

    #[test]
    fn choices_read_from_text() {
        let choices = [("none", 0), ("gzip", 1)];
        assert_eq!(choice("gzip", &choices), Ok(1));
        assert_eq!(choice("zip", &choices), Err("must be one of none, gzip".to_owned()));
        assert_eq!((choice_text(&1, &choices), choice_text(&2, &choices)), (Some("gzip".to_owned()), None));
        assert_eq!(millis_text(Duration::MAX), i64::MAX.to_string());
    }

    #[test]
    fn changes_are_counted() {
        for (one, other, changes) in
            [("", "abc", 3), ("abc", "abc", 0), ("abc", "adc", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(changes_between(one, other), changes, "{one} {other}");
            assert_eq!(changes_between(other, one), changes, "{one} {other}");
        }
    }
}
