//! What a case comes to, and how it says what it found.

use std::collections::VecDeque;
use std::fmt::{Debug, Write};

use bytes::Bytes;

/// What a case comes to: nothing, or what the transport did that it may not.
pub type Verdict = Result<(), String>;

/// Longest description of one finding, in bytes: a frame of 4 MiB is not printed.
const FOUND_BYTES_MAX: usize = 200;

/// Holds where `found` is `expected`.
pub(crate) fn same<T: Debug + PartialEq>(what: &str, found: &T, expected: &T) -> Verdict {
    let differ = || format!("{what}: {}, and not {}", short(found), short(expected));
    if found == expected { Ok(()) } else { Err(differ()) }
}

/// Holds where `condition` does.
pub(crate) fn holds(condition: bool, what: impl Into<String>) -> Verdict {
    if condition { Ok(()) } else { Err(what.into()) }
}

/// Holds where `done` is no error; gives what it is.
pub(crate) fn done<T, E: Debug>(what: &str, done: Result<T, E>) -> Result<T, String> {
    done.map_err(|error| format!("{what}: {}", short(&error)))
}

/// Holds where the frames `found` are those `sent`, all of them and in order.
pub(crate) fn all_frames(found: &VecDeque<Bytes>, sent: &VecDeque<Bytes>) -> Verdict {
    first_frames(found, sent)?;
    holds(found.len() == sent.len(), format!("{} of {} frames came, and then the end", found.len(), sent.len()))
}

/// Holds where the frames `found` are the first of those `sent`.
pub(crate) fn first_frames(found: &VecDeque<Bytes>, sent: &VecDeque<Bytes>) -> Verdict {
    for (index, frame) in found.iter().enumerate() {
        let Some(expected) = sent.get(index) else {
            return Err(format!("{} frames came of {} that were sent", found.len(), sent.len()));
        };
        if frame == expected {
            continue;
        }
        return Err(match sent.iter().position(|other| other == frame) {
            Some(other) => format!("frame {other} came in the place of frame {index}"),
            None if frame.len() != expected.len() => {
                format!("frame {index} came with {} bytes and was sent with {}", frame.len(), expected.len())
            }
            None => format!("frame {index}, of {} bytes, came with its bytes changed", frame.len()),
        });
    }
    Ok(())
}

/// `value` as text, cut where it gets long.
pub(crate) fn short(value: &impl Debug) -> String {
    let mut text = Short(String::new());
    // It fails where the text is full: that is what it is for.
    if write!(text, "{value:?}").is_err() {
        text.0.push('…');
    }
    text.0
}

struct Short(String);

impl Write for Short {
    fn write_str(&mut self, part: &str) -> std::fmt::Result {
        let room = FOUND_BYTES_MAX - self.0.len();
        if part.len() <= room {
            self.0.push_str(part);
            return Ok(());
        }
        self.0.push_str(&part[..part.floor_char_boundary(room)]);
        Err(std::fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::frames;

    #[test]
    fn a_finding_is_cut_at_its_limit() {
        assert_eq!(short(&"a".repeat(FOUND_BYTES_MAX - 2)).len(), FOUND_BYTES_MAX);
        let cut = short(&"ä".repeat(FOUND_BYTES_MAX));
        assert!(cut.len() <= FOUND_BYTES_MAX + '…'.len_utf8() && cut.ends_with('…'), "{cut}");
    }

    fn check(change: impl FnOnce(&mut VecDeque<Bytes>), expected: &str) {
        let sent = frames(4, |_| 10);
        let mut found = sent.clone();
        change(&mut found);
        assert_eq!(all_frames(&found, &sent), Err(expected.to_owned()));
    }

    #[test]
    fn frames_that_differ_are_told_apart() {
        check(|found| found.swap(1, 2), "frame 2 came in the place of frame 1");
        check(|found| drop(found.pop_back()), "3 of 4 frames came, and then the end");
        check(|found| found.push_back(found[0].clone()), "5 frames came of 4 that were sent");
        check(|found| found[3] = found[3].slice(1..), "frame 3 came with 9 bytes and was sent with 10");
        check(|found| found[0] = vec![9; 10].into(), "frame 0, of 10 bytes, came with its bytes changed");
    }
}
