//! One row of a table: a candidate, its bare counterpart, and what is hoped for.

use super::settings::Outcome;

/// One run of a candidate: does its work, checks it, and gives the value that is compared.
pub(crate) type Run<'a> = Box<dyn FnMut() -> Outcome<f64> + 'a>;

/// What the values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    MegabytesPerSecond,
    PerSecond,
    Microseconds,
    Milliseconds,
    Mebibytes,
}

impl Unit {
    /// A value as the table shows it.
    pub(crate) fn show(self, value: f64) -> String {
        let name = match self {
            Unit::MegabytesPerSecond => "MB/s",
            Unit::PerSecond => "/s",
            Unit::Microseconds => "us",
            Unit::Milliseconds => "ms",
            Unit::Mebibytes => "MiB",
        };
        let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
        format!("{value:.decimals$} {name}")
    }
}

/// What is hoped for. Ratios are candidate / bare.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    None,
    RatioAtLeast(f64),
    RatioAtMost(f64),
    ValueAtLeast(f64),
    ValueAtMost(f64),
}

/// A candidate and its bare counterpart.
pub(crate) struct Case<'a> {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    pub(crate) candidate: Run<'a>,
    /// The counterpart's name, and one run of it.
    pub(crate) bare: Option<(String, Run<'a>)>,
    pub(crate) target: Target,
}

impl<'a> Case<'a> {
    /// A case whose counterpart is `bare`.
    pub(crate) fn new(
        name: impl Into<String>,
        unit: Unit,
        candidate: impl FnMut() -> Outcome<f64> + 'a,
        bare: (&str, impl FnMut() -> Outcome<f64> + 'a),
        target: Target,
    ) -> Case<'a> {
        let bare: (String, Run<'a>) = (bare.0.to_owned(), Box::new(bare.1));
        Case { name: name.into(), unit, candidate: Box::new(candidate), bare: Some(bare), target }
    }
}

/// For a case whose value speaks for itself.
pub(crate) fn no_bare<'a>(
    name: impl Into<String>,
    unit: Unit,
    candidate: impl FnMut() -> Outcome<f64> + 'a,
    target: Target,
) -> Case<'a> {
    Case { name: name.into(), unit, candidate: Box::new(candidate), bare: None, target }
}

/// The value in the middle; of an even number of them the upper of the two.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
