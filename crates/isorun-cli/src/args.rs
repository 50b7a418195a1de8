//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use isorun::issue::{CA_DAYS_DEFAULT, DAYS_MAX, NODE_DAYS_DEFAULT};
use isorun::nodes::{INPUT_BYTES_MAX, NodeOptions};
use isorun::{
    ATTEMPTS_MAX, Access, Audience, Balance, Budget, Capability, ComponentId, Mount, NodeName, OnFailure, Serving,
    WasiFeature,
};

use crate::address::{Address, PeerPlace};
use crate::keys::KeyArgs;
use crate::monitor::MonitorAddress;
use crate::nats::NatsPlace;
use crate::node::NodeArg;
use crate::place::{FORMS, Place, several};
use crate::{help, units};

/// Runs WebAssembly components and decides, outside the guest, where the code behind each import lives.
///
/// The same component runs with an import satisfied by this process's own code, by another component, or by a
/// component in another process: only `--link` changes. Nothing is linked, shown or served that was not named.
#[derive(Debug, Parser)]
#[command(name = "isorun", version, max_term_width = 110, after_help = help::ISORUN, subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Options of all commands")]
pub struct GlobalArgs {
    /// Goes to a folder first, as if isorun had been started there
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub dir: Option<PathBuf>,

    /// How results and errors are written
    #[arg(short, long, value_enum, value_name = "FORM", default_value_t = Output::Text, global = true)]
    pub output: Output,

    /// What is logged to standard error; goes before ISORUN_LOG
    #[arg(long, value_name = "LEVEL", value_parser = ["off", "error", "warn", "info", "debug", "trace"], global = true)]
    pub log_level: Option<String>,

    /// Compiles each component anew, and keeps nothing of it
    #[arg(long, global = true, conflicts_with = "cache_dir")]
    pub no_cache: bool,

    /// Where compiled code is kept [default: ~/.cache/isorun/compiled]
    #[arg(long, value_name = "DIR", global = true)]
    pub cache_dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Values as WAVE, errors as sentences
    Text,
    /// One line of JSON
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Run(RunArgs),
    Serve(ServeArgs),
    Call(CallArgs),
    Pipe(PipeArgs),
    Inspect(InspectArgs),
    Check(CheckArgs),
    Compile(CompileArgs),
    Cert(CertArgs),
    Up(UpArgs),
    Ps(PsArgs),
    Logs(LogsArgs),
    Send(SendArgs),
    Ask(AskArgs),
    /// Runs one component with its key-value store in three places, and compares them
    #[command(after_help = help::DEMO)]
    Demo,
    Completion(CompletionArgs),
}

impl Command {
    /// The certificate that peers are shown, for commands that speak to some.
    pub fn keys(&self) -> Option<&KeyArgs> {
        match self {
            Self::Run(args) => Some(&args.keys),
            Self::Serve(args) => Some(&args.keys),
            Self::Call(args) => Some(&args.keys),
            Self::Inspect(args) => Some(&args.keys),
            Self::Check(args) => Some(&args.keys),
            Self::Up(args) => Some(&args.keys),
            Self::Ps(args) => Some(&args.keys),
            Self::Logs(args) => Some(&args.keys),
            Self::Send(args) => Some(&args.message.keys),
            Self::Ask(args) => Some(&args.message.keys),
            Self::Pipe(_) | Self::Compile(_) | Self::Cert(_) | Self::Demo | Self::Completion(_) => None,
        }
    }
}

/// Runs a component: its command, or one call of a function it exports
///
/// The command is `wasi:cli/run`, with standard input and output; `--invoke` calls another function. Results are
/// printed to standard output as WAVE, one line, and all else to standard error.
#[derive(Debug, Args)]
#[command(after_help = help::RUN)]
pub struct RunArgs {
    /// The component
    #[arg(value_name = "APP.wasm")]
    pub component: PathBuf,

    /// What to call, with its arguments as WAVE: `run(40)`, `get("a")`, `demo:kv/store#get("a")`
    #[arg(long, value_name = "CALL")]
    pub invoke: Option<String>,

    #[command(flatten)]
    pub links: Links,
    #[command(flatten)]
    pub grants: GrantArgs,
    #[command(flatten)]
    pub budget: BudgetArgs,
    #[command(flatten)]
    pub keys: KeyArgs,

