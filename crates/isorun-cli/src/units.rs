//! Sizes and times, as people write them.

use std::time::Duration;

/// A number of bytes: `64MiB`, `512KiB`, or plain bytes.
pub fn bytes(text: &str) -> Result<u64, String> {
    let form = || format!("`{text}` is no size: write one like `64MiB` (KiB, MiB, GiB, or plain bytes)");
    let (number, unit) = split(text);
    let factor = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(form()),
    };
    number.and_then(|number| number.checked_mul(factor)).ok_or_else(form)
}

/// A time in milliseconds: `500ms`, `5s`, `2m`, `1h`; never zero.
pub fn milliseconds(text: &str) -> Result<u64, String> {
    let form = || format!("`{text}` is no time: write one like `5s` (ms, s, m, h), at least 1ms and at most a year");
    let (number, unit) = split(text);
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(form()),
    };
    let time = number.and_then(|number| number.checked_mul(factor)).ok_or_else(form)?;
    if (1..=YEAR_MS).contains(&time) { Ok(time) } else { Err(form()) }
}

/// Longest time that can be asked for: further ahead than anybody waits, and far from overflowing a clock.
const YEAR_MS: u64 = 365 * 24 * 3_600_000;

/// A number of units of fuel; `_` may stand between digits.
pub fn fuel(text: &str) -> Result<u64, String> {
    split(text).0.filter(|_| split(text).1.is_empty()).ok_or_else(|| {
        format!("`{text}` is no amount of fuel: a whole number, about one unit an instruction, like `100_000_000`")
    })
}

/// A time for the eye: `3.1 us`, `1.25 ms`.
pub fn shown(time: Duration) -> String {
    let us = time.as_secs_f64() * 1e6;
    match us {
        _ if us < 100.0 => format!("{us:.1} us"),
        _ if us < 10_000.0 => format!("{us:.0} us"),
        _ => format!("{:.1} ms", us / 1e3),
    }
}

/// The number that a text starts with, and the unit after it.
fn split(text: &str) -> (Option<u64>, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number = number.starts_with(|c: char| c.is_ascii_digit()).then(|| number.replace('_', "").parse().ok());
    (number.flatten(), unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bytes_with_or_without_a_binary_unit() {
        assert_eq!(bytes("0"), Ok(0));
        assert_eq!(bytes("65_536"), Ok(65_536));
        assert_eq!(bytes("7B"), Ok(7));
        assert_eq!(bytes("512KiB"), Ok(512 << 10));
        assert_eq!(bytes("64MiB"), Ok(64 << 20));
        assert_eq!(bytes("2GiB"), Ok(2 << 30));
        for text in ["", "MiB", "64MB", "64 MiB", "-1", "+1", "1.5GiB", "_1", "99999999999GiB", "99999999999999999999"]
        {
            assert!(bytes(text).is_err_and(|error| error.contains("64MiB")), "{text}");
        }
    }

    #[test]
    fn times_need_a_unit_and_are_neither_nothing_nor_for_ever() {
        assert_eq!(milliseconds("1ms"), Ok(1));
        assert_eq!(milliseconds("5s"), Ok(5_000));
        assert_eq!(milliseconds("2m"), Ok(120_000));
        assert_eq!(milliseconds("1h"), Ok(3_600_000));
        assert_eq!(milliseconds("8760h"), Ok(YEAR_MS));
        for text in ["", "5", "0s", "5 s", "5sec", "-5s", "1.5s", "8761h", "99999999999999999999h"] {
            assert!(milliseconds(text).is_err_and(|error| error.contains("like `5s`")), "{text}");
        }
    }

    #[test]
    fn fuel_is_a_whole_number() {
        assert_eq!(fuel("0"), Ok(0));
        assert_eq!(fuel("1_000_000"), Ok(1_000_000));
        assert_eq!(fuel("18446744073709551615"), Ok(u64::MAX));
        for text in ["", "1e9", "1k", "-1", "18446744073709551616"] {
            assert!(fuel(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_shown_with_the_digits_that_matter() {
        assert_eq!(shown(Duration::from_nanos(3_140)), "3.1 us");
        assert_eq!(shown(Duration::from_micros(145)), "145 us");
        assert_eq!(shown(Duration::from_micros(14_520)), "14.5 ms");
    }
}
