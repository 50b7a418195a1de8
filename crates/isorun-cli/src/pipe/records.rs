//! How a stream is cut into what nodes take whole, and put together again.

use std::io::{self, BufRead, ErrorKind, Read, Write};

use isorun::nodes::INPUT_BYTES_MAX;

use crate::args::{Cut, INPUT_SIZE_MAX};
use crate::exit::{FAILED, Failed};

/// One input of the first node, or what has become of it so far.
#[derive(Debug)]
pub struct Record {
    /// The place among all, from 1.
    pub number: u64,
    /// Where it began in the input, in bytes.
    pub at: u64,
    pub bytes: Vec<u8>,
    /// Whether it is a line that was ended: the last one need not be.
    pub ended: bool,
}

/// Reads records from a stream.
pub struct Records<R> {
    from: R,
    cut: Cut,
    number: u64,
    at: u64,
}

impl<R: BufRead> Records<R> {
    pub fn new(from: R, cut: Cut) -> Self {
        Self { from, cut, number: 0, at: 0 }
    }

    /// The next record; `None` at the end of the stream.
    ///
    /// Nothing is allocated for bytes that have not come.
    pub fn next(&mut self) -> Result<Option<Record>, Failed> {
        let (number, at) = (self.number + 1, self.at);
        let record = |bytes, ended| Record { number, at, bytes, ended };
        let record = match self.cut {
            // All of it is one record, even if there is nothing.
            Cut::Whole if self.number > 0 => return Ok(None),
            Cut::Whole => record(self.everything()?, false),
            Cut::Chunks(bytes) => {
                let chunk = self.exactly(bytes)?;
                if chunk.is_empty() {
                    return Ok(None);
                }
                record(chunk, false)
            }
            Cut::Lines => match self.line()? {
                Some((line, ended)) => record(line, ended),
                None => return Ok(None),
            },
            Cut::Frames => match self.frame()? {
                Some(frame) => record(frame, false),
                None => return Ok(None),
            },
        };
        self.number = number;
        Ok(Some(record))
    }

    /// All that is left, unless it is more than a node takes.
    fn everything(&mut self) -> Result<Vec<u8>, Failed> {
        let bytes = self.exactly(INPUT_BYTES_MAX + 1)?;
        if bytes.len() > INPUT_BYTES_MAX { Err(Failed::new(FAILED, TOO_LARGE)) } else { Ok(bytes) }
    }

    /// That many bytes, or all that is left.
    fn exactly(&mut self, bytes: usize) -> Result<Vec<u8>, Failed> {
        let mut taken = Vec::new();
        let read = (&mut self.from).take(bytes as u64).read_to_end(&mut taken).map_err(|error| unread(&error))?;
        self.at += read as u64;
        Ok(taken)
    }

    /// The next line without its end, and whether it has one.
    fn line(&mut self) -> Result<Option<(Vec<u8>, bool)>, Failed> {
        let (mut line, limit) = (Vec::new(), INPUT_BYTES_MAX as u64 + 1);
        let read = (&mut self.from).take(limit).read_until(b'\n', &mut line).map_err(|error| unread(&error))?;
        let ended = line.pop_if(|last| *last == b'\n').is_some();
        if line.len() > INPUT_BYTES_MAX {
            let (number, at) = (self.number + 1, self.at);
            return Err(Failed::new(
                FAILED,
                format!(
                    "line {number}, from byte {at} of standard input, has more than a node takes at once, \
                     {INPUT_SIZE_MAX}"
                ),
            ));
        }
        self.at += read as u64;
        Ok((read > 0).then_some((line, ended)))
    }

    /// The next frame's bytes.
    fn frame(&mut self) -> Result<Option<Vec<u8>>, Failed> {
        let (number, at) = (self.number + 1, self.at);
        let broken =
            |what: String| Failed::new(FAILED, format!("frame {number}, from byte {at} of standard input, {what}"));
        let head = self.exactly(FRAME_HEAD_BYTES)?;
        let Ok(length) = <[u8; FRAME_HEAD_BYTES]>::try_from(head.as_slice()) else {
            if head.is_empty() {
                return Ok(None);
            }
            return Err(broken(format!(
                "is cut off after {} of the {FRAME_HEAD_BYTES} bytes of its length",
                head.len()
            )));
        };
        let length = u32::from_le_bytes(length) as usize;
        if length > INPUT_BYTES_MAX {
            return Err(broken(format!("is said to have {length} bytes, and a node takes {INPUT_SIZE_MAX} at most"))
                .hint("a frame is its length, 4 bytes little-endian, and then its bytes"));
        }
        let frame = self.exactly(length)?;
        if frame.len() < length {
            return Err(broken(format!("is cut off after {} of its {length} bytes", frame.len())));
        }
        Ok(Some(frame))
    }
}

