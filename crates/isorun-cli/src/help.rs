//! Texts of `--help` beside the options' own. A test runs each example under `Examples:`.
//!
//! Their lines are laid out by hand, so none may be wrapped on a terminal of 80 columns.

use crate::exit::exit_codes;

pub const LINK: &str = "\
Satisfies an import from a place; once for each import

IFACE is one of
  demo:kv/store         an interface, with or without its version
  demo:kv               a package: whatever is imported of it
  add                   a function at the root
  *                     all that is left over, but wasi:*

PLACE is one of
  system:kv             a key-value store in this process's own code,
                        for demo:kv/store; with rules:
                        system:kv?deny=KEY&absent-is-error=KEY
  local:FILE.wasm       another component in this process: each file
                        is one instance, which gets no links and no
                        grants itself
  fused:FILE.wasm       another component, made one with this one:
                        they share memory, fuel, time and fate. Its
                        imports are linked and granted as this one's
  tcp://HOST:PORT/NAME  an instance that `isorun serve` serves
  tls://HOST:PORT/NAME  the same, where both ends show a certificate,
                        which must be for HOST, or for the node of
                        ?name=NODE: tls://10.0.0.7:7000/kv?name=kv-1
  quic://HOST:PORT/NAME the same as tls://, over QUIC
  unix:///PATH#NAME     the same, on a Unix socket
  nats://HOST/NAME      one of those that serve NAME by way of a NATS
                        server; nats+tls:// over TLS. With files:
                        nats+tls://HOST:PORT/NAME?creds=FILE&ca=FILE

Places in other processes may be several, with commas between them, as
in tcp://HOST:PORT/NAME,unix:///PATH#NAME. A call goes to one of them,
and to another where that is gone: see --balance.

Links are made and checked before anything runs, so what they go to is
served first: start providers before those who link to them.";

pub const IDEMPOTENT: &str = "\
Calls through a --link may run twice: what may have got lost is sent
again

IFACE as it stands in the --link. A call whose answer did not come
because the connection broke may have run. By default it fails as
`unknown`; with this option it is sent again within its deadline, 3
times in all unless --attempts says otherwise.";

pub const ATTEMPTS: &str = "\
How often a call through a --link is sent at most, 1 to 100

IFACE as it stands in the --link. A call is sent again, after a pause
that grows, as long as it certainly did not run, or with --idempotent;
never after its deadline (--timeout). By default it is sent once;
where the link has several places, once to each and once more.";

pub const BALANCE: &str = "\
Which of several places of a --link a call goes to

IFACE as it stands in the --link.
  as-served  sticky where the instance keeps state, as a singleton
             does; else spread [default]
  sticky     all calls go to one place; to another only once that
             is gone, which is logged: its state is another
  spread     each call goes to the less busy of two places";

pub const ON_FAILURE: &str = "\
What the guest gets for a call through a --link that fails

IFACE as it stands in the --link, with or without the version. By
default a function whose error type is isorun's own `rpc-error` gets
that; any other call that fails is a trap.
  trap       a trap, always
  case:NAME  this case of the function's own error type
  text       the cause as text, where the error type is `string`";

pub const ALLOW: &str = "\
Who may call what, by the name in its certificate; once for each

NAME is the name of a node (`isorun cert node NAME`), or * for anyone.
WHAT is everything if it is left out, or one of
  demo:kv/store         an interface, with or without its version
  demo:kv/store#get     a function of it
  demo:kv               a package
  add                   a function at the root
What is not allowed is refused: unauthorised. Without any --allow,
whoever connects may call everything; at a tls:// or quic:// address
that is whoever has a certificate of the authority.";

