//! What travels in one NATS message: a kind, its numbers, and bytes of a frame.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// First bytes of a message that asks for a connection: a name, and the version of all this.
const OPENING: &[u8; 8] = b"isorun\0\x01";

/// Bytes before those of a frame, in a message that carries some.
pub(crate) const DATA_HEADER_BYTES: usize = 1 + 8;

/// Bytes before those of a frame, in a message that asks for a connection and says something at once.
pub(crate) const OPEN_HEADER_BYTES: usize = 1 + OPENING.len() + WINDOW_BYTES;

const WINDOW_BYTES: usize = 4 + 8;

/// Longest subject that a peer may ask to be answered at, in bytes.
const SUBJECT_BYTES_MAX: usize = 256;

/// What an end takes before the other has to wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) messages: u32,
    pub(crate) bytes: u64,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    /// Asks for a connection; a first frame may come with it, as message 0.
    Open { window: Window, first: Bytes },
    /// Gives one: where to write to from now on.
    Accept { window: Window, inbox: String },
    /// A frame, or a part of one that goes on in the next message.
    Data { number: u64, goes_on: bool, bytes: Bytes },
    /// How many messages of frames were sent, and what of the other end's was taken: messages and bytes. It may ask for the
    /// same.
    Status { asks: bool, sent: u64, taken: u64, taken_bytes: u64 },
    /// No more frames will come.
    Fin { sent: u64 },
    /// This end is no more.
    Gone { sent: u64 },
}

mod kind {
    pub(super) const OPEN: u8 = 1;
    pub(super) const ACCEPT: u8 = 2;
    pub(super) const WHOLE: u8 = 3;
    pub(super) const PART: u8 = 4;
    pub(super) const STATUS: u8 = 5;
    pub(super) const FIN: u8 = 6;
    pub(super) const GONE: u8 = 7;
    pub(super) const ASK: u8 = 8;
}

impl Note {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(OPEN_HEADER_BYTES + SUBJECT_BYTES_MAX.min(32));
        match self {
            Self::Open { window, first } => {
                out.reserve(first.len());
                out.put_u8(kind::OPEN);
                out.put_slice(OPENING);
                window.encode(&mut out);
                out.put_slice(first);
            }
            Self::Accept { window, inbox } => {
                out.put_u8(kind::ACCEPT);
                window.encode(&mut out);
                out.put_slice(inbox.as_bytes());
            }
            Self::Data { number, goes_on, bytes } => {
                out.reserve(bytes.len());
                out.put_u8(if *goes_on { kind::PART } else { kind::WHOLE });
                out.put_u64_le(*number);
                out.put_slice(bytes);
            }
            Self::Status { asks, sent, taken, taken_bytes } => {
                out.put_u8(if *asks { kind::ASK } else { kind::STATUS });
                for number in [sent, taken, taken_bytes] {
                    out.put_u64_le(*number);
                }
            }
            Self::Fin { sent } => {
                out.put_u8(kind::FIN);
                out.put_u64_le(*sent);
            }
            Self::Gone { sent } => {
                out.put_u8(kind::GONE);
                out.put_u64_le(*sent);
            }
        }
        out.freeze()
    }

    /// Reads a message; the error says what is wrong with it.
    pub(crate) fn decode(mut input: Bytes) -> Result<Self, &'static str> {
        const SHORT: &str = "a message that is cut short";
        let note = match input.try_get_u8().map_err(|_| "an empty message")? {
            kind::OPEN => {
                if !input.starts_with(OPENING) {
                    return Err("a request of another version, or of another program");
                }
                input.advance(OPENING.len());
                let window = Window::decode(&mut input).ok_or(SHORT)?;
                return Ok(Self::Open { window, first: input });
            }
            kind::ACCEPT => {
                let window = Window::decode(&mut input).ok_or(SHORT)?;
                let inbox = std::str::from_utf8(&input).ok().filter(|inbox| is_subject(inbox));
                let inbox = inbox.ok_or("a connection without a subject to write to")?.to_owned();
                return Ok(Self::Accept { window, inbox });
            }
            kind @ (kind::WHOLE | kind::PART) => {
                let number = input.try_get_u64_le().map_err(|_| SHORT)?;
                return Ok(Self::Data { number, goes_on: kind == kind::PART, bytes: input });
            }
            kind @ (kind::STATUS | kind::ASK) => {
                let mut next = || input.try_get_u64_le().map_err(|_| SHORT);
                Self::Status { asks: kind == kind::ASK, sent: next()?, taken: next()?, taken_bytes: next()? }
            }
            kind::FIN => Self::Fin { sent: input.try_get_u64_le().map_err(|_| SHORT)? },
            kind::GONE => Self::Gone { sent: input.try_get_u64_le().map_err(|_| SHORT)? },
            _ => return Err("a message of an unknown kind"),
        };
        if input.is_empty() { Ok(note) } else { Err("a message that is too long") }
    }
}

