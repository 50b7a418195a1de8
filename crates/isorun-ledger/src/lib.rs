//! The type tree of WebAssembly component interfaces: hash, comparison, packing, printing
#![forbid(unsafe_code)]
