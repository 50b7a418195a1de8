//! What a pipe is between: what standard input has, and whether standard output takes what comes.

use std::io::{self, IsTerminal};

use crate::args::Cut;
use crate::exit::{FAILED, Failed};

/// What is left to read of standard input, in bytes, where it is a file.
#[cfg(unix)]
pub fn input_bytes() -> Option<u64> {
    use std::io::Seek;

    let mut file = file(io::stdin())?;
    let bytes = file.metadata().ok().filter(std::fs::Metadata::is_file)?.len();
    // Some of what the kernel makes up has no length beforehand.
    bytes.checked_sub(file.stream_position().ok()?).filter(|left| *left > 0)
}

#[cfg(not(unix))]
pub fn input_bytes() -> Option<u64> {
    None
}

/// Whether standard output was closed when the process began.
///
/// By now it is `/dev/null` then, since the standard library opens that in its place, and opens it for reading too: that
/// tells it from one that somebody writes to on purpose by `> /dev/null`. Who passes on a `/dev/null` that can be read
/// can't be told from it, and is refused too, since the other way round output is lost and nobody told.
#[cfg(unix)]
fn is_closed() -> bool {
    use std::io::Read;
    use std::os::unix::fs::MetadataExt;

    let (Some(mut file), Ok(null)) = (file(io::stdout()), std::fs::metadata("/dev/null")) else { return false };
    // Reading is tried of nothing else: a terminal would wait.
    let is_null = file.metadata().is_ok_and(|file| (file.rdev(), file.mode()) == (null.rdev(), null.mode()));
    is_null && file.read(&mut [0]).is_ok()
}

#[cfg(not(unix))]
fn is_closed() -> bool {
    false
}

/// The file behind a standard stream, without its buffer.
#[cfg(unix)]
fn file(stream: impl std::os::fd::AsFd) -> Option<std::fs::File> {
    stream.as_fd().try_clone_to_owned().ok().map(std::fs::File::from)
}

/// Holds what is written against what standard output takes.
pub struct Output {
    /// The beginning of a character at the end of what came, where text alone is taken.
    text: Option<Vec<u8>>,
    written: u64,
}

impl Output {
    /// Looks at standard output; a terminal is written anything only if that is forced.
    ///
    /// # Errors
    /// It is closed, or a terminal that frames are for.
    pub fn look(cut: Cut, force: bool) -> Result<Self, Failed> {
        if is_closed() {
            return Err(Failed::new(FAILED, "standard output is closed: what the nodes give would be lost")
                .hint("`> FILE` keeps it, `> /dev/null` throws it away"));
        }
        let is_guarded = io::stdout().is_terminal() && !force;
        if is_guarded && cut == Cut::Frames {
            return Err(
                Failed::usage("--frames: standard output is a terminal, and frames are no text").hint(ELSEWHERE)
            );
        }
        Ok(Self { text: is_guarded.then(Vec::new), written: 0 })
    }

    /// Whether these bytes may be written there.
    ///
    /// # Errors
    /// They are no text, and it is a terminal.
    pub fn takes(&mut self, bytes: &[u8]) -> Result<(), Failed> {
        let Some(begun) = &mut self.text else { return Ok(()) };
        match text(begun, bytes) {
            Ok(()) => self.written += bytes.len() as u64,
            Err(at) => {
                let at = self.written + at as u64;
                let what = "no text, and standard output is a terminal, which might obey it";
                return Err(
                    Failed::new(FAILED, format!("what comes out is {what} (from byte {at} on)")).hint(ELSEWHERE)
                );
            }
        }
        Ok(())
    }
}

const ELSEWHERE: &str = "`> FILE` keeps it, `| od -c` shows it, and `--force` writes it even so";

/// Whether bytes are text that a terminal shows and does not obey; if not, from where on.
///
/// `begun` is what came of a character before them, and then what has come of the last one.
fn text(begun: &mut Vec<u8>, bytes: &[u8]) -> Result<(), usize> {
    let before = begun.len();
    begun.extend(bytes);
    let (whole, end) = match std::str::from_utf8(begun) {
        Ok(all) => (all, begun.len()),
        // It is cut in the middle of a character, which the next bytes may go on with.
        Err(error) if error.error_len().is_none() => {
            let end = error.valid_up_to();
            (std::str::from_utf8(&begun[..end]).unwrap_or_default(), end)
        }
        Err(error) => return Err(error.valid_up_to().saturating_sub(before)),
    };
    let obeyed = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if let Some((at, _)) = whole.char_indices().find(|(_, c)| obeyed(*c)) {
        return Err(at.saturating_sub(before));
    }
    begun.drain(..end);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: &[&[u8]], expected: Result<(), usize>) {
        let mut begun = Vec::new();
        assert_eq!(pieces.iter().try_for_each(|piece| text(&mut begun, piece)), expected, "{pieces:?}");
        assert!(expected.is_err() || begun.len() < 4);
    }

    #[test]
    fn text_may_be_cut_anywhere() {
        check(&[], Ok(()));
        check(&["schön – ok\r\n\t\n".as_bytes()], Ok(()));
        let snowman = "☃".as_bytes();
        check(&[b"a", &snowman[..1], b"", &snowman[1..2], &snowman[2..], b"b"], Ok(()));
    }

    #[test]
    fn what_a_terminal_obeys_is_no_text() {
        check(&[b"\x1b[2J"], Err(0));
        check(&[b"ok", b"abc\0"], Err(3));
        check(&["a\u{9b}".as_bytes()], Err(1));
        check(&[&[0xc2], &[0x9b]], Err(0));
        check(&[b"a\xff"], Err(1));
        check(&[&[0xe2, 0x98], b"a"], Err(0));
        check(&[b"\x7f"], Err(0));
    }
}
