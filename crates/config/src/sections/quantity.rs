//! Spans of time and amounts of bytes, as people write them.

use std::time::Duration;

/// Reads a span such as `90s`, `15m`, `2h` or `1d`; at least a second.
#[must_use]
pub fn span(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds).filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

/// What a span must look like, for hints.
pub(crate) const SPAN_HINT: &str = "write a whole number and `s`, `m`, `h` or `d`, such as `90s` or `15m`";

/// An amount such as `512MiB`, `2GB` or `65536`; at least a byte.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor).filter(|bytes| *bytes > 0)
}

/// What an amount must look like, for hints.
pub(crate) const BYTES_HINT: &str =
    "write a whole number and `KiB`, `MiB`, `GiB`, `KB`, `MB` or `GB`, such as `512MiB`";

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, text[end..].trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_amounts_are_read_as_they_are_written() {
        let spans = ["90s", "15m", "2h", " 1 d ", "0s", "5", "m", "1.5h", "99999999999999999999s", "-1s"];
        let seconds: Vec<Option<u64>> =
            spans.iter().map(|text| span(text).map(|span| span.as_secs())).collect();
        assert_eq!(seconds[..4], [Some(90), Some(900), Some(7_200), Some(86_400)]);
        assert_eq!(seconds[4..], [None; 6]);
        let amounts = ["1", "10 B", "2kb", "512MiB", "1 GiB", "0", "x", "5TB", "18446744073709551615GiB"];
        let read: Vec<Option<u64>> = amounts.iter().map(|text| bytes(text)).collect();
        assert_eq!(read[..5], [Some(1), Some(10), Some(2_000), Some(512 << 20), Some(1 << 30)]);
        assert_eq!(read[5..], [None; 4]);
    }
}
