//! Runs WebAssembly components and decides, outside the guest, where the code behind each import lives
#![forbid(unsafe_code)]
