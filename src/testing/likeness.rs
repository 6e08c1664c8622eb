//! Whether a run of a piece of code was like its first one, up to the point where something was made to go wrong.
//!
//! A point has a number alone, from the first run. Where another run does other things before it, something else goes wrong than is
//! said, or nothing does, and some points are never met. Only what is asked of the disk is compared: calls with their paths and
//! ranges, not the bytes.

use super::call::Call;
use super::failed::Outcome;

/// An error with the first of these calls, up to the one with this number, that is not as in the first run.
pub(super) fn check(what: &str, until: u64, did: &[Call], first_did: &[Call]) -> Outcome {
    let name = |call: Option<&Call>| call.map_or_else(|| "the end".to_owned(), Call::to_string);
    let differs = |number: &usize| did.get(*number) != first_did.get(*number);
    let compared = did.len().max(first_did.len()).min(usize::try_from(until).unwrap_or(usize::MAX));
    let Some(number) = (0..compared).find(differs) else { return Ok(()) };
    let (now, before) = (name(did.get(number)), name(first_did.get(number)));
    let number = number + 1;
    Err(format!(
        "the code does not do the same in each run: {what} {number} was {before} in the first run and is {now} now; give its broker a \
         ManualClock and a BrokerConfig::seed, and let one thread do everything"
    )
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_call_that_is_another_is_told() {
        let [a, b, c] = ["a", "b", "c"].map(|name| Call::Sync(name.into()));
        let told = |did: &[&Call], first_did: &[&Call]| {
            let [did, first_did] =
                [did, first_did].map(|calls| calls.iter().copied().cloned().collect::<Vec<_>>());
            check("step", 2, &did, &first_did)
                .map_err(|error| error.to_string().split(';').next().unwrap().to_owned())
        };
        let expected = |told: &str| Err(format!("the code does not do the same in each run: {told} now"));
        assert_eq!(told(&[], &[]), Ok(()));
        assert_eq!(told(&[&a, &b], &[&a, &b]), Ok(()));
        assert_eq!(told(&[&a, &b, &a], &[&a, &b, &c]), Ok(()), "it is behind the point");
        let other = "step 2 was a sync of b in the first run and is a sync of c";
        assert_eq!(told(&[&a, &c, &b], &[&a, &b, &c]), expected(other));
        assert_eq!(
            told(&[&a], &[&a, &b]),
            expected("step 2 was a sync of b in the first run and is the end")
        );
        assert_eq!(told(&[&a], &[]), expected("step 1 was the end in the first run and is a sync of a"));
    }
}