    /// The guest's own arguments, after `--`
    #[arg(last = true, value_name = "ARGS", help_heading = "Arguments")]
    pub args: Vec<String>,
}

/// Serves a component to other processes
///
/// They link to it with `--link IFACE=PLACE`, where PLACE is `tcp://HOST:PORT/NAME`, `tls://HOST:PORT/NAME`,
/// `quic://HOST:PORT/NAME`, `unix:///PATH#NAME` or `nats://HOST/NAME`. At a tls:// or quic:// address both ends show a
/// certificate, and --allow says who may call what. Its own links are made before it listens, so what they go to is served
/// first; where two need each other, a program of one's own can make its links lazy.
///
/// Prints `listening URL` to standard output once it accepts, and with --metrics `metrics URL`, and serves until SIGINT,
/// SIGTERM or SIGHUP (unless it was ignored, as by nohup). Then it takes nothing new, finishes the calls that run, and ends with 0; with 1 if --drain was not enough for them. A second signal ends it
/// at once.
#[derive(Debug, Args)]
#[command(after_help = help::SERVE)]
pub struct ServeArgs {
    /// The component
    #[arg(value_name = "PROVIDER.wasm")]
    pub component: PathBuf,

    /// Where to accept connections: tcp://, tls:// or quic:// and HOST:PORT, whose port 0 takes a free one, unix:///PATH, or
    /// nats://HOST, where those who serve the same name share its callers
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Address,

    /// The instance's name for those who link to it [default: the file's, without .wasm]
    #[arg(long = "as", value_name = "NAME")]
    pub name: Option<String>,

    /// Whether callers share one instance and its state (singleton), or N of them (pool=N), or each call has a fresh
    /// one (per-call)
    #[arg(long, value_name = "POLICY", default_value = "singleton", value_parser = policy)]
    pub policy: Serving,

    /// Accept connections from other machines at a tcp:// address too, without encryption or authentication
    #[arg(long)]
    pub insecure: bool,

    /// Who may call what, by the name in its certificate; once for each [default: anyone who connects, anything]
    #[arg(long, value_name = "NAME[=WHAT]", long_help = help::ALLOW)]
    pub allow: Vec<AllowArg>,

    /// Where to answer HTTP requests for /metrics, as Prometheus reads them, /healthz and /readyz: IP:PORT, whose port 0
    /// takes a free one
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<MonitorAddress>,

    /// How long calls that run may take to finish once a signal came, like 500ms or 1m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = units::milliseconds)]
    pub drain: u64,

    #[command(flatten)]
    pub links: Links,
    #[command(flatten)]
    pub grants: GrantArgs,
    #[command(flatten)]
    pub budget: BudgetArgs,
    #[command(flatten)]
    pub keys: KeyArgs,
}

/// Calls a function of an instance that is served, without any component
///
/// The peer says itself which functions there are and what they take. The result is printed to standard output as WAVE,
/// one line.
#[derive(Debug, Args)]
#[command(after_help = help::CALL)]
pub struct CallArgs {
    /// The instance: tcp://HOST:PORT/NAME, the same with tls:// or quic://, unix:///PATH#NAME or nats://HOST/NAME
    #[arg(value_name = "PLACE")]
    pub place: PeerPlace,

    /// What to call, with its arguments as WAVE: `run(40)`, `demo:kv/store#get("a")`
    #[arg(value_name = "CALL")]
    pub call: String,

    /// Time for all of it, asking included, like 500ms or 5s [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = units::milliseconds)]
    pub timeout: Option<u64>,

    #[command(flatten)]
    pub keys: KeyArgs,
}

/// Streams standard input through components that turn bytes into bytes
///
/// A node is a component that exports `process: func(input: list<u8>) -> result<list<u8>, string>`, or has one of
/// two other shapes, of offsets and of pointers; --explain says which was found. Several nodes are a chain: each takes what
/// the one before it gave, and all of them work at once.
///
/// A node takes its input whole. Unless said otherwise that is all of standard input, up to 20 MiB less 64 bytes, in one call;
/// what is longer, or should come out before its end, is cut by --chunk, --lines or --frames, and each piece is one call of each
/// node. Pieces stay in order. What came before a piece that fails has been written; nothing of it or after it is.
#[derive(Debug, Args)]
#[command(after_help = help::PIPE)]
pub struct PipeArgs {
    /// The nodes, in the order in which the bytes go through them
    #[arg(value_name = "NODE.wasm", required = true)]
    pub nodes: Vec<PathBuf>,

