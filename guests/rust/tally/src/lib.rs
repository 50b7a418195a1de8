//! Keeps a count, and does as messages tell it. `guests/README.md` has the messages and their answers.

wit_bindgen::generate!({ path: "../../../wit/actor.wit", world: "component" });

mod errors;

use std::cell::RefCell;

use errors::{messaging, storage as kept};
use exports::isorun::actor::component_lifecycle::{
    CallbackMessage, ComponentMetadata, Config, Error, Guest, HealthReport, HealthStatus, Message, Payload,
};
use isorun::actor::types::Outcome;
use isorun::actor::{host_messaging, host_services, storage};

/// What it remembers between calls.
#[derive(Default)]
struct Tally {
    settings: Vec<(String, String)>,
    restarts: u32,
    sum: i64,
    /// The request that was made last.
    asked: String,
    /// The outcome that came last, and how many came.
    last: Option<String>,
    heard: u32,
}

impl Tally {
    fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn is_durable(&self) -> bool {
        self.setting("durable") == Some("true")
    }
}

thread_local! {
    static TALLY: RefCell<Tally> = RefCell::default();
}

struct Component;

impl Guest for Component {
    fn initialize(config: Config) -> Result<(), Error> {
        let mut tally = Tally { settings: config.settings, restarts: config.restarts, ..Tally::default() };
        if tally.is_durable() {
            let sum = storage::get(SUM).map_err(|e| Error::Failed(kept(e)))?;
            tally.sum = sum.map_or(Some(0), |sum| text(&sum).parse().ok()).ok_or_else(|| failed("no sum"))?;
        }
        let told = tally.setting("at-start").map(str::to_owned);
        TALLY.set(tally);
        obey(told)
    }

    fn handle_message(msg: Message) -> Result<Option<Payload>, Error> {
        TALLY.with_borrow_mut(|tally| answer(tally, msg))
    }

    fn handle_callback(msg: CallbackMessage) -> Result<(), Error> {
        let outcome = match msg.outcome {
            Outcome::Replied(payload) => format!("replied: {}", text(&payload.data)),
            Outcome::NoReply => "no-reply".to_owned(),
            Outcome::Refused(reason) => format!("refused: {reason}"),
            Outcome::Failed(error) => format!("failed: {}", messaging(error)),
        };
        TALLY.with_borrow_mut(|tally| {
            tally.heard += 1;
            tally.last = Some(format!("{} {} {outcome}", msg.correlation_id, msg.target));
        });
        Ok(())
    }

    fn metadata() -> ComponentMetadata {
        ComponentMetadata {
            name: "tally".to_owned(),
            version: "0.1.0".to_owned(),
            description: "keeps a count, and does as messages tell it".to_owned(),
            properties: vec![("language".to_owned(), "rust".to_owned())],
        }
    }

    fn health() -> HealthReport {
        if TALLY.with_borrow(|tally| tally.sum) < 0 {
            let reason = Some("the count is negative".to_owned());
            return HealthReport { status: HealthStatus::Degraded, reason };
        }
        HealthReport { status: HealthStatus::Healthy, reason: None }
    }

    fn shutdown() -> Result<(), Error> {
        obey(TALLY.with_borrow(|tally| tally.setting("at-shutdown").map(str::to_owned)))
    }
}

/// Where a durable count is stored.
const SUM: &str = "sum";

