//! Durations as ISO 8601 writes them and Kafka reads them: `P1DT2H3M4.5S`, any part of it left out.

use std::time::Duration;

/// The units in their order, with whether they stand behind the `T`, and their seconds.
const UNITS: [(char, bool, u64); 4] =
    [('D', false, 86_400), ('H', true, 3_600), ('M', true, 60), ('S', true, 1)];

/// Writes a duration in seconds.
pub(super) fn write(duration: Duration) -> String {
    match duration.subsec_nanos() {
        0 => format!("PT{}S", duration.as_secs()),
        nanos => format!("PT{}.{nanos:09}S", duration.as_secs()),
    }
}

/// Reads a duration; `None` where the text is none, or longer than durations go.
pub(super) fn read(text: &str) -> Option<Duration> {
    let (mut rest, mut units) = (text.strip_prefix('P')?, UNITS.iter());
    let (mut sum, mut is_behind_t) = (Duration::ZERO, false);
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix('T').filter(|_| !is_behind_t) {
            (rest, is_behind_t) = (behind, true);
            // A part must follow.
            rest.chars().next()?;
        }
        let letter = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, behind) = rest.split_at(letter);
        // Units come in order, each at most once.
        let &(unit, _, seconds) =
            units.by_ref().find(|&&(unit, of_time, _)| behind.starts_with(unit) && of_time == is_behind_t)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let nanos = if unit == 'S' { nanos_of(fraction)? } else { (whole == number).then_some(0)? };
        let part = Duration::new(digits(whole)?.checked_mul(seconds)?, nanos);
        sum = sum.checked_add(part)?;
        rest = behind.get(1..)?;
    }
    (text.len() > 1).then_some(sum)
}

/// The nanoseconds of a fraction of a second, of which the digits behind the point are given.
fn nanos_of(fraction: &str) -> Option<u32> {
    let places = u32::try_from(fraction.len()).ok().filter(|places| *places <= 9)?;
    u32::try_from(digits(fraction)?).ok()?.checked_mul(10_u32.checked_pow(9 - places)?)
}

/// A number of digits alone: no sign, and at least one.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_iso_8601_has_them() {
        for (text, millis) in [
            ("PT1H", 3_600_000),
            ("P1DT2H3M4.5S", 93_784_500),
            ("P2D", 172_800_000),
            ("PT0S", 0),
            ("PT0.001S", 1),
            ("PT90M", 5_400_000),
        ] {
            assert_eq!(read(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "P",
            "PT",
            "1H",
            "PT1",
            "P1H",
            "PT1D",
            "PT1S1M",
            "PT1M1M",
            "PT-1H",
            "PT1.5M",
            "PT.S",
            "PT1.S",
            "PT+1S",
            "P1DT",
            "PT18446744073709551615H",
            "PT1.0000000001S",
            "PTé",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn what_was_written_reads_back() {
        for duration in [Duration::ZERO, Duration::from_nanos(1), Duration::from_millis(1_500), Duration::MAX]
        {
            assert_eq!(read(&write(duration)), Some(duration));
        }
    }
}
