//! Applications of one's own: what the simulator says of those that are wrong.

use isorun_core::{CallFailed, Failure, FunctionIndex, Refusal, Reply};
use isorun_simulator::{Application, CallId, Counts, Host, HostId, Incoming, Options, Outgoing, simulate};

/// Calls the next host every 20 ms, and serves as it is told.
struct Ring {
    hosts: usize,
    serve: fn(&mut Host<'_>, &Incoming),
}

impl Application for Ring {
    fn start(&mut self, host: &mut Host<'_>) {
        host.wake_after(1_000, 0);
    }

    fn woken(&mut self, host: &mut Host<'_>, _: u64) {
        let call = Outgoing {
            to: HostId((host.id().0 + 1) % self.hosts),
            instance: "ring".to_owned(),
            function: FunctionIndex(0),
            time_us: 300_000,
            args: "round".into(),
            idempotent: false,
            within: None,
        };
        if host.call(call).is_some() {
            host.wake_after(20_000, 0);
        }
    }

    fn serve(&mut self, host: &mut Host<'_>, call: Incoming) {
        (self.serve)(host, &call);
    }

    fn returned(&mut self, _: &mut Host<'_>, _: CallId, _: Result<Reply, CallFailed>) {}
}

fn run(options: &Options, serve: fn(&mut Host<'_>, &Incoming)) -> Result<Counts, String> {
    let ran = simulate(3, options, &|setup| Box::new(Ring { hosts: setup.hosts, serve }));
    ran.map_err(|broken| broken.to_string())
}

fn check(serve: fn(&mut Host<'_>, &Incoming), expected: &str) {
    let text = run(&Options::default(), serve).unwrap_err();
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("seed 3: "), "{text}");
}

fn reply(host: &mut Host<'_>, call: &Incoming) {
    host.answer(call.id, Ok(Reply { results: call.args.clone(), fuel_used: 0 }));
}

#[test]
fn a_sound_application_runs_on_as_many_hosts_as_are_asked_for_and_two_at_least() {
    for hosts in [0, 2, 20] {
        let options = Options { hosts: Some(hosts), work_ms: Some(500), faults: false, ..Options::default() };
        let counts = run(&options, reply).unwrap();
        let made = hosts.max(2) as u64 * (500 / 20 - 3);
        assert!(counts.calls >= made, "{hosts} hosts: {counts}");
        assert_eq!((counts.unknown, counts.failed), (0, 0), "{hosts} hosts: {counts}");
    }
}

#[test]
fn an_application_that_never_answers_costs_its_callers_their_time_and_nothing_else() {
    let counts = run(&Options::default(), |_, _| {}).unwrap();
    assert_eq!(counts.returned, 0);
    assert!(counts.deadline > 0, "{counts}");
}

#[test]
fn an_application_that_refuses_what_it_began_is_found() {
    let late = |host: &mut Host<'_>, call: &Incoming| {
        host.begin(call.id);
        let refusal = Refusal::Busy { instance: call.instance.clone(), waited_ms: 0 };
        host.answer(call.id, Err(Failure::from(refusal).into()));
    };
    check(late, "the application refused call");
}

#[test]
fn an_application_that_panics_is_found_with_its_words() {
    check(|_, call| panic!("no {}", call.instance), "a panic: no ring");
}

#[test]
fn an_application_that_differs_under_one_seed_is_told_apart() {
    use std::sync::atomic::{AtomicBool, Ordering};
    static ONCE: AtomicBool = AtomicBool::new(true);
    let once = |host: &mut Host<'_>, call: &Incoming| {
        assert!(!ONCE.swap(false, Ordering::Relaxed), "the first time alone");
        reply(host, call);
    };
    check(once, "not the same for the same seed");
}
