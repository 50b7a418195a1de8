//! What was measured: medians with their spread, as a table and as JSON.

use std::io::{self, Write};

use benches::Function;
use serde_json::{Value, json};

use crate::measure::Sample;
use crate::system::System;

/// All rounds of one case with one system.
pub struct Row {
    pub case: Function,
    pub system: System,
    pub samples: Vec<Sample>,
}

/// The middle of some numbers, the least and the greatest.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spread {
    median: f64,
    least: f64,
    greatest: f64,
}

impl Spread {
    /// `None` if there are no numbers, or not one for each round.
    fn of(numbers: impl Iterator<Item = Option<f64>>) -> Option<Self> {
        let mut numbers = numbers.collect::<Option<Vec<f64>>>()?;
        numbers.sort_by(f64::total_cmp);
        let (least, greatest) = (*numbers.first()?, *numbers.last()?);
        let half = numbers.len() / 2;
        let median =
            if numbers.len() % 2 == 1 { numbers[half] } else { f64::midpoint(numbers[half - 1], numbers[half]) };
        Some(Self { median, least, greatest })
    }
}

impl Row {
    fn spread(&self, of: impl Fn(&Sample) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.samples.iter().map(of))
    }

    fn sequential_us(&self) -> Option<Spread> {
        self.spread(|sample| Some(sample.one.us()))
    }

    fn cpu_us(&self) -> Option<Spread> {
        self.spread(|sample| sample.one.cpu_us())
    }

    fn rate_64(&self) -> Option<Spread> {
        self.spread(|sample| Some(sample.all.rate()))
    }

    fn cpu_us_64(&self) -> Option<Spread> {
        self.spread(|sample| sample.all.cpu_us())
    }

    fn caller_mib(&self) -> Option<Spread> {
        self.spread(|sample| sample.caller_kib.map(mib))
    }

    fn callee_mib(&self) -> Option<Spread> {
        self.spread(|sample| sample.callee_kib.map(mib))
    }

    /// Of both processes, or of the one that there is.
    fn peak_mib(&self) -> Option<f64> {
        let callee = if self.system.has_callee() { self.callee_mib()?.median } else { 0.0 };
        Some(self.caller_mib()?.median + callee)
    }
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// The rows as a list of objects, which benches/README.md describes.
pub fn json(rows: &[Row]) -> Value {
    let median = |spread: Option<Spread>| spread.map(|spread| spread.median);
    let row = |row: &Row| {
        let (sequential, rate) = (row.sequential_us(), row.rate_64());
        json!({
            "case": row.case.name(),
            "system": row.system.name(),
            "rounds": row.samples.len(),
            "sequential_us": median(sequential),
            "sequential_us_least": sequential.map(|spread| spread.least),
            "sequential_us_greatest": sequential.map(|spread| spread.greatest),
            "cpu_us": median(row.cpu_us()),
            "calls_per_s_64": median(rate),
            "calls_per_s_64_least": rate.map(|spread| spread.least),
            "calls_per_s_64_greatest": rate.map(|spread| spread.greatest),
            "cpu_us_64": median(row.cpu_us_64()),
            "peak_mib": row.peak_mib(),
            "caller_peak_mib": median(row.caller_mib()),
            "callee_peak_mib": median(row.callee_mib()),
        })
    };
    rows.iter().map(row).collect()
}

/// A block for each case. Ratios are of medians; those of the columns under one caller compare time, those under 64
/// callers calls a second, and below 1 is slower there.
pub fn table(out: &mut impl Write, rows: &[Row]) -> io::Result<()> {
    let mut case = None;
    for row in rows {
        if case.replace(row.case) != Some(row.case) {
            writeln!(out, "\n{}", row.case.name())?;
            writeln!(out, "{:14}{:^58} |{:^51} |{:>9}", "", "one caller: us a call", "64 callers: calls/s", "memory")?;
            write!(out, "{:14}{:>10}{:>10}{:>10}{:>10}", "", "median", "least", "greatest", "cpu us")?;
            write!(out, "{:>9}{:>9} |{:>10}{:>10}{:>10}", "x floor", "x host", "median", "least", "greatest")?;
            writeln!(out, "{:>10}{:>11} |{:>9}", "cpu us", "x floor", "MiB")?;
        }
        let anchor = |system| rows.iter().find(|other| other.case == row.case && other.system == system);
        line(out, row, anchor(System::FloorTcp), anchor(System::HostFunc))?;
    }
    Ok(())
}

