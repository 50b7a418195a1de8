//! A self-describing, canonical, bounded binary encoding: tag, length, value
#![forbid(unsafe_code)]