    /// The function to call, like `encode` or `demo:rle/codec#encode`; once for all nodes, or once for each [default:
    /// process]
    #[arg(long, value_name = "NAME")]
    pub function: Vec<String>,

    /// Wraps a node that is a core module as a component, if it exports what a node does
    ///
    /// Its world is the one it names itself, as bindings generators have it do, or the one of isorun:processing whose functions
    /// it exports. A component stays as it is.
    #[arg(long)]
    pub componentize: bool,

    /// Gives each piece fresh instances of the nodes, so that none remembers what it saw before
    #[arg(long)]
    pub fresh: bool,

    /// Says on standard error how each node is called, and why so
    #[arg(long)]
    pub explain: bool,

    /// Writes to a terminal even what is no text
    ///
    /// Unless this is given, a terminal gets text alone: anything else may change how it works from then on.
    #[arg(long)]
    pub force: bool,

    #[command(flatten)]
    pub cut: CutArgs,
    #[command(flatten)]
    pub grants: GrantArgs,
    #[command(flatten)]
    pub budget: NodeBudgetArgs,
}

/// How standard input is cut.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pieces")]
#[group(multiple = false)]
pub struct CutArgs {
    /// Cuts standard input every SIZE bytes, up to 20 MiB less 64 bytes, like 1MiB; what the pieces become is written in one
    ///
    /// For nodes to which it makes no difference where their input is cut, and for formats whose parts can stand one
    /// after the other, as run-length encoding's or gzip's.
    #[arg(long, value_name = "SIZE", value_parser = chunk)]
    pub chunk: Option<usize>,

    /// Cuts standard input into lines
    ///
    /// A node gets each without its newline, which is written again behind what becomes of it.
    #[arg(long)]
    pub lines: bool,

    /// Standard input and output are frames: a length of 4 bytes, little-endian, and so many bytes
    #[arg(long)]
    pub frames: bool,
}

/// How a stream is cut into what nodes take whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    Whole,
    Chunks(usize),
    Lines,
    Frames,
}

impl CutArgs {
    pub fn cut(&self) -> Cut {
        match self.chunk {
            Some(bytes) => Cut::Chunks(bytes),
            None if self.lines => Cut::Lines,
            None if self.frames => Cut::Frames,
            None => Cut::Whole,
        }
    }
}

fn chunk(text: &str) -> Result<usize, String> {
    let bytes = usize::try_from(units::bytes(text)?).ok().filter(|bytes| (1..=INPUT_BYTES_MAX).contains(bytes));
    bytes.ok_or_else(|| {
        format!("a piece has 1 byte to {INPUT_SIZE_MAX} ({INPUT_BYTES_MAX} bytes), which `{text}` is not; write one like 1MiB")
    })
}

/// What a node takes at most, in words: what travels in one call, less what it travels in.
pub const INPUT_SIZE_MAX: &str = "20 MiB less 64 bytes";

// The words are right.
const _: () = assert!(INPUT_BYTES_MAX == (20 << 20) - 64);

/// Shows what a component imports and exports, or what an instance or a host offers
///
/// As WIT; with `-o json`: {"ok": {"imports": [..], "exports": [..], "wit": TEXT}}, where each import and export has its
/// name (null at the root), functions (name, params, result, async; types as WIT), resources, and the names of its types.
/// Of a host: its instances, each with how it serves, how many stores it has had (GENERATION), and the calls in flight. Of
/// a NATS server: who serves what there, with the connections asked for (REQUESTS), refused (ERRORS) and open (CHANNELS).
///
/// Nothing is compiled or run.
#[derive(Debug, Args)]
#[command(after_help = help::INSPECT)]
pub struct InspectArgs {
    /// A component's file, an instance (tcp://HOST:PORT/NAME, the same with tls:// or quic://, unix:///PATH#NAME,
    /// nats://HOST/NAME), a host or a NATS server (the same without a NAME)
    #[arg(value_name = "FILE|PLACE")]
    pub target: Target,

    /// Shows how each function's values are translated: by which codec, in how many core values, with which copies
    #[arg(long)]
    pub plan: bool,

    /// How long a peer may take to answer, like 500ms or 5s [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = units::milliseconds)]
    pub timeout: Option<u64>,

