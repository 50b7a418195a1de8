//! The probes, each with a net or a disk of its own.

use std::time::{Duration, Instant};

use super::net::{FAR, Net, said};
use super::{Done, Running, Tools, Verdict, ms};
use crate::Outcome;

/// Calls of a probe that makes many.
const CALLS: u64 = 40;

/// The least rounds of the guest's loop that outlast what a probe does meanwhile.
const LONG: &str = "slow-add(1, 1000000000)";

/// A counter at the far end, and an app at the near end that is linked to it and served there.
struct Linked<'a> {
    tools: &'a Tools,
    net: Net,
    counter: Option<Running>,
    _app: Running,
}

impl<'a> Linked<'a> {
    /// `None` with the reason where the system has no namespaces for us.
    fn start(tools: &'a Tools) -> Outcome<Result<Self, String>> {
        let net = match Net::lay() {
            Ok(net) => net,
            Err(reason) => return Ok(Err(reason)),
        };
        let counter = counter(tools, &net)?;
        let link = format!("*=tcp://{FAR}:7000/counter");
        let args = [
            "serve",
            &tools.app,
            "--as",
            "app",
            "--listen",
            "tcp://127.0.0.1:7001",
            "--link",
            &link,
            "--timeout",
            "8s",
        ];
        let app = Running::serving(&mut tools.isorun(Some(&net.near), &args))?;
        Ok(Ok(Self { tools, net, counter: Some(counter), _app: app }))
    }

    /// Starts a call through the app, from the near end.
    fn call(&self, call: &str) -> Outcome<Running> {
        let args = ["call", "tcp://127.0.0.1:7001/app", call, "--timeout", "20s"];
        Running::start(&mut self.tools.isorun(Some(&self.net.near), &args))
    }

    fn called(&self, call: &str) -> Outcome<Done> {
        self.call(call)?.end()
    }

    /// What the counter itself has counted, asked at its own end.
    fn total(&self) -> Outcome<u64> {
        let args = ["call", &format!("tcp://{FAR}:7000/counter"), "test:counter/counter#get()"];
        let done = Running::start(&mut self.tools.isorun(Some(&self.net.far), &args))?.end()?;
        done.out.parse().map_err(|_| format!("{done:?}"))
    }
}

fn counter(tools: &Tools, net: &Net) -> Outcome<Running> {
    let listen = format!("tcp://{FAR}:7000");
    let args = ["serve", &tools.counter, "--as", "counter", "--listen", &listen, "--insecure"];
    Running::serving(&mut tools.isorun(Some(&net.far), &args))
}

macro_rules! linked {
    ($tools:ident) => {
        match Linked::start($tools)? {
            Ok(linked) => linked,
            Err(reason) => return Ok(Verdict::Skipped(reason)),
        }
    };
}

pub fn partition(tools: &Tools) -> Outcome<Verdict> {
    let linked = linked!(tools);
    expect(&linked.called("add(1)")?, "1")?;
    let call = linked.call(LONG)?;
    // Time for it to arrive; where it has not, it must say that it was not sent.
    std::thread::sleep(Duration::from_millis(300));
    linked.net.parted(true)?;
    let cut = Instant::now();
    let during = call.end()?;
    let ended = cut.elapsed();
    if during.code == Some(0) {
        return Err(format!("it was answered over a cut net: {during:?}"));
    }
    linked.net.parted(false)?;
    let healed = Instant::now();
    let (again, tries) = until_answered(&linked)?;
    let back = healed.elapsed();
    let total = linked.total()?;
    // The cut call ran once or did not; so did those that failed before the link was back.
    if !(2..=3 + tries).contains(&total) {
        return Err(format!("counted {total} after {tries} failed calls; {again:?}"));
    }
    let words = during.err.lines().next().unwrap_or_default().to_owned();
    Ok(Verdict::Held(format!(
        "the call ended {} after the cut ({words}); the link worked {} after the net did",
        ms(ended),
        ms(back)
    )))
}

/// Calls until one is answered; how many were not.
fn until_answered(linked: &Linked<'_>) -> Outcome<(Done, u64)> {
    let mut failed = 0;
    loop {
        let done = linked.called("add(1)")?;
        if done.code == Some(0) {
            return Ok((done, failed));
        }
        failed += 1;
        if failed > 10 {
            return Err(format!("the link does not come back: {done:?}"));
        }
    }
}

pub fn loss(tools: &Tools) -> Outcome<Verdict> {
    many(tools, &["loss", "5%"], Duration::from_secs(8))
}

