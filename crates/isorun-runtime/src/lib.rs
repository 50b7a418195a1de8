//! The Wasmtime engine of isorun: loading, linking, budgets, the value codec
#![deny(unsafe_code)]
