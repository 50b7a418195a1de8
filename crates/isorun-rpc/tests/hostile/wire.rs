//! A raw socket that says what no isorun would.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use isorun_core::{BindRequest, FunctionIndex, Trace};
use neorpc::{BindFrame, BindingId, CallFrame, Companions, Frame, Hello, PeerLimits, RequestId};

/// How long the raw socket waits for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// One connection of a peer that means harm.
pub struct Raw(TcpStream);

impl Raw {
    /// Connects, and says nothing.
    pub fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    /// Connects as a peer would, and has the functions of the house bound as binding 0 by request 1.
    pub fn greeted(address: &str) -> Self {
        let mut raw = Self::connect(address);
        assert!(raw.say(&greeting()), "the greeting of a peer");
        let hello = raw.hear().expect("a hello");
        assert!(matches!(Frame::decode(&hello), Ok(Frame::Hello(_))));
        let bound = raw.hear().expect("an answer to the bind");
        assert!(matches!(Frame::decode(&bound), Ok(Frame::Bound(bound)) if bound.result.is_ok()));
        raw
    }

    /// Writes bytes; whether the other end still takes them.
    pub fn say(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// The next frame; `None` once the other end has closed.
    pub fn hear(&mut self) -> Option<Bytes> {
        let mut header = [0; 4];
        self.0.read_exact(&mut header).ok()?;
        let mut frame = vec![0; u32::from_le_bytes(header) as usize];
        self.0.read_exact(&mut frame).ok()?;
        Some(frame.into())
    }

    /// Reads and drops all that comes, on a thread of its own, which ends with the connection.
    pub fn drain(&self) -> JoinHandle<u64> {
        let mut stream = self.0.try_clone().unwrap();
        std::thread::spawn(move || {
            let (mut dropped, mut buffer) = (0, vec![0; 64 << 10]);
            while let Ok(read @ 1..) = stream.read(&mut buffer) {
                dropped += read as u64;
            }
            dropped
        })
    }

    /// Says that nothing more comes.
    pub fn finish(&self) {
        let _ = self.0.shutdown(Shutdown::Write);
    }

    /// Reads until the other end closes; whether it did so in time.
    pub fn is_closed_by_the_other_end(&mut self) -> bool {
        let mut buffer = vec![0; 64 << 10];
        loop {
            match self.0.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    }
}

/// A frame as TCP carries it.
pub fn framed(frame: &Frame) -> Vec<u8> {
    prefixed(&frame.encode().unwrap())
}

/// Any bytes, with their length before them.
pub fn prefixed(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_le_bytes(), bytes].concat()
}

/// What a peer says first: hello, and a bind of all functions.
pub fn greeting() -> Vec<u8> {
    [framed(&hello()), framed(&bind(1, "house"))].concat()
}

pub fn hello() -> Frame {
    Frame::Hello(Hello::new(PeerLimits::default()))
}

pub fn bind(id: u64, instance: &str) -> Frame {
    let functions = super::house::NAMES.iter().map(|name| ((*name).to_owned(), [1; 32])).collect();
    let want = BindRequest { interface: Some("demo:house/rooms@0.1.0".to_owned()), functions };
    Frame::Bind(BindFrame { id: RequestId(id), instance: instance.to_owned(), want })
}

pub fn call(id: u64, function: FunctionIndex, args: impl Into<Bytes>) -> Frame {
    let with = Companions { deadline_ms: 60_000, fuel: None, chain: Arc::new([]), trace: Trace::default() };
    Frame::Call(CallFrame { id: RequestId(id), binding: BindingId(0), function, with, args: args.into() })
}