    #[command(flatten)]
    pub keys: KeyArgs,
}

/// What `inspect` looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    File(PathBuf),
    Peer(PeerPlace),
    /// A whole host, by the instance in which it speaks of itself.
    Host(PeerPlace),
    /// A NATS server, by who serves what there.
    Server(NatsPlace),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains("://") {
            return Ok(Self::File(text.into()));
        }
        let places = several(text).len();
        if places > 1 {
            return Err(format!("one place is looked at, and these are {places}: several are for a --link"));
        }
        if let Some(host) = PeerPlace::of_host(text) {
            return host.map(Self::Host);
        }
        match NatsPlace::of_server(text) {
            Some(server) => server.map(Self::Server),
            None => text.parse().map(Self::Peer),
        }
    }
}

/// Links a component and says all that does not hold; runs nothing
///
/// Links as `run` would, but starts neither the component nor one of a `local:` place. Prints each import and where it
/// goes, and what is made one component with it; or with `-o json` {"ok": {"links": [{"import": .., "place": ..}]}}, and
/// "fused": [NAME, ..] beside the links. Of a link with several places each has to hold, though `run` goes on with those that
/// are there. What does not hold goes to standard error, all of it, and the exit code is 3.
#[derive(Debug, Args)]
#[command(after_help = help::CHECK)]
pub struct CheckArgs {
    /// The component
    #[arg(value_name = "APP.wasm")]
    pub component: PathBuf,

    #[command(flatten)]
    pub links: Links,
    #[command(flatten)]
    pub grants: GrantArgs,

    /// How long each peer may take to answer, like 500ms or 5s [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = units::milliseconds)]
    pub timeout: Option<u64>,

    #[command(flatten)]
    pub keys: KeyArgs,
}

/// Compiles components now, so that later starts need not
///
/// Compiled code is kept in a folder that only its user can write, and found again by what the component's bytes are, so that
/// `run` and `serve` of the same component start at once. Prints what became of each file; with `-o json`
/// {"ok": {"folder": .., "components": [{"file": .., "sha256": .., "compiled": false if it was already}]}}.
#[derive(Debug, Args)]
#[command(after_help = help::COMPILE)]
pub struct CompileArgs {
    /// The components
    #[arg(value_name = "FILE.wasm", required = true)]
    pub components: Vec<PathBuf>,
}

/// Makes certificates for places where both ends show one: an authority, and its nodes
///
/// For development, and for networks that are small enough: whoever can read `ca.key` can be anybody. Keys are written
/// so that their owner alone can read them. Prints which file is what; with `-o json` {"ok": {"certificate": FILE,
/// "key": FILE}}, and "ca": FILE for a node.
#[derive(Debug, Args)]
#[command(after_help = help::CERT, subcommand_required = true, arg_required_else_help = true)]
pub struct CertArgs {
    #[command(subcommand)]
    pub command: CertCommand,
}

#[derive(Debug, Subcommand)]
pub enum CertCommand {
    Ca(CertCaArgs),
    Node(CertNodeArgs),
}

/// Makes an authority: `ca.pem`, which every node is given, and `ca.key`, which none is
#[derive(Debug, Args)]
pub struct CertCaArgs {
    /// The folder for its files; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    /// Its name, for people who look at certificates
    #[arg(long, value_name = "NAME", default_value = "isorun development")]
    pub name: String,

    /// How long it holds
    #[arg(long, value_name = "N", default_value_t = CA_DAYS_DEFAULT, value_parser = days())]
    pub days: u32,

    /// Replaces files that are there
    #[arg(long)]
    pub force: bool,
}

/// Makes the certificate of a node: `NAME.pem`, `NAME.key`, and `ca.pem` beside them
///
/// Peers know the node by NAME: it is what `serve --allow` names, and what `tls://HOST:PORT/INSTANCE?name=NAME` expects of a
/// server. A server that is reached without `?name=` needs the host of its address as --dns or --ip.
#[derive(Debug, Args)]
pub struct CertNodeArgs {
    /// The node's name: lower-case letters, digits, `-`, `_` and `.`
    #[arg(value_name = "NAME")]
    pub name: NodeName,

    /// The folder with the authority's `ca.pem` and `ca.key`
    #[arg(long, value_name = "DIR")]
    pub ca: PathBuf,

