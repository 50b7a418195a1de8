//! An older peer: what the first release said, and what it made of the answers, held against this version at either end.

#[path = "support/steps.rs"]
mod steps;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use neorpc::{Connection, FEATURES_MAX, Frame, NAME_BYTES_MAX, PeerLimits, VERSION};

/// Where this version sits; the recorded peer has the other end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Opener,
    Acceptor,
}

impl End {
    const fn name(self) -> &'static str {
        match self {
            Self::Opener => "opener",
            Self::Acceptor => "acceptor",
        }
    }

    /// What stands before its frames.
    const fn mark(self) -> char {
        match self {
            Self::Opener => '>',
            Self::Acceptor => '<',
        }
    }
}

/// One line of a conversation.
enum Line {
    /// Who acts, and what it does; one or both.
    Step(Vec<(String, String)>),
    Wait(Duration),
    Frame {
        by: char,
        bytes: Bytes,
    },
    Event {
        at: String,
        what: String,
    },
}

fn conversations() -> Vec<(PathBuf, Vec<Line>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/0.1");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |file: PathBuf| (file.clone(), lines(&std::fs::read_to_string(file).unwrap()));
    files.into_iter().map(read).collect()
}

fn lines(text: &str) -> Vec<Line> {
    // A frame goes on in the lines that are indented.
    let text = text.replace("\n    ", " ");
    let spoken = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    spoken.map(line).collect()
}

fn line(line: &str) -> Line {
    let said = |text: &str| {
        let (who, what) = text.split_once(": ").unwrap();
        (who.to_owned(), what.to_owned())
    };
    match line.split_once(' ').unwrap() {
        (mark @ (">" | "<"), hex) => {
            let bytes = hex.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
            Line::Frame { by: mark.chars().next().unwrap(), bytes }
        }
        ("=", event) => {
            let (at, what) = said(event);
            Line::Event { at, what }
        }
        ("both:", wait) => Line::Wait(Duration::from_millis(wait.strip_prefix("wait ").unwrap().parse().unwrap())),
        ("together:", steps) => Line::Step(steps.split(" | ").map(said).collect()),
        _ => Line::Step(vec![said(line)]),
    }
}

/// Whether the first release reads `ours` as it read what it was recorded to get.
///
/// Hello and description may say more than they did, in keys and features that it skips; all else is the same bytes.
fn reads_the_same(ours: &Bytes, recorded: &Bytes) -> bool {
    match (Frame::decode(ours).unwrap(), Frame::decode(recorded).unwrap()) {
        (Frame::Hello(ours), Frame::Hello(recorded)) => {
            let fits = ours.features.len() <= FEATURES_MAX && ours.features.iter().all(|it| it.len() <= NAME_BYTES_MAX);
            let same = (ours.version, ours.limits.frame_bytes_max, ours.limits.calls_max, ours.limits.bindings_max)
                == (VERSION, recorded.limits.frame_bytes_max, recorded.limits.calls_max, recorded.limits.bindings_max);
            fits && same && recorded.features.iter().all(|feature| ours.has(feature))
        }
        (Frame::Described(ours), Frame::Described(recorded)) => match (&ours.result, &recorded.result) {
            (Ok(said), Ok(known)) => ours.id == recorded.id && said.ledger == known.ledger,
            _ => ours == recorded,
        },
        _ => ours == recorded,
    }
}

/// Plays one conversation with this version at one end.
fn play(file: &Path, lines: &[Line], end: End) {
    let mut now = Instant::now();
    let mut here = match end {
        End::Opener => Connection::connect(now, PeerLimits::default()),
        End::Acceptor => Connection::accept(now, PeerLimits::default()),
    };
    let whole = |what: &str| format!("{} of {}: {what}", end.name(), file.display());
    let mut events: Vec<String> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if at > 0 && matches!(line, Line::Step(_) | Line::Wait(_)) {
            assert_eq!(here.poll_transmit(now), None, "{}", whole("it says more than it did"));
            assert_eq!(events, [""; 0], "{}", whole("it makes more of it than it did"));
        }
        match line {
            Line::Step(steps) => {
                for (_, what) in steps.iter().filter(|(who, _)| who == end.name()) {
                    steps::act(&mut here, now, what);
                }
            }
            Line::Wait(time) => {
                now += *time;
                here.handle_timeout(now).unwrap();
            }
            Line::Frame { by, bytes } if *by == end.mark() => {
                let ours = here.poll_transmit(now).unwrap_or_else(|| panic!("{}", whole("it says less than it did")));
                here.taken(1);
                assert!(reads_the_same(&ours, bytes), "{}", whole(&format!("\n{ours:02x?}\n{bytes:02x?}")));
            }
            Line::Frame { bytes, .. } => {
                let handled = here.handle_frame(now, bytes.clone());
                assert_eq!(handled, Ok(()), "{}", whole("it refuses what was said"));
            }
            Line::Event { at, what } if at == end.name() => {
                if what == "open" {
                    assert_eq!(here.closed_cause(), None, "{}", whole(what));
                    continue;
                }
                let event = if events.is_empty() { None } else { Some(events.remove(0)) };
                assert_eq!(event.as_ref(), Some(what), "{}", whole("another event"));
            }
            Line::Event { .. } => {}
        }
        events.extend(std::iter::from_fn(|| here.poll_event()).map(steps::say));
    }
    assert_eq!(here.poll_transmit(now), None, "{}", whole("it says more than it did"));
    assert_eq!(events, [""; 0], "{}", whole("it makes more of it than it did"));
}

#[test]
fn the_first_release_is_understood_and_understands_at_either_end() {
    let conversations = conversations();
    assert!(conversations.len() >= 10, "{}", conversations.len());
    for (file, lines) in &conversations {
        for end in [End::Opener, End::Acceptor] {
            play(file, lines, end);
        }
    }
}

/// A hello as a later minor version may say it: more keys, more features.
#[test]
fn a_hello_with_unknown_keys_and_features_opens_the_connection() {
    let now = Instant::now();
    let mut later = neopack::Encoder::new();
    later.variant(0).unwrap();
    later.map_begin(7).unwrap();
    let numbers =
        [("neorpc", VERSION), ("calls-max", 8), ("weight", 3), ("bindings-max", 8), ("frame-bytes-max", 1 << 20)];
    for (key, value) in numbers {
        later.str(key).unwrap();
        later.u32(value).unwrap();
    }
    for (key, names) in [("features", &["teleport", "ping"][..]), ("moods", &["calm"])] {
        later.str(key).unwrap();
        later.list_begin(names.len() as u32).unwrap();
        for name in names {
            later.str(name).unwrap();
        }
        later.list_end().unwrap();
    }
    later.map_end().unwrap();
    let mut here = Connection::accept(now, PeerLimits::default());
    here.handle_frame(now, later.finish().unwrap().into()).unwrap();
    let event = here.poll_event().map(steps::say);
    assert_eq!(event.as_deref(), Some("open, frames to 1048576, calls 8, bindings 8"));
    assert!(matches!(Frame::decode(&here.poll_transmit(now).unwrap()), Ok(Frame::Hello(_))));
}
