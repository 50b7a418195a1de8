//! The real binary, run within bounds: no child outlives its test, and no test waits for ever.
#![allow(dead_code)] // Each test program uses a part of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long anything may take here; a loaded machine with an unoptimised build needs seconds.
const LIMIT: Duration = Duration::from_secs(120);

/// Lines that a child may write without being read: more than any test makes it write.
const LINES_MAX: usize = 10_000;

/// A prebuilt guest.
pub fn prebuilt(name: &str) -> String {
    format!("{}/../../guests/prebuilt/{name}.wasm", env!("CARGO_MANIFEST_DIR"))
}

/// A folder that goes with the test, for guests compiled from text and files of theirs.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A file in it.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A guest from `guests/wat`, or one of the command's own tests.
    pub fn wat(&self, name: &str) -> String {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let places = [here.join("tests/wat"), here.join("../../guests/wat")];
        let text = places.iter().map(|place| place.join(format!("{name}.wat"))).find(|file| file.exists()).unwrap();
        self.file(&format!("{name}.wasm"), wat::parse_file(text).unwrap())
    }
}

/// How the command ended.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Done {
    /// Checks all that can be seen of an end: code, standard output, and words on standard error.
    #[track_caller]
    pub fn check(&self, code: i32, out: &str, err: &[&str]) {
        assert_eq!((self.code, self.out.as_str()), (Some(code), out), "{self:?}");
        assert!(!err.is_empty() || self.err.is_empty(), "{self:?}");
        for words in err {
            assert!(self.err.contains(words), "`{words}` is missing in:\n{}", self.err);
        }
    }

    /// Checks an end whose standard output is long.
    #[track_caller]
    pub fn check_starts(&self, code: i32, out: &str) {
        assert!(self.code == Some(code) && self.out.starts_with(out) && self.err.is_empty(), "{self:?}");
    }
}

/// A child process that is killed when this is dropped.
pub struct Running {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Running {
    pub fn start<S: AsRef<str>>(args: &[S]) -> Self {
        Self::start_with(args, |_| {})
    }

    pub fn start_with<S: AsRef<str>>(args: &[S], change: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_isorun"));
        command.args(args.iter().map(AsRef::as_ref));
        plain(&mut command);
        change(&mut command);
        Self::spawn(&mut command)
    }

    /// Any program, that runs isorun in the end.
    pub fn of(command: &mut Command) -> Self {
        plain(command);
        Self::spawn(command)
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (out, err) = (lines(child.stdout.take()), lines(child.stderr.take()));
        Self { child, out, err }
    }

    /// The next line of standard output.
    pub fn out_line(&self) -> String {
        self.out.recv_timeout(LIMIT).unwrap().trim_end().to_owned()
    }

    /// The next line of standard error with these words.
    pub fn err_line(&self, words: &str) -> String {
        let until = Instant::now() + LIMIT;
        loop {
            let line = self.err.recv_timeout(until.saturating_duration_since(Instant::now())).unwrap();
            if line.contains(words) {
                return line;
            }
        }
    }

    /// The address that `serve` says it listens at.
    pub fn address(&self) -> String {
        let line = self.out_line();
        line.strip_prefix("listening ").unwrap_or_else(|| panic!("{line}")).to_owned()
    }

    #[cfg(unix)]
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end, and for that of all who write where it writes.
    pub fn end(mut self) -> Done {
        let until = Instant::now() + LIMIT;
        let (out, err) = (rest(&self.out, until), rest(&self.err, until));
        Done { code: self.child.wait().unwrap().code(), out, err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Nothing of the surroundings.
fn plain(command: &mut Command) {
    // Compiled code of all tests, and none of whoever runs them.
    command.env("XDG_CACHE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"));
    command.env_remove("ISORUN_CERT").env_remove("ISORUN_KEY").env_remove("ISORUN_CA");
    command.env_remove("ISORUN_LOG").env_remove("NO_COLOR").env_remove("COLUMNS").env_remove("LINES");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
}

/// Runs the command to its end.
pub fn isorun<S: AsRef<str>>(args: &[S]) -> Done {
    Running::start(args).end()
}

/// How a command ended that was given bytes.
#[derive(Debug)]
pub struct Fed {
    pub code: Option<i32>,
    pub out: Vec<u8>,
    pub err: String,
}

impl Fed {
    /// Checks all that can be seen of an end: code, standard output, and words on standard error.
    #[track_caller]
    pub fn check(&self, code: i32, out: &[u8], err: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.err);
        assert!(self.out == out, "{} bytes that are not the {} expected; {}", self.out.len(), out.len(), self.err);
        assert!(!err.is_empty() || self.err.is_empty(), "{}", self.err);
        for words in err {
            assert!(self.err.contains(words), "`{words}` is missing in:\n{}", self.err);
        }
    }
}

/// Runs the command to its end with that on its standard input.
pub fn fed<S: AsRef<str>>(args: &[S], input: impl Into<Vec<u8>>) -> Fed {
    let input = input.into();
    let mut piped = Piped::start(args);
    let mut stdin = piped.stdin.take().unwrap();
    let mut stdout = piped.stdout.take().unwrap();
    // It need not take all of it.
    std::thread::spawn(move || stdin.write_all(&input));
    let out = std::thread::spawn(move || {
        let mut out = Vec::new();
        stdout.read_to_end(&mut out).map(|_| out)
    });
    let (code, err) = piped.end();
    Fed { code, out: within(move || out.join().unwrap().unwrap()), err }
}

/// The command with pipes that the test writes and reads itself; killed when this is dropped.
pub struct Piped {
    child: Child,
    pub stdin: Option<ChildStdin>,
    pub stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
}

impl Piped {
    pub fn start<S: AsRef<str>>(args: &[S]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_isorun"));
        plain(command.args(args.iter().map(AsRef::as_ref)));
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        Self { child, stdin, stdout, stderr }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end; its code, and what it wrote to standard error.
    pub fn end(mut self) -> (Option<i32>, String) {
        drop((self.stdin.take(), self.stdout.take()));
        let mut stderr = self.stderr.take().unwrap();
        let err = within(move || {
            let mut err = String::new();
            stderr.read_to_string(&mut err).unwrap();
            err
        });
        (self.child.wait().unwrap().code(), err)
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Does what may wait for a child, and fails where that takes for ever.
pub fn within<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = sync_channel(1);
    std::thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(LIMIT).unwrap()
}

fn lines(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = sync_channel(LINES_MAX);
    if let Some(pipe) = pipe {
        std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = String::new();
            while pipe.read_line(&mut line).is_ok_and(|n| n > 0) && sender.send(std::mem::take(&mut line)).is_ok() {}
        });
    }
    receiver
}

fn rest(lines: &Receiver<String>, until: Instant) -> String {
    let mut text = String::new();
    loop {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => text += &line,
            Err(RecvTimeoutError::Disconnected) => return text,
            Err(RecvTimeoutError::Timeout) => panic!("not at its end within {LIMIT:?}; so far: {text}"),
        }
    }
}