    /// The folder for its files; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    /// A DNS name that it is reached by; once for each
    #[arg(long, value_name = "NAME")]
    pub dns: Vec<String>,

    /// An IP address that it is reached by; once for each
    #[arg(long, value_name = "IP")]
    pub ip: Vec<IpAddr>,

    /// How long it holds
    #[arg(long, value_name = "N", default_value_t = NODE_DAYS_DEFAULT, value_parser = days())]
    pub days: u32,

    /// Replaces the node's own two files if they are there; `ca.pem` never
    #[arg(long)]
    pub force: bool,
}

fn days() -> impl clap::builder::TypedValueParser<Value = u32> {
    clap::value_parser!(u32).range(1..=i64::from(DAYS_MAX))
}

/// Runs components that live and exchange messages, as a manifest says
///
/// The manifest names the node, its components with what each may use, who starts them again, and where the components of
/// other nodes are. Prints `listening URL` for each address, with --metrics `metrics URL`, and `running NAME COUNT` once all of
/// them run, and goes on until SIGINT, SIGTERM or SIGHUP: then they stop in reverse, and it ends with 0. A second signal ends
/// it at once. With 1 it ends where a supervisor gave up.
///
/// While it runs, `isorun ps NAME`, `isorun logs NAME` and `isorun ask NAME` reach it by a socket that only its user can.
#[derive(Debug, Args)]
#[command(after_help = help::UP)]
pub struct UpArgs {
    /// The manifest, a TOML file; paths in it are as from its folder
    #[arg(value_name = "FILE.toml")]
    pub manifest: PathBuf,

    /// Says all that is wrong with it, and runs nothing
    #[arg(long)]
    pub check: bool,

    /// Does without the socket by which it is looked at from this machine
    #[arg(long, conflicts_with = "check")]
    pub no_control: bool,

    /// Where to answer HTTP requests for /metrics, as Prometheus reads them, /healthz and /readyz: IP:PORT, whose port 0
    /// takes a free one
    #[arg(long, value_name = "ADDRESS", conflicts_with = "check")]
    pub metrics: Option<MonitorAddress>,

    #[command(flatten)]
    pub keys: KeyArgs,
}

/// Lists the components that live on a node
///
/// With the state of each, how often it was started again, how many messages wait for it, and its memory; with `-o json`
/// [{"id": .., "state": .., "restarts": .., "queued_messages": .., "queued_bytes": .., "memory_bytes": .., "calls": ..,
/// "health": null or {"status": .., "reason": ..}, "supervisor": .., "last_exit": ..}]. Of a node that was not started by
/// this user, those that this one may send messages to.
///
/// A message that wants no answer may be lost on its way to another node, or in hand when its component fails. Where any was,
/// a line on standard error says so, and `--dead-letters` shows the last 256; with `-o json` {"counts": {REASON: N},
/// "letters": [{"seq": .., "timestamp_ms": .., "sender": .., "recipient": .., "bytes": .., "is_request": .., "reason": ..,
/// "may_have_arrived": .., "why": ..}]}.
#[derive(Debug, Args)]
#[command(after_help = help::PS)]
pub struct PsArgs {
    /// The node: its name on this machine, or where it listens [default: the one of this machine]
    #[arg(value_name = "NODE|PLACE")]
    pub node: Option<NodeArg>,

    /// Asks each component how it is, too
    #[arg(long)]
    pub health: bool,

    /// Lists the last messages that were not delivered or not handled to their end, instead
    #[arg(long, conflicts_with = "health")]
    pub dead_letters: bool,

    /// How long the node may take to answer, like 500ms or 5s [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = units::milliseconds)]
    pub timeout: Option<u64>,

    #[command(flatten)]
    pub keys: KeyArgs,
}

/// Shows what the components of a node logged
///
/// One line each, with its time in UTC; with `-o json` one {"ok": {"seq": .., "timestamp_ms": .., "component": .., "level": ..,
/// "message": .., "fields": [[NAME, VALUE]], "dropped_before": ..}} each. A node keeps the last lines only.
#[derive(Debug, Args)]
#[command(after_help = help::LOGS)]
pub struct LogsArgs {
    /// The node: its name on this machine, or where it listens [default: the one of this machine]
    #[arg(value_name = "NODE|PLACE")]
    pub node: Option<NodeArg>,

    /// Lines of this component alone
    #[arg(value_name = "COMPONENT")]
    pub component: Option<ComponentId>,