/// Writes what has become of a record.
pub fn write(to: &mut impl Write, cut: Cut, record: &Record) -> io::Result<()> {
    match cut {
        Cut::Whole | Cut::Chunks(_) => to.write_all(&record.bytes),
        Cut::Lines => {
            to.write_all(&record.bytes)?;
            if record.ended { to.write_all(b"\n") } else { Ok(()) }
        }
        Cut::Frames => {
            // A node gives 20 MiB less 64 bytes at most.
            let length = u32::try_from(record.bytes.len()).map_err(|_| io::Error::from(ErrorKind::FileTooLarge))?;
            to.write_all(&length.to_le_bytes())?;
            to.write_all(&record.bytes)
        }
    }
}

fn unread(error: &io::Error) -> Failed {
    Failed::new(FAILED, format!("cannot read standard input: {error}"))
}

/// A frame's length, u32 little-endian.
const FRAME_HEAD_BYTES: usize = 4;

const TOO_LARGE: &str = "\
    standard input is more than a node takes at once, 20 MiB less 64 bytes\n\
    `--chunk 1MiB` hands it over in pieces, for formats whose pieces can stand one after the other, `--lines` line by line";

#[cfg(test)]
mod tests {
    use super::*;

    /// The records of a stream, or what is said of it.
    fn cut(cut: Cut, input: &[u8]) -> Result<Vec<Record>, String> {
        // A buffer that holds less than a record.
        let mut records = Records::new(io::BufReader::with_capacity(3, input), cut);
        let mut all = Vec::new();
        while let Some(record) = records.next().map_err(|failed| failed.text)? {
            all.push(record);
        }
        Ok(all)
    }

    fn check(how: Cut, input: &[u8], expected: &[&[u8]]) {
        let records = cut(how, input).unwrap();
        let bytes: Vec<_> = records.iter().map(|record| record.bytes.as_slice()).collect();
        assert_eq!(bytes, expected);
        // What is not changed is put together as it was.
        let mut back = Vec::new();
        records.iter().for_each(|record| write(&mut back, how, record).unwrap());
        assert_eq!(back, input);
    }

    fn refused(how: Cut, input: &[u8], words: &str) {
        let error = cut(how, input).unwrap_err();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn all_of_it_is_one_record_even_if_there_is_nothing() {
        check(Cut::Whole, b"", &[b""]);
        check(Cut::Whole, b"some bytes\n", &[b"some bytes\n"]);
        check(Cut::Whole, &vec![7; INPUT_BYTES_MAX], &[&vec![7; INPUT_BYTES_MAX]]);
        refused(Cut::Whole, &vec![7; INPUT_BYTES_MAX + 1], "--chunk");
    }

    #[test]
    fn chunks_are_full_but_for_the_last() {
        check(Cut::Chunks(4), b"", &[]);
        check(Cut::Chunks(4), b"abcdefgh", &[b"abcd", b"efgh"]);
        check(Cut::Chunks(4), b"abcdefghi", &[b"abcd", b"efgh", b"i"]);
        let at: Vec<_> = cut(Cut::Chunks(4), b"abcdefghi").unwrap().iter().map(|record| record.at).collect();
        assert_eq!(at, [0, 4, 8]);
    }

    #[test]
    fn lines_come_without_their_ends_and_leave_with_them() {
        check(Cut::Lines, b"", &[]);
        check(Cut::Lines, b"\n", &[b""]);
        check(Cut::Lines, b"a\n\nlong line\r\nlast", &[b"a", b"", b"long line\r", b"last"]);
        check(Cut::Lines, &[vec![7; INPUT_BYTES_MAX], b"\n".to_vec()].concat(), &[&vec![7; INPUT_BYTES_MAX]]);
        refused(Cut::Lines, &[b"a\n".to_vec(), vec![7; INPUT_BYTES_MAX + 1]].concat(), "line 2, from byte 2 of");
        refused(Cut::Lines, &vec![7; INPUT_BYTES_MAX + 1], "more than a node takes at once, 20 MiB less 64 bytes");
    }

    #[test]
    fn frames_are_their_length_and_their_bytes() {
        check(Cut::Frames, b"", &[]);
        check(Cut::Frames, b"\x02\0\0\0ab\0\0\0\0\x01\0\0\0c", &[b"ab", b"", b"c"]);
        refused(
            Cut::Frames,
            b"\x02\0\0\0ab\x02\0",
            "frame 2, from byte 6 of standard input, is cut off after 2 of the 4",
        );
        refused(Cut::Frames, b"\x02\0\0\0a", "is cut off after 1 of its 2 bytes");
        refused(
            Cut::Frames,
            b"\xff\xff\xff\xff",
            "is said to have 4294967295 bytes, and a node takes 20 MiB less 64 bytes",
        );
        let frame = |bytes: usize| [&(bytes as u32).to_le_bytes()[..], &vec![7; bytes]].concat();
        check(Cut::Frames, &frame(INPUT_BYTES_MAX), &[&vec![7; INPUT_BYTES_MAX]]);
        refused(Cut::Frames, &frame(INPUT_BYTES_MAX + 1), "is said to have 20971457 bytes");
    }
}