fn answer(tally: &mut Tally, msg: Message) -> Result<Option<Payload>, Error> {
    let (word, rest) = split(&msg.payload.data, b' ');
    if word == b"echo" {
        return Ok(Some(Payload { data: rest.to_vec(), content_type: msg.payload.content_type }));
    }
    let rest = std::str::from_utf8(rest).map_err(|_| rejected("not understood"))?;
    let (first, tail) = rest.split_once(' ').unwrap_or((rest, ""));
    let answer = match word {
        b"add" => add(tally, number(rest)?)?,
        b"get" => tally.sum.to_string(),
        b"quiet" => return Ok(None),
        b"fail" => return Err(failed("told to fail")),
        b"reject" => return Err(rejected("told to reject")),
        b"trap" => std::process::abort(),
        b"spin" => spin(),
        b"forward" => said(host_messaging::send(first, &payload(tail)).map(|()| "ok".to_owned())),
        b"ask" => ask(tally, first, tail)?,
        b"cancel" => host_messaging::cancel_request(&tally.asked).to_string(),
        b"last" => tally.last.clone().unwrap_or_else(|| "none".to_owned()),
        b"heard" => tally.heard.to_string(),
        b"broadcast" => {
            let targets: Vec<String> = first.split(',').map(str::to_owned).collect();
            let went = host_messaging::broadcast(&targets, &payload(tail));
            lines(went.into_iter().map(|went| said(went.map(|()| "ok".to_owned()))))
        }
        b"sleep" => {
            host_services::sleep_millis(unsigned(rest)?);
            "slept".to_owned()
        }
        b"log" => {
            let fields = [("sum".to_owned(), tally.sum.to_string()), ("sender".to_owned(), msg.sender)];
            host_services::log(host_services::Level::Info, rest, &fields);
            "logged".to_owned()
        }
        b"who" => lines([host_messaging::self_id()].into_iter().chain(host_services::list_components())),
        b"about" => host_services::get_component_metadata(rest)
            .map_or_else(|| "unknown".to_owned(), |about| format!("{} {}", about.name, about.version)),
        b"time" => format!("{} {}", host_services::current_time_millis(), host_services::current_time().seconds),
        b"store" => stored(storage::set(first, tail.as_bytes()).map(|()| "ok".to_owned())),
        b"load" => stored(storage::get(rest).map(|found| found.map_or("absent".to_owned(), |value| text(&value)))),
        b"forget" => stored(storage::delete(rest).map(|was| was.to_string())),
        b"has" => stored(storage::exists(rest).map(|is| is.to_string())),
        b"keys" => stored(storage::list_keys(rest).map(|keys| lines(keys.into_iter()))),
        b"usage" => {
            stored(storage::usage().map(|u| format!("{} {} {} {}", u.bytes, u.keys, u.quota_bytes, u.quota_keys)))
        }
        b"envelope" => {
            let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            format!("{} {} {}", msg.sender, or_none(msg.reply_to), or_none(msg.correlation_id))
        }
        b"setting" => tally.setting(rest).unwrap_or("absent").to_owned(),
        b"restarts" => tally.restarts.to_string(),
        _ => return Err(rejected("not understood")),
    };
    Ok(Some(payload(&answer)))
}

/// Adds, and stores the sum before it counts, where it is to last.
fn add(tally: &mut Tally, n: i64) -> Result<String, Error> {
    let sum = tally.sum + n;
    if tally.is_durable() {
        storage::set(SUM, sum.to_string().as_bytes()).map_err(|e| Error::Rejected(kept(e)))?;
    }
    tally.sum = sum;
    Ok(sum.to_string())
}

fn ask(tally: &mut Tally, target: &str, text: &str) -> Result<String, Error> {
    let timeout_ms = unsigned(tally.setting("timeout-ms").unwrap_or("5000"))?;
    match host_messaging::request(target, &payload(text), timeout_ms) {
        Ok(id) => {
            tally.asked.clone_from(&id);
            Ok(id)
        }
        Err(error) => Ok(messaging(error)),
    }
}

/// What `at-start` and `at-shutdown` may say.
fn obey(told: Option<String>) -> Result<(), Error> {
    match told.as_deref() {
        Some("fail") => Err(failed("told to fail")),
        Some("reject") => Err(rejected("told to reject")),
        Some("trap") => std::process::abort(),
        Some("spin") => spin(),
        _ => Ok(()),
    }
}

fn spin() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

fn split(bytes: &[u8], at: u8) -> (&[u8], &[u8]) {
    match bytes.iter().position(|&byte| byte == at) {
        Some(place) => (&bytes[..place], &bytes[place + 1..]),
        None => (bytes, &[]),
    }
}

/// Up to nine digits, and a sign.
fn number(text: &str) -> Result<i64, Error> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let all = (1..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if all { text.parse().map_err(|_| rejected("no number")) } else { Err(rejected("no number")) }
}

fn unsigned(text: &str) -> Result<u64, Error> {
    u64::try_from(number(text)?).map_err(|_| rejected("no number"))
}

fn rejected(reason: &str) -> Error {
    Error::Rejected(reason.to_owned())
}

fn failed(reason: &str) -> Error {
    Error::Failed(reason.to_owned())
}

fn payload(text: &str) -> Payload {
    Payload { data: text.as_bytes().to_vec(), content_type: None }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn lines(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join("\n")
}

fn said(went: Result<String, host_messaging::MessagingError>) -> String {
    went.unwrap_or_else(messaging)
}

fn stored(outcome: Result<String, storage::StorageError>) -> String {
    outcome.unwrap_or_else(kept)
}

export!(Component);
