//! The measured processes, as the conductor holds them.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use benches::Function;

use crate::args::SECONDS_MAX;
use crate::child::{Error, LISTENING, READY};
use crate::system::System;
use crate::{floor, wrpc};

/// How long an answer may take: more than the longest batch does, if it takes ten times as long as it was planned for.
const ANSWER_MAX: Duration = Duration::from_secs(10 * SECONDS_MAX as u64);
/// How long a process may take to end by itself, once its stdin has.
const END_MAX: Duration = Duration::from_secs(2);

/// Lines of a child that may wait to be read; then it waits too.
const LINES_MAX: usize = 64;

/// A child process that answers lines.
struct Child {
    name: &'static str,
    process: std::process::Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Child {
    fn start(name: &'static str, command: &mut Command) -> Result<Self, Error> {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (sender, lines) = sync_channel(LINES_MAX);
        let (stdin, stdout) = (process.stdin.take(), process.stdout.take());
        std::thread::spawn(move || {
            for line in stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines()).map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { name, process, stdin, lines })
    }

    fn tell(&mut self, command: &str) {
        if let Some(stdin) = &mut self.stdin {
            // To a process that has ended this fails, and so does waiting for its answer, which says it better.
            _ = writeln!(stdin, "{command}");
        }
    }

    /// What comes after `word` in the next line.
    fn answer(&mut self, word: &str) -> Result<String, Error> {
        let line = self.lines.recv_timeout(ANSWER_MAX).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("the {} says nothing for {ANSWER_MAX:?}", self.name),
            RecvTimeoutError::Disconnected => format!("the {} has ended", self.name),
        })?;
        let rest = line.strip_prefix(word).ok_or_else(|| format!("the {} says `{line}`, not `{word}`", self.name))?;
        Ok(rest.trim_start().to_owned())
    }

    fn usage(&mut self) -> Result<Usage, Error> {
        self.tell("usage");
        let answer = self.answer("usage")?;
        let (cpu_ns, peak_kib) = answer.split_once(' ').ok_or("a usage is two numbers")?;
        let number = |text: &str| if text == "-" { Ok(None) } else { text.parse().map(Some) };
        Ok(Usage { cpu_ns: number(cpu_ns)?, peak_kib: number(peak_kib)? })
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // The end of its stdin tells it to end; its stdout ends with it.
        self.stdin = None;
        while self.lines.recv_timeout(END_MAX).is_ok() {}
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// What a process has used so far, or several together; `None` where the system doesn't tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub cpu_ns: Option<u64>,
    pub peak_kib: Option<u64>,
}

/// Which of the callers call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    One,
    All,
}

/// The processes of one measurement: one that calls, and mostly one that serves.
pub struct Pair {
    // Ends first, so that the other doesn't lose its connections.
    caller: Child,
    callee: Option<Child>,
}

impl Pair {
    /// Starts them and waits until they are connected; `prepared` is where the guests are.
    pub fn start(system: System, case: Function, prepared: &Path) -> Result<Self, Error> {
        let mut callee = None;
        let mut address = String::new();
        if system.has_callee() {
            let mut child = Child::start("callee", &mut command(system, &["callee", system.name()], prepared)?)?;
            address = child.answer(LISTENING)?;
            callee = Some(child);
        }
        if system == System::FloorTcp {
            address = floor::with_sizes(&address, case)?;
        }
        let words = ["caller", system.name(), case.name(), &address];
        let mut caller = Child::start("caller", &mut command(system, &words, prepared)?)?;
        caller.answer(READY)?;
        Ok(Self { caller, callee })
    }

    /// Has each of the callers call so often, and gives the time until the last is done.
    pub fn run(&mut self, who: Who, calls: u32) -> Result<Duration, Error> {
        let word = match who {
            Who::One => "one",
            Who::All => "all",
        };
        self.caller.tell(&format!("{word} {calls}"));
        Ok(Duration::from_nanos(self.caller.answer("ran")?.parse()?))
    }

    /// What the caller has used, and what the callee has if there is one.
    pub fn usage(&mut self) -> Result<(Usage, Option<Usage>), Error> {
        let callee = self.callee.as_mut().map(Child::usage).transpose()?;
        Ok((self.caller.usage()?, callee))
    }

    /// The CPU time of both so far, in nanoseconds.
    pub fn cpu_ns(&mut self) -> Result<Option<u64>, Error> {
        let (caller, callee) = self.usage()?;
        let callee = callee.map_or(Some(0), |callee| callee.cpu_ns);
        Ok(caller.cpu_ns.zip(callee).map(|(caller, callee)| caller + callee))
    }
}

/// This very program, or wRPC's side.
fn command(system: System, words: &[&str], prepared: &Path) -> Result<Command, Error> {
    let program = if system.is_wrpc() { wrpc::program()? } else { std::env::current_exe()? };
    let mut command = Command::new(program);
    command.args(words);
    if !system.is_wrpc() {
        command.arg("--prepared").arg(prepared);
    }
    Ok(command)
}