impl Window {
    fn encode(self, out: &mut BytesMut) {
        out.put_u32_le(self.messages);
        out.put_u64_le(self.bytes);
    }

    fn decode(input: &mut Bytes) -> Option<Self> {
        Some(Self { messages: input.try_get_u32_le().ok()?, bytes: input.try_get_u64_le().ok()? })
    }
}

/// Whether something can be published there: tokens of printable characters, and no wildcard.
pub(crate) fn is_subject(text: &str) -> bool {
    let token = |token: &str| {
        !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'*' | b'>'))
    };
    text.len() <= SUBJECT_BYTES_MAX && text.split('.').all(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { messages: 3, bytes: 1 << 40 };

    fn all() -> Vec<Note> {
        vec![
            Note::Open { window: WINDOW, first: Bytes::new() },
            Note::Open { window: WINDOW, first: Bytes::from_static(b"frame") },
            Note::Accept { window: WINDOW, inbox: "_INBOX.a".into() },
            Note::Data { number: u64::MAX, goes_on: true, bytes: Bytes::from_static(&[0]) },
            Note::Data { number: 0, goes_on: false, bytes: Bytes::new() },
            Note::Status { asks: false, sent: 1, taken: 2, taken_bytes: 3 },
            Note::Status { asks: true, sent: 1, taken: 2, taken_bytes: 3 },
            Note::Fin { sent: 4 },
            Note::Gone { sent: 5 },
        ]
    }

    #[test]
    fn what_is_written_is_read_again() {
        for note in all() {
            assert_eq!(Note::decode(note.encode()), Ok(note));
        }
    }

    #[test]
    fn a_message_that_is_cut_or_too_long_is_refused_or_another_one_and_never_a_panic() {
        for note in all() {
            let bytes = note.encode();
            for end in 0..bytes.len() {
                assert_ne!(Note::decode(bytes.slice(..end)), Ok(note.clone()), "{note:?} up to {end}");
            }
            let longer = [&bytes[..], b"\0"].concat();
            assert_ne!(Note::decode(longer.into()), Ok(note));
        }
        for kind in 0..=u8::MAX {
            let _ = Note::decode(Bytes::from(vec![kind; 40]));
        }
        assert_eq!(Note::decode(Bytes::new()), Err("an empty message"));
        assert_eq!(Note::decode(Bytes::from_static(&[77])), Err("a message of an unknown kind"));
    }

    #[test]
    fn the_headers_are_as_long_as_is_said() {
        let empty = Bytes::new();
        let open = Note::Open { window: WINDOW, first: empty.clone() };
        assert_eq!(open.encode().len(), OPEN_HEADER_BYTES);
        assert_eq!(Note::Data { number: 1, goes_on: true, bytes: empty }.encode().len(), DATA_HEADER_BYTES);
    }

    #[test]
    fn a_subject_has_tokens_and_no_wildcard() {
        for (text, expected) in [
            ("a", true),
            ("_INBOX.a.b", true),
            ("", false),
            (".a", false),
            ("a.", false),
            ("a..b", false),
            ("a.*", false),
            ("a.>", false),
            ("a b", false),
            ("a\r\nPUB b", false),
            ("é", false),
        ] {
            assert_eq!(is_subject(text), expected, "{text}");
        }
        assert!(is_subject(&"a".repeat(SUBJECT_BYTES_MAX)) && !is_subject(&"a".repeat(SUBJECT_BYTES_MAX + 1)));
    }
}
