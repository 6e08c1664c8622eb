//! Runs the cases of a benchmark in rounds, and prints what came of them.
//!
//! A round runs every case once, candidate and counterpart next to each other and in turns first. The first round is not
//! counted: it fills caches and finds the files' places.

use super::case::{Case, Target, median};
use super::settings::{Outcome, Settings};

/// Prints one row per case, below one head.
#[derive(Debug)]
pub(crate) struct Table {
    rounds: usize,
    /// A quick run says nothing about targets.
    is_judged: bool,
}

/// What one case gave, round by round.
#[derive(Debug, Default)]
struct Samples {
    candidate: Vec<f64>,
    bare: Vec<f64>,
}

impl Table {
    /// Prints where and how often is measured, and the head.
    pub(crate) fn new(settings: &Settings) -> Table {
        let how = if settings.is_quick { ", QUICK: sizes too small to compare" } else { "" };
        print(&format!(
            "{}, {}; {} rounds{how}",
            settings.directory().display(),
            settings.file_system(),
            settings.rounds
        ));
        print(
            "ratio: candidate / counterpart, the median of the rounds' ratios, with the least and the greatest",
        );
        let table = Table { rounds: settings.rounds, is_judged: !settings.is_quick };
        print(&row(["candidate", "median", "counterpart", "median", "ratio", "min-max", "target", ""]));
        table
    }

    /// Measures all of a benchmark's cases, alternating, and prints their rows.
    pub(crate) fn measure(&mut self, mut cases: Vec<Case<'_>>) -> Outcome<()> {
        let mut samples: Vec<Samples> = cases.iter().map(|_| Samples::default()).collect();
        for round in 0..=self.rounds {
            for (case, samples) in cases.iter_mut().zip(&mut samples) {
                let (candidate, bare) = run_both(case, round % 2 == 0)?;
                if round > 0 {
                    samples.candidate.push(candidate);
                    samples.bare.extend(bare);
                }
            }
        }
        for (case, samples) in cases.iter().zip(&samples) {
            print(&self.describe(case, samples));
        }
        Ok(())
    }

    fn describe(&self, case: &Case<'_>, samples: &Samples) -> String {
        let value = median(&samples.candidate);
        let ratios: Vec<f64> =
            samples.candidate.iter().zip(&samples.bare).map(|(candidate, bare)| candidate / bare).collect();
        let ratio = median(&ratios);
        let span = |values: &[f64]| {
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            (least, values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
        };
        let (bare_name, bare, ratio_text, span_text) = match &case.bare {
            Some((name, _)) => {
                let (least, most) = span(&ratios);
                let bare = case.unit.show(median(&samples.bare));
                (name.as_str(), bare, format!("{ratio:.3}"), format!("{least:.3}-{most:.3}"))
            }
            None => {
                let (least, most) = span(&samples.candidate);
                let span = format!("{}-{}", case.unit.show(least), case.unit.show(most));
                ("", String::new(), String::new(), span)
            }
        };
        let (target, is_met) = match case.target {
            Target::None => (String::new(), None),
            Target::RatioAtLeast(target) => (format!(">= {target}"), Some(ratio >= target)),
            Target::RatioAtMost(target) => (format!("<= {target}"), Some(ratio <= target)),
            Target::ValueAtLeast(target) => (format!(">= {}", case.unit.show(target)), Some(value >= target)),
            Target::ValueAtMost(target) => (format!("<= {}", case.unit.show(target)), Some(value <= target)),
        };
        let is_met = is_met.filter(|_| self.is_judged);
        let verdict = is_met.map_or("", |is_met| if is_met { "met" } else { "MISSED" });
        row([&case.name, &case.unit.show(value), bare_name, &bare, &ratio_text, &span_text, &target, verdict])
    }

    /// A line below a benchmark's rows.
    pub(crate) fn note(&mut self, text: &str) {
        print(&format!("  {text}"));
    }
}

fn run_both(case: &mut Case<'_>, candidate_first: bool) -> Outcome<(f64, Option<f64>)> {
    let Some((_, bare)) = case.bare.as_mut() else { return Ok(((case.candidate)()?, None)) };
    if candidate_first {
        let value = (case.candidate)()?;
        Ok((value, Some(bare()?)))
    } else {
        let value = bare()?;
        Ok(((case.candidate)()?, Some(value)))
    }
}

fn row([name, value, bare_name, bare, ratio, span, target, verdict]: [&str; 8]) -> String {
    format!("{name:<46} {value:>13}  {bare_name:<34} {bare:>13} {ratio:>8} {span:>22} {target:>14} {verdict}")
}

#[expect(clippy::print_stdout, reason = "the table is what a benchmark is run for")]
fn print(line: &str) {
    println!("{}", line.trim_end());
}
