//! Turns on `cfg(planted)` for the package that it builds, and no other: a feature could be turned on for everybody.
#![allow(clippy::print_stdout, reason = "that is how a build script speaks to cargo")]

fn main() {
    println!("cargo::rustc-cfg=planted");
    println!("cargo::rerun-if-changed=../build.rs");
}
