//! Vectors out of the specification, and frames in words.
#![allow(dead_code, reason = "each test uses its part")]

use bytes::Bytes;
use neorpc::{BoundFrame, Companions, CreditFrame, DescribedFrame, Frame};

pub const SPEC: &str = include_str!("../../../../docs/spec/neorpc.md");

/// One example: bytes, and the frame in words or `refused: …`.
pub struct Vector {
    pub bytes: Bytes,
    pub means: String,
    /// The bytes hold something that is skipped, so that they don't come out again.
    pub lenient: bool,
}

/// Every example of the specification: lines of hex, the last of them with `=>` and what they mean.
pub fn vectors() -> Vec<Vector> {
    let mut vectors = Vec::new();
    let mut block = None;
    let mut hex = String::new();
    for line in SPEC.lines() {
        match (block, line.trim_end()) {
            (None, "```vectors") => block = Some(false),
            (None, "```vectors lenient") => block = Some(true),
            (Some(_), "```") => {
                assert!(hex.is_empty(), "hex without a meaning: {hex}");
                block = None;
            }
            (Some(lenient), line) => {
                let (digits, means) = line.split_once("=>").map_or((line, None), |(hex, means)| (hex, Some(means)));
                hex.push_str(digits);
                if let Some(means) = means {
                    let bytes = unhex(&hex);
                    vectors.push(Vector { bytes, means: means.trim().to_owned(), lenient });
                    hex.clear();
                }
            }
            (None, _) => {}
        }
    }
    vectors
}

fn unhex(text: &str) -> Bytes {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let pairs = digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
    pairs.collect()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What decoding says, as the specification writes it.
pub fn say(decoded: &Result<Frame, neorpc::FrameError>) -> String {
    match decoded {
        Ok(frame) => words(frame),
        Err(error) => format!("refused: {error}"),
    }
}

fn words(frame: &Frame) -> String {
    let kind = frame.kind();
    match frame {
        Frame::Hello(hello) => {
            let limits = hello.limits;
            format!(
                "{kind} version {}, frames to {}, calls {}, bindings {}, window {}, features {:?}",
                hello.version,
                limits.frame_bytes_max,
                limits.calls_max,
                limits.bindings_max,
                limits.window_bytes,
                hello.features
            )
        }
        Frame::Bind(bind) => {
            let functions = bind.want.functions.iter().map(|(name, hash)| format!("{name} {}", short(hash)));
            let functions: Vec<String> = functions.collect();
            let interface = bind.want.interface.as_deref().unwrap_or("(root)");
            format!("{kind} {}: instance {}, {interface}, [{}]", bind.id, bind.instance, functions.join(", "))
        }
        Frame::Bound(BoundFrame { id, result: Ok(table) }) => {
            format!("{kind} {id}: binding {}, functions {}", table.binding, table.functions)
        }
        Frame::Bound(BoundFrame { id, result: Err(failure) })
        | Frame::Described(DescribedFrame { id, result: Err(failure) }) => format!("{kind} {id}: {failure:?}"),
        Frame::Unbind(binding) => format!("{kind} binding {binding}"),
        Frame::CallInChunks(call) => format!(
            "{kind} {}: binding {}, function {}, {}, {} bytes of arguments",
            call.id,
            call.binding,
            call.function.0,
            companions(&call.with),
            call.args_bytes
        ),
        Frame::ReplyInChunks(reply) => {
            format!("{kind} {}: fuel used {}, {} bytes of results", reply.id, reply.fuel_used, reply.results_bytes)
        }
        Frame::Chunk(chunk) => format!("{kind} of the {:?} of {}: {}", chunk.of, chunk.id, hex(&chunk.data)),
        Frame::Credit(CreditFrame { to: None, bytes, frames }) => {
            format!("{kind} for the connection: {bytes} bytes, {frames} chunks")
        }
        Frame::Credit(CreditFrame { to: Some((id, of)), bytes, frames }) => {
            format!("{kind} for the {of:?} of {id}: {bytes} bytes, {frames} chunks")
        }
        Frame::Call(call) => format!(
            "{kind} {}: binding {}, function {}, {}, arguments {}",
            call.id,
            call.binding,
            call.function.0,
            companions(&call.with),
            hex(&call.args)
        ),
        Frame::Reply(reply) => {
            format!("{kind} {}: fuel used {}, results {}", reply.id, reply.reply.fuel_used, hex(&reply.reply.results))
        }
        Frame::Failure(failure) => {
            format!("{kind} {}: fuel used {}, {:?}", failure.id, failure.failed.fuel_used, failure.failed.failure)
        }
        Frame::Cancel(id) => format!("{kind} {id}"),
        Frame::Ping(number) | Frame::Pong(number) => format!("{kind} {number}"),
        Frame::GoingAway(last) => format!("{kind} after {last}"),
        Frame::Describe(describe) => format!("{kind} {}: instance {}", describe.id, describe.instance),
        Frame::Described(DescribedFrame { id, result: Ok(described) }) => {
            let state = match described.keeps_state {
                None => "",
                Some(true) => ", keeps state",
                Some(false) => ", keeps no state",
            };
            format!("{kind} {id}: ledger {}{state}", hex(&described.ledger))
        }
        Frame::SelfContained(call) => format!(
            "{kind}: instance {}, {}, {} {}, {}, arguments {}",
            call.instance,
            call.interface.as_deref().unwrap_or("(root)"),
            call.function,
            short(&call.hash),
            companions(&call.with),
            hex(&call.args)
        ),
    }
}

fn companions(with: &Companions) -> String {
    let fuel = with.fuel.map_or("no bound".to_owned(), |fuel| fuel.to_string());
    let trace = match with.trace == isorun_core::Trace::default() {
        true => "none".to_owned(),
        false => format!("{} {}", hex(&with.trace.id), hex(&with.trace.span)),
    };
    format!("{} ms, fuel {fuel}, chain {:?}, trace {trace}", with.deadline_ms, with.chain)
}

fn short(hash: &[u8; 32]) -> String {
    format!("{}…", hex(&hash[..4]))
}