fn line(out: &mut impl Write, row: &Row, floor: Option<&Row>, host: Option<&Row>) -> io::Result<()> {
    let (one, all) = (row.sequential_us(), row.rate_64());
    let ratio = |of: Option<Spread>, to: Option<Spread>| of.zip(to).map(|(of, to)| of.median / to.median);
    write!(out, "{:14}", row.system.name())?;
    for number in [one.map(|s| s.median), one.map(|s| s.least), one.map(|s| s.greatest), row.cpu_us().map(|s| s.median)]
    {
        write!(out, "{:>10}", shown(number))?;
    }
    for anchor in [floor, host] {
        write!(out, "{:>9}", shown(ratio(one, anchor.and_then(Row::sequential_us))))?;
    }
    write!(out, " |")?;
    for number in
        [all.map(|s| s.median), all.map(|s| s.least), all.map(|s| s.greatest), row.cpu_us_64().map(|s| s.median)]
    {
        write!(out, "{:>10}", shown(number))?;
    }
    write!(out, "{:>11}", shown(ratio(all, floor.and_then(Row::rate_64))))?;
    writeln!(out, " |{:>9}", shown(row.peak_mib()))
}

/// Three digits that count, or `-`.
fn shown(number: Option<f64>) -> String {
    match number {
        None => "-".into(),
        Some(number) if number >= 100.0 => format!("{number:.0}"),
        Some(number) if number >= 10.0 => format!("{number:.1}"),
        Some(number) if number >= 1.0 => format!("{number:.2}"),
        Some(number) => format!("{number:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Batch;

    fn row(system: System, us: &[f64]) -> Row {
        let sample = |us: &f64| {
            let batch = Batch { calls: 1.0, seconds: us / 1e6, cpu_ns: Some((us * 2_000.0) as u64) };
            let callee_kib = system.has_callee().then_some(3 << 10);
            Sample { one: batch, all: batch, caller_kib: Some(5 << 10), callee_kib }
        };
        Row { case: Function::Add, system, samples: us.iter().map(sample).collect() }
    }

    #[test]
    fn a_row_says_the_median_and_its_spread() {
        let rows = [row(System::IsorunTcp, &[40.0, 10.0, 20.0, 60.0]), row(System::HostFunc, &[2.0])];
        let json = json(&rows);
        assert_eq!(json[0]["case"], "add");
        assert_eq!(json[0]["system"], "isorun-tcp");
        assert_eq!(json[0]["rounds"], 4);
        assert_eq!(json[0]["sequential_us"], 30.0);
        assert_eq!(json[0]["sequential_us_least"], 10.0);
        assert_eq!(json[0]["sequential_us_greatest"], 60.0);
        assert_eq!(json[0]["cpu_us"], 60.0);
        assert_eq!(json[0]["peak_mib"], 8.0);
        assert_eq!(json[1]["peak_mib"], 5.0);
        assert_eq!(json[1]["callee_peak_mib"], Value::Null);
    }

    #[test]
    fn a_system_that_failed_has_nulls() {
        let json = json(&[row(System::Tonic, &[])]);
        for field in ["sequential_us", "cpu_us", "calls_per_s_64", "peak_mib"] {
            assert_eq!(json[0][field], Value::Null, "{field}");
        }
    }

    #[test]
    fn the_table_has_ratios_to_both_anchors() {
        let rows = [row(System::FloorTcp, &[20.0]), row(System::Tarpc, &[50.0]), row(System::HostFunc, &[0.5])];
        let mut out = Vec::new();
        table(&mut out, &rows).unwrap();
        let out = String::from_utf8(out).unwrap();
        let tarpc = out.lines().find(|line| line.starts_with("tarpc")).unwrap();
        let fields: Vec<_> = tarpc.split_whitespace().collect();
        assert_eq!(fields[1..8], ["50.0", "50.0", "50.0", "100", "2.50", "100", "|"]);
        assert_eq!(fields[8..], ["20000", "20000", "20000", "100", "0.400", "|", "8.00"]);
    }
}