    /// How many of the last lines, 1 to 256
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub lines: u32,

    /// Goes on with those that come, until a signal
    #[arg(short, long)]
    pub follow: bool,

    #[command(flatten)]
    pub keys: KeyArgs,
}

/// What is said to a component.
///
/// The node may be left out, and it goes first: which word is which is known once all are there.
#[derive(Debug, Args)]
pub struct MessageArgs {
    /// The component, as namespace/name/instance
    #[arg(value_name = "COMPONENT", index = 1)]
    pub first: String,

    /// The payload; with - the bytes of standard input
    #[arg(value_name = "TEXT|-", index = 2, allow_hyphen_values = true)]
    pub second: String,

    /// Before both: the node, by its name on this machine or where it listens [default: the one of this machine]
    #[arg(value_name = "NODE|PLACE", index = 3, allow_hyphen_values = true)]
    pub third: Option<String>,

    /// What the payload is [default: text/plain, or none of standard input]
    #[arg(long = "type", value_name = "TYPE")]
    pub content_type: Option<String>,

    /// Who sends it, in the component's eyes
    #[arg(long, value_name = "COMPONENT", default_value = "isorun/operator/0")]
    pub from: ComponentId,

    #[command(flatten)]
    pub keys: KeyArgs,
}

/// Sends a message to a component, by hand
///
/// Ends with 0 once it is in the component's mailbox; what becomes of it there is not told. Prints nothing.
#[derive(Debug, Args)]
#[command(after_help = help::SEND, override_usage = "isorun send [OPTIONS] [NODE|PLACE] <COMPONENT> <TEXT|->")]
pub struct SendArgs {
    #[command(flatten)]
    pub message: MessageArgs,
}

/// Asks a component something, by hand, and prints its answer
///
/// Text on one line, with what a terminal would obey escaped, and bytes that are no text in hexadecimal; with `-o json`
/// {"ok": null, or {"text" or "hex": .., "content_type": ..}}.
#[derive(Debug, Args)]
#[command(after_help = help::ASK, override_usage = "isorun ask [OPTIONS] [NODE|PLACE] <COMPONENT> <TEXT|->")]
pub struct AskArgs {
    #[command(flatten)]
    pub message: MessageArgs,

    /// How long it may take to answer, like 500ms or 5s
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = units::milliseconds)]
    pub timeout: u64,

    /// Writes the bytes of the answer as they are; to a terminal only if they are text
    #[arg(long)]
    pub raw: bool,

    /// With --raw, writes to a terminal whatever they are
    #[arg(long, requires = "raw")]
    pub force: bool,
}

/// Prints a script that completes isorun's command lines in a shell
#[derive(Debug, Args)]
#[command(after_help = help::COMPLETION)]
pub struct CompletionArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Links")]
pub struct Links {
    /// Satisfies an import from a place; once for each import
    #[arg(long = "link", value_name = "IFACE=PLACE", id = "link", long_help = help::LINK)]
    pub all: Vec<LinkArg>,

    /// What the guest gets for a call through a --link that fails: trap, case:NAME, or text
    #[arg(long, value_name = "IFACE=POLICY", long_help = help::ON_FAILURE)]
    pub on_failure: Vec<OnFailureArg>,

    /// Calls through a --link may run twice: what may have got lost is sent again
    #[arg(long, value_name = "IFACE", long_help = help::IDEMPOTENT)]
    pub idempotent: Vec<String>,

    /// How often a call through a --link is sent at most, 1 to 100
    #[arg(long, value_name = "IFACE=N", long_help = help::ATTEMPTS)]
    pub attempts: Vec<AttemptsArg>,

    /// Which of several places of a --link a call goes to: as-served, sticky, or spread
    #[arg(long, value_name = "IFACE=HOW", long_help = help::BALANCE)]
    pub balance: Vec<BalanceArg>,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Grants")]
pub struct GrantArgs {
    /// Shows the guest a folder, `:ro` to read only
    #[arg(long = "dir", value_name = "HOST::GUEST[:ro]", value_parser = mount)]
    pub dirs: Vec<Mount>,

    /// Grants parts of WASI: clocks, random, stdio, arguments, environment
    ///
    /// Directories are granted with --dir, variables with --env, arguments after `--`. What is not granted is empty
    /// where that is harmless, and a link error where it is not.
    #[arg(long, value_name = "FEATURE,..", value_delimiter = ',')]
    pub wasi: Vec<WasiFeature>,

