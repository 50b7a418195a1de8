//! What components keep beyond their own lives: embedded and durable, in memory, or in NATS JetStream.
#![forbid(unsafe_code)]