/// How results and errors look; a macro, so that it can be a part of other texts.
macro_rules! output {
    () => {
        "\
Output:
  Results go to standard output, all else to standard error. With -o json a
  result is one line
    {\"ok\": {\"value\": VALUE, \"wave\": TEXT}}
  with the value twice: as JSON, and as WAVE. In JSON
    records             are objects
    lists, tuples       are arrays; so are flags, of their names
    maps                are arrays of pairs
    cases               are their names, or {NAME: PAYLOAD}
    options             are null or what is in them; {\"some\": ..} for an option
                        in an option
    results             are {\"ok\": ..} or {\"err\": ..}, with null for nothing
    nan, inf and -inf   are text
  A function without a result gives {\"ok\": null}. An error is one line on
  standard error
    {\"error\": {\"kind\": KIND, \"text\": TEXT}}
  where KIND is usage, load, link, trap, deadline, not-sent, unknown, refused,
  cancelled, out-of-fuel, out-of-memory, interrupted, terminated, or failed."
    };
}

macro_rules! examples {
    ($($line:literal)+) => {
        concat!("Examples:\n", $("  ", $line, "\n",)+ "\n", exit_codes!())
    };
    ($($line:literal)+ ; codes $($code:literal)+) => {
        concat!("Examples:\n", $("  ", $line, "\n",)+ "\n", exit_codes!($($code)+))
    };
    ($($line:literal)+ ; pipe) => {
        concat!("Examples:\n", $("  ", $line, "\n",)+ "\n", piped!(), "\n\n", exit_codes!())
    };
    ($($line:literal)+ ; output) => {
        concat!("Examples:\n", $("  ", $line, "\n",)+ "\n", output!(), "\n\n", exit_codes!())
    };
}

/// What comes out of `pipe`; a macro, so that it can be a part of other texts.
macro_rules! piped {
    () => {
        "\
Output:
  Standard output has what the last node gave, and nothing else. Of a failure
  standard error says which node it was, and which piece, with the bytes of
  standard input it came from; with -o json it is one line
    {\"error\": {\"kind\": KIND, \"text\": TEXT}}
  where KIND is usage, load, link, guest (the node's own error), memory-access
  (it pointed at memory that it does not have), trap, deadline, out-of-fuel,
  out-of-memory, interrupted, terminated, or failed. Whoever reads standard
  output may go at any time: then isorun ends too, with 0."
    };
}

pub const ISORUN: &str = examples! {
    "isorun demo"
    "isorun run app.wasm --link demo:kv/store=system:kv --invoke 'run(40)'"
    "isorun run app.wasm --link demo:kv/store=local:kv.wasm --invoke 'run(40)'"
    "isorun serve kv.wasm --listen tcp://127.0.0.1:7000"
    "isorun run app.wasm --link '*=tcp://127.0.0.1:7000/kv' --invoke 'run(40)'"
    "isorun call tcp://127.0.0.1:7000/kv 'demo:kv/store#get(\"k\")'"
    "isorun pipe rle.wasm unrle.wasm < in > same"
};

pub const RUN: &str = examples! {
    "isorun run command.wasm --wasi clocks,random --env LANG=C -- -v input.txt"
    "isorun run app.wasm --link demo:kv/store=local:kv.wasm --invoke 'run(40)'"
    "isorun run app.wasm --link '*=tcp://127.0.0.1:7000/kv' --invoke 'run(40)' \\\n      --timeout 500ms"
    "isorun run app.wasm --invoke 'run(40)' --idempotent '*' \\\n      --link '*=tcp://127.0.0.1:7000/kv,unix:///tmp/kv.sock#kv'"
    "isorun run app.wasm --link '*=fused:kv.wasm' --invoke 'run(40)'"
    "isorun run app.wasm --link '*=local:kv.wasm' --invoke 'run(40)' \\\n      --on-failure '*=case:denied'"
    "isorun run files.wasm --dir photos::/photos:ro \\\n      --invoke 'run(\"list\", \"/photos\", \"\")'"
    ; output
};

pub const SERVE: &str = examples! {
    "isorun serve kv.wasm --listen tcp://127.0.0.1:7000"
    "isorun serve kv.wasm --listen tcp://127.0.0.1:0 --as store --policy per-call"
    "isorun serve kv.wasm --listen tcp://127.0.0.1:0 --policy pool=4"
    "isorun serve kv.wasm --listen unix:///tmp/kv.sock"
    "isorun serve kv.wasm --listen tls://127.0.0.1:7443 --ca certs/ca.pem \\\n      --cert certs/kv.pem --key certs/kv.key --allow app=demo:kv/store#get"
    "isorun serve kv.wasm --listen tcp://127.0.0.1:7000 --metrics 127.0.0.1:9100"
    "isorun serve cache.wasm --listen tcp://127.0.0.1:7001 \\\n      --link '*=tcp://127.0.0.1:7000/kv'"
};

pub const CALL: &str = examples! {
    "isorun call tcp://127.0.0.1:7000/kv 'demo:kv/store#get(\"k\")'"
    "isorun call tcp://127.0.0.1:7000/kv 'demo:kv/store@0.1.0#get(\"k\")' -o json"
    "isorun call unix:///tmp/kv.sock#kv 'demo:kv/store#clear()'"
    ; output
};

pub const PIPE: &str = examples! {
    "isorun pipe rle.wasm < in > out"
    "isorun pipe rle.wasm unrle.wasm < in > same"
    "isorun pipe rle.wasm --chunk 1MiB < large.bin > large.rle"
    "isorun pipe rle.wasm --lines < in > lines.rle"
    "isorun pipe rle.wasm --explain --memory 1GiB --timeout 5m < in > out"
    "isorun pipe core.wasm --componentize < in > out"
    ; pipe
};

pub const INSPECT: &str = examples! {
    "isorun inspect app.wasm"
    "isorun inspect tcp://127.0.0.1:7000/kv"
    "isorun inspect tcp://127.0.0.1:7000"
    "isorun inspect app.wasm -o json"
    "isorun inspect app.wasm --plan"
};

pub const CHECK: &str = examples! {
    "isorun check app.wasm --link demo:kv/store=system:kv"
    "isorun check app.wasm --link demo:kv/store=local:kv.wasm"
    "isorun check app.wasm --link '*=tcp://127.0.0.1:7000/kv' -o json"
};

pub const COMPILE: &str = examples! {
    "isorun compile app.wasm kv.wasm"
    "isorun compile app.wasm --cache-dir compiled -o json"
};

pub const CERT: &str = examples! {
    "isorun cert ca --out certs"
    "isorun cert node kv --ca certs --out certs --ip 127.0.0.1 --dns localhost"
    "isorun cert node app --ca certs --out certs --days 30 -o json"
};

pub const UP: &str = examples! {
    "isorun up node.toml"
    "isorun up node.toml --check"
    ; codes
    "   0  a signal ended it and all has stopped; with --check: it can run"
    "   1  a supervisor gave up, or any failure that is not listed here"
    "   2  usage: the command line or the manifest is wrong"
    "   3  link error: a component's import that nothing satisfies"
    " 130  a second signal, SIGINT, before all had stopped (143: SIGTERM or SIGHUP)"
};

pub const PS: &str = examples! {
    "isorun ps"
    "isorun ps east -o json"
    "isorun ps tcp://127.0.0.1:7100 --health"
    "isorun ps east --dead-letters"
    ; codes
    "   0  it is listed"
    "   1  the node is not reached, refuses, or any failure that is not listed here"
    "   2  usage: the command line is wrong, or no such node runs on this machine"
    " 124  deadline: the node did not answer in the time of --timeout"
    " 130  interrupted by SIGINT (143 by SIGTERM or SIGHUP)"
};

pub const LOGS: &str = examples! {
    "isorun logs"
    "isorun logs east demo/tally/0 -n 10"
    ; codes
    "   0  it is shown"
    "   1  the node is not reached, refuses, or ended while --follow waited for more"
    "   2  usage: the command line is wrong, or no such node runs on this machine"
    " 124  deadline: the node did not answer in time"
    " 130  interrupted by SIGINT (143 by SIGTERM or SIGHUP): the end of --follow"
};

pub const SEND: &str = examples! {
    "isorun send east demo/tally/0 'add 1'"
    "isorun send tcp://127.0.0.1:7100 demo/tally/0 'add 1'"
    "isorun send demo/tally/0 - < in"
    ; codes
    "   0  it is in the component's mailbox"
    "   1  it is not, or nobody knows (its kind is in the text)"
    "   2  usage: the command line is wrong, or no such node runs on this machine"
    " 124  deadline: the node did not answer in time"
    " 130  interrupted by SIGINT (143 by SIGTERM or SIGHUP)"
};

pub const ASK: &str = examples! {
    "isorun ask east demo/tally/0 get --timeout 60s"
    "isorun ask demo/tally/0 get -o json"
    "isorun ask east demo/tally/0 get --raw > answer"
    ; codes
    "   0  it answered, or has handled it and has no answer"
    "   1  it refused, or any failure that is not listed here (its kind is in the"
    "      text)"
    "   2  usage: the command line is wrong, or no such node runs on this machine"
    " 124  deadline: no answer came in the time of --timeout, or the component ran"
    "      out of its own"
    " 130  interrupted by SIGINT (143 by SIGTERM or SIGHUP)"
    " 134  trap in the component"
};

pub const DEMO: &str = examples! {
    "isorun demo"
    "isorun demo -o json"
};

pub const COMPLETION: &str = examples! {
    "isorun completion bash > isorun.bash"
    "isorun completion fish"
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns before the text of an option in a long help.
    const INDENT: usize = 10;

    #[test]
    fn no_line_is_wrapped_at_80_columns() {
        let ends =
            [ISORUN, RUN, SERVE, CALL, PIPE, INSPECT, CHECK, COMPILE, CERT, UP, PS, LOGS, SEND, ASK, DEMO, COMPLETION]
                .map(|text| (text, 0));
        for (text, indent) in
            ends.into_iter().chain([LINK, ON_FAILURE, IDEMPOTENT, ATTEMPTS, BALANCE, ALLOW].map(|text| (text, INDENT)))
        {
            for line in text.lines() {
                assert!(indent + line.chars().count() <= 80, "{line}");
            }
        }
    }
}