    /// Gives the guest a variable; those of this process stay hidden
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub env: Vec<(String, String)>,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Budgets")]
pub struct BudgetArgs {
    /// Fuel for each call and all calls it makes [default: 10_000_000_000]
    ///
    /// About one unit an instruction. The whole tree of calls below one is paid from N, so each `local:` component may use at most half of it in one
    /// call: an instance takes a call only from a caller that can still pay for all it may use. For the same reason a
    /// served instance refuses callers with less fuel than its own `serve --fuel`. By default a tree has ten times
    /// what one call has.
    #[arg(long, value_name = "N", value_parser = units::fuel)]
    pub fuel: Option<u64>,

    /// Linear memory of each instance of this command, like 64MiB or 512KiB [default: 64MiB]
    #[arg(long, value_name = "SIZE", value_parser = units::bytes)]
    pub memory: Option<u64>,

    /// Time for each call, waiting included, like 500ms or 5s [default: 10s]
    ///
    /// Sets the deadline of the call, the deadline of each call through a link, and the wall-clock budget of each
    /// instance of this command. Without it callers wait for 30s, and instances run for 10s.
    #[arg(long, value_name = "TIME", value_parser = units::milliseconds)]
    pub timeout: Option<u64>,
}

impl BudgetArgs {
    /// The budget of the component that the command is about.
    pub fn of_app(&self) -> Budget {
        let default = Budget::default();
        Budget {
            fuel: self.fuel.unwrap_or(default.fuel),
            fuel_tree: self.fuel.unwrap_or(default.fuel_tree),
            ..self.of_any(default)
        }
    }

    /// The budget of a component in a `local:` place: less than what its caller can pay.
    pub fn of_local(&self) -> Budget {
        let default = Budget::default();
        let fuel = self.fuel.map_or(default.fuel, |fuel| default.fuel.min(fuel / 2));
        Budget { fuel, ..self.of_any(default) }
    }

    fn of_any(&self, default: Budget) -> Budget {
        Budget {
            max_memory_bytes: self.memory.unwrap_or(default.max_memory_bytes),
            wall_ms: self.timeout.unwrap_or(default.wall_ms),
            ..default
        }
    }
}

/// What a node may use. More than an instance: its values are as large as values may be.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Budgets")]
pub struct NodeBudgetArgs {
    /// Fuel for each call of a node [default: 1_000_000_000_000]
    ///
    /// About one unit an instruction.
    #[arg(long, value_name = "N", value_parser = units::fuel)]
    pub fuel: Option<u64>,

    /// Linear memory of each node, like 64MiB or 1GiB [default: 256MiB]
    #[arg(long, value_name = "SIZE", value_parser = units::bytes)]
    pub memory: Option<u64>,

    /// Time for each call of a node, like 500ms or 5m [default: 1m]
    #[arg(long, value_name = "TIME", value_parser = units::milliseconds)]
    pub timeout: Option<u64>,
}

impl NodeBudgetArgs {
    pub fn budget(&self) -> Budget {
        let default = NodeOptions::BUDGET;
        Budget {
            fuel: self.fuel.unwrap_or(default.fuel),
            fuel_tree: self.fuel.unwrap_or(default.fuel_tree),
            max_memory_bytes: self.memory.unwrap_or(default.max_memory_bytes),
            wall_ms: self.timeout.unwrap_or(default.wall_ms),
            ..default
        }
    }
}

/// One `--link`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkArg {
    /// The imports that it is for.
    pub import: String,
    pub place: Place,
    /// As it was written.
    pub text: String,
}

impl FromStr for LinkArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "a link is IFACE=PLACE, like demo:kv/store=local:kv.wasm";
        let Some((import, place)) = text.split_once('=') else {
            return Err(format!("`{text}` has no `=`: {form}; {FORMS}"));
        };
        if import.is_empty() {
            return Err(format!("`{text}` names no import: {form}"));
        }
        Ok(Self { import: import.into(), place: place.parse()?, text: text.into() })
    }
}

/// One `--allow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowArg {
    pub audience: Audience,
    pub capability: Capability,
    /// As it was written.
    pub text: String,
}

