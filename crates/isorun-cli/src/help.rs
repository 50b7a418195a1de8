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
  unix:///PATH#NAME     the same, on a Unix socket

Links are made and checked before anything runs, so what they go to is
served first: start providers before those who link to them.";

pub const ON_FAILURE: &str = "\
What the guest gets for a call through a --link that fails

IFACE as it stands in the --link, with or without the version. By
default a function whose error type is isorun's own `rpc-error` gets
that; any other call that fails is a trap.
  trap       a trap, always
  case:NAME  this case of the function's own error type
  text       the cause as text, where the error type is `string`";

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
    ($($line:literal)+ ; output) => {
        concat!("Examples:\n", $("  ", $line, "\n",)+ "\n", output!(), "\n\n", exit_codes!())
    };
}

pub const ISORUN: &str = examples! {
    "isorun demo"
    "isorun run app.wasm --link demo:kv/store=system:kv --invoke 'run(40)'"
    "isorun run app.wasm --link demo:kv/store=local:kv.wasm --invoke 'run(40)'"
    "isorun serve kv.wasm --listen tcp://127.0.0.1:7000"
    "isorun run app.wasm --link '*=tcp://127.0.0.1:7000/kv' --invoke 'run(40)'"
    "isorun call tcp://127.0.0.1:7000/kv 'demo:kv/store#get(\"k\")'"
};

pub const RUN: &str = examples! {
    "isorun run command.wasm --wasi clocks,random --env LANG=C -- -v input.txt"
    "isorun run app.wasm --link demo:kv/store=local:kv.wasm --invoke 'run(40)'"
    "isorun run app.wasm --link '*=tcp://127.0.0.1:7000/kv' --invoke 'run(40)' \\\n      --timeout 500ms"
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
    "isorun serve cache.wasm --listen tcp://127.0.0.1:7001 \\\n      --link '*=tcp://127.0.0.1:7000/kv'"
};

pub const CALL: &str = examples! {
    "isorun call tcp://127.0.0.1:7000/kv 'demo:kv/store#get(\"k\")'"
    "isorun call tcp://127.0.0.1:7000/kv 'demo:kv/store@0.1.0#get(\"k\")' -o json"
    "isorun call unix:///tmp/kv.sock#kv 'demo:kv/store#clear()'"
    ; output
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
        let ends = [ISORUN, RUN, SERVE, CALL, INSPECT, CHECK, COMPILE, DEMO, COMPLETION].map(|text| (text, 0));
        for (text, indent) in ends.into_iter().chain([(LINK, INDENT), (ON_FAILURE, INDENT)]) {
            for line in text.lines() {
                assert!(indent + line.chars().count() <= 80, "{line}");
            }
        }
    }
}