pub fn delay(tools: &Tools) -> Outcome<Verdict> {
    // 200 ms each way: 400 for the round trip of a call over a link that is open; the rest is for the processes.
    many(tools, &["delay", "200ms"], Duration::from_secs(8))
}

fn many(tools: &Tools, what: &[&str], most: Duration) -> Outcome<Verdict> {
    let linked = linked!(tools);
    expect(&linked.called("add(1)")?, "1")?;
    if let Err(reason) = linked.net.netem("add", what) {
        return Ok(Verdict::Skipped(reason));
    }
    let mut took = Vec::new();
    for total in 2..2 + CALLS {
        let started = Instant::now();
        expect(&linked.called("add(1)")?, &total.to_string())?;
        took.push(started.elapsed());
    }
    linked.net.netem("del", &[])?;
    took.sort_unstable();
    let (median, longest) = (took[took.len() / 2], took[took.len() - 1]);
    if longest > most {
        return Err(format!("a call took {}", ms(longest)));
    }
    let total = linked.total()?;
    if total != 1 + CALLS {
        return Err(format!("{} calls were answered, and {total} ran", 1 + CALLS));
    }
    Ok(Verdict::Held(format!(
        "{CALLS} of {CALLS} answered, each ran once; {} in the middle, {} at most, the process of `isorun call` included",
        ms(median),
        ms(longest)
    )))
}

pub fn killed(tools: &Tools) -> Outcome<Verdict> {
    let mut linked = linked!(tools);
    expect(&linked.called("add(1)")?, "1")?;
    let calls = (0..8).map(|_| linked.call(LONG)).collect::<Outcome<Vec<_>>>()?;
    std::thread::sleep(Duration::from_millis(300));
    linked.counter.take().ok_or("killed already")?.kill()?;
    let killed = Instant::now();
    let mut outcomes = std::collections::BTreeMap::new();
    for call in calls {
        let done = call.end()?;
        let told = ["may have run", "not sent", "refused", "deadline"];
        let Some(outcome) = told.into_iter().find(|words| done.err.contains(words)) else {
            return Err(format!("no outcome: {done:?}"));
        };
        *outcomes.entry(outcome).or_insert(0) += 1;
    }
    let all = killed.elapsed();
    linked.counter = Some(counter(tools, &linked.net)?);
    let back = Instant::now();
    until_answered(&linked)?;
    Ok(Verdict::Held(format!(
        "eight calls ended within {} ({outcomes:?}); the link worked {} after the peer was back",
        ms(all),
        ms(back.elapsed())
    )))
}

pub fn full_disk(tools: &Tools) -> Outcome<Verdict> {
    let disk = tools.folder.join("disk");
    std::fs::create_dir_all(&disk).map_err(|e| e.to_string())?;
    let place = disk.display().to_string();
    if let Err(reason) = said("mount", &["-t", "tmpfs", "-o", "size=16k,mode=700", "tmpfs", &place]) {
        return Ok(Verdict::Skipped(reason));
    }
    let outcome = on_full_disk(tools, &place);
    said("umount", &[&place])?;
    outcome
}

fn on_full_disk(tools: &Tools, place: &str) -> Outcome<Verdict> {
    let cache = format!("{place}/compiled");
    let compiled =
        Running::start(&mut tools.isorun(None, &["compile", &tools.counter, "--cache-dir", &cache]))?.end()?;
    if compiled.code != Some(1) || compiled.err.is_empty() || compiled.err.contains("panicked") {
        return Err(format!("`compile` on a full disk: {compiled:?}"));
    }
    let args = ["serve", &tools.counter, "--as", "counter", "--listen", "tcp://127.0.0.1:0", "--cache-dir", &cache];
    drop(Running::serving(&mut tools.isorun(None, &args))?);
    // With room again, what stands there must not be taken for whole.
    said("mount", &["-o", "remount,size=64m", place])?;
    let compiled_now =
        Running::start(&mut tools.isorun(None, &["compile", &tools.counter, "--cache-dir", &cache]))?.end()?;
    if compiled_now.code != Some(0) {
        return Err(format!("`compile` once there is room: {compiled_now:?}"));
    }
    let words = compiled.err.lines().find(|line| line.starts_with("error")).unwrap_or_default();
    Ok(Verdict::Held(format!("`serve` went on without; `compile` said \"{words}\", and worked once there was room")))
}

fn expect(done: &Done, out: &str) -> Outcome {
    if done.code == Some(0) && done.out == out { Ok(()) } else { Err(format!("{out} expected: {done:?}")) }
}