impl FromStr for AllowArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form =
            "who may call what is NAME, NAME=IFACE, NAME=IFACE#FUNCTION or NAME=FUNCTION, like app=demo:kv/store#get";
        let (name, what) = text.split_once('=').map_or((text, None), |(name, what)| (name, Some(what)));
        let audience = match name {
            "*" => Audience::Anyone,
            name => {
                let name: NodeName = name.parse().map_err(|error| format!("{error}; {form}"))?;
                Audience::Named(name.to_string())
            }
        };
        let capability = match what.map(|what| what.split_once('#').map_or((what, None), |(of, one)| (of, Some(one)))) {
            None => Capability::everything(),
            Some(("", _) | (_, Some(""))) => return Err(format!("`{text}` does not say what: {form}")),
            Some((what, None)) => Capability::of(what),
            Some((interface, Some(function))) => Capability::of(interface).functions([function]),
        };
        Ok(Self { audience, capability, text: text.into() })
    }
}

/// One `--on-failure`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnFailureArg {
    /// The `--link` that it is for.
    pub import: String,
    pub policy: OnFailure,
}

impl FromStr for OnFailureArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "a failure policy is IFACE=trap, IFACE=case:NAME or IFACE=text, like demo:kv/store=text";
        match text.split_once('=') {
            Some((import, policy)) if !import.is_empty() => {
                let policy = policy.parse().map_err(|error| format!("{error}; {form}"))?;
                Ok(Self { import: import.into(), policy })
            }
            _ => Err(format!("`{text}` names no link: {form}")),
        }
    }
}

/// One `--attempts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptsArg {
    /// The `--link` that it is for.
    pub import: String,
    pub attempts: u32,
}

impl FromStr for AttemptsArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = format!("attempts are IFACE=N, like demo:kv/store=3, with 1 to {ATTEMPTS_MAX}");
        let (import, n) = for_link(text).ok_or_else(|| format!("`{text}` names no link: {form}"))?;
        let attempts = n.parse().ok().filter(|n| (1..=ATTEMPTS_MAX).contains(n));
        let attempts = attempts.ok_or_else(|| format!("`{n}` is no number of attempts: {form}"))?;
        Ok(Self { import: import.into(), attempts })
    }
}

/// One `--balance`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalanceArg {
    /// The `--link` that it is for.
    pub import: String,
    pub balance: Balance,
}

impl FromStr for BalanceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "it is IFACE=as-served, IFACE=sticky or IFACE=spread, like demo:kv/store=sticky";
        let (import, how) = for_link(text).ok_or_else(|| format!("`{text}` names no link: {form}"))?;
        let balance = match how {
            "as-served" => Balance::AsServed,
            "sticky" => Balance::Sticky,
            "spread" => Balance::Spread,
            _ => return Err(format!("`{how}` is no way to choose a place: {form}")),
        };
        Ok(Self { import: import.into(), balance })
    }
}

/// A link's import, and what is said of it.
fn for_link(text: &str) -> Option<(&str, &str)> {
    text.split_once('=').filter(|(import, _)| !import.is_empty())
}

/// Most stores that a pool may have: each may take what `--memory` allows.
const POOL_MAX: usize = 1_024;

fn policy(text: &str) -> Result<Serving, String> {
    let size = |n: &str| n.parse().ok().filter(|size| (1..=POOL_MAX).contains(size));
    match (text, text.strip_prefix("pool=")) {
        ("singleton", _) => Ok(Serving::SINGLETON),
        ("per-call", _) => Ok(Serving::PER_CALL),
        (_, Some(n)) => size(n)
            .map(Serving::pool)
            .ok_or_else(|| format!("`{n}` is no size of a pool: 1 to {POOL_MAX}, like pool=4")),
        _ => Err(format!("`{text}` is no policy: singleton, per-call, or pool=N")),
    }
}

pub fn mount(text: &str) -> Result<Mount, String> {
    let form = || format!("`{text}` is no folder to show: write HOST::GUEST or HOST::GUEST:ro, like data::/data:ro");
    let (host, guest) = text.split_once("::").ok_or_else(form)?;
    let (guest, access) = match guest.strip_suffix(":ro") {
        Some(guest) => (guest, Access::ReadOnly),
        None => (guest, Access::ReadWrite),
    };
    if host.is_empty() || guest.is_empty() { Err(form()) } else { Ok(Mount::new(host, guest, access)) }
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err(format!("`{text}` is no variable: write NAME=VALUE")),
    }
}
