//! What the tests share: every item of a value as a list of events, and a value written from such a list.
#![allow(dead_code, reason = "each test binary uses its own part")]

use neopack::{DecodeError, Decoder, EncodeError, Encoder, Limits, Shape, Tag};

/// One thing read from a value; floats by their bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Unit,
    Bool(bool),
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    S8(i8),
    S16(i16),
    S32(i32),
    S64(i64),
    F32(u32),
    F64(u64),
    Char(char),
    Str(String),
    Bytes(Vec<u8>),
    Enum(u32),
    Flags(u32),
    Handle(u64),
    Channel(u64),
    None,
    Rows {
        shape: Vec<u8>,
        count: u32,
        bytes: Vec<u8>,
    },
    List(u32),
    Struct,
    Map(u32),
    Some,
    ResultOk,
    ResultErr,
    Variant(u32),
    /// The end of the innermost List, Struct or Map.
    End,
    /// The end of the innermost wrapper.
    Unwrapped,
}

/// Reads a whole value, each item by the method of its own.
pub fn events(bytes: &[u8]) -> Result<Vec<Event>, DecodeError> {
    events_within(bytes, Limits::new())
}

pub fn events_within(bytes: &[u8], limits: Limits) -> Result<Vec<Event>, DecodeError> {
    let mut dec = Decoder::with_limits(bytes, limits);
    let mut out = Vec::new();
    let mut open = Vec::new();
    loop {
        let event = one(&mut dec)?;
        let opens = is_opener(&event);
        out.push(event);
        if opens {
            open.push(out.len() - 1);
        }
        let mut complete = !opens;
        while let Some(&top) = open.last() {
            let event = out[top].clone();
            if !is_wrapper(&event) {
                if !dec.at_end() {
                    break;
                }
                match event {
                    Event::List(_) => dec.list_end()?,
                    Event::Struct => dec.struct_end()?,
                    Event::Map(_) => dec.map_end()?,
                    other => unreachable!("{other:?} opens nothing"),
                }
                out.push(Event::End);
            } else if complete {
                out.push(Event::Unwrapped);
            } else {
                break;
            }
            complete = true;
            open.pop();
        }
        if open.is_empty() {
            dec.finish()?;
            return Ok(out);
        }
    }
}

fn one(dec: &mut Decoder<'_>) -> Result<Event, DecodeError> {
    Ok(match dec.peek()? {
        Tag::Unit => dec.unit().map(|()| Event::Unit)?,
        Tag::Bool => Event::Bool(dec.bool()?),
        Tag::U8 => Event::U8(dec.u8()?),
        Tag::U16 => Event::U16(dec.u16()?),
        Tag::U32 => Event::U32(dec.u32()?),
        Tag::U64 => Event::U64(dec.u64()?),
        Tag::S8 => Event::S8(dec.s8()?),
        Tag::S16 => Event::S16(dec.s16()?),
        Tag::S32 => Event::S32(dec.s32()?),
        Tag::S64 => Event::S64(dec.s64()?),
        Tag::F32 => Event::F32(dec.f32()?.to_bits()),
        Tag::F64 => Event::F64(dec.f64()?.to_bits()),
        Tag::Char => Event::Char(dec.char()?),
        Tag::Str => Event::Str(dec.str()?.to_owned()),
        Tag::Bytes => Event::Bytes(dec.bytes()?.to_owned()),
        Tag::Enum => Event::Enum(dec.enum_()?),
        Tag::Flags => Event::Flags(dec.flags()?),
        Tag::Handle => Event::Handle(dec.handle()?),
        Tag::Channel => Event::Channel(dec.channel()?),
        Tag::None | Tag::Some => {
            if dec.option()? {
                Event::Some
            } else {
                Event::None
            }
        }
        Tag::ResultOk | Tag::ResultErr => {
            if dec.result()? {
                Event::ResultOk
            } else {
                Event::ResultErr
            }
        }
        Tag::Variant => Event::Variant(dec.variant()?),
        Tag::Rows => {
            let rows = dec.rows()?;
            Event::Rows { shape: rows.shape().bytes().to_owned(), count: rows.count(), bytes: rows.bytes().to_owned() }
        }
        Tag::List => Event::List(dec.list_begin()?),
        Tag::Struct => dec.struct_begin().map(|()| Event::Struct)?,
        Tag::Map => Event::Map(dec.map_begin()?),
    })
}

pub fn is_wrapper(event: &Event) -> bool {
    matches!(event, Event::Some | Event::ResultOk | Event::ResultErr | Event::Variant(_))
}

pub fn is_opener(event: &Event) -> bool {
    is_wrapper(event) || matches!(event, Event::List(_) | Event::Struct | Event::Map(_))
}

/// Writes a value from its events.
pub fn encode(events: &[Event]) -> Result<Vec<u8>, EncodeError> {
    let mut enc = Encoder::new();
    write(&mut enc, events)?;
    enc.finish()
}

pub fn write(enc: &mut Encoder, events: &[Event]) -> Result<(), EncodeError> {
    let mut open = Vec::new();
    for event in events {
        match event {
            Event::End => match open.pop() {
                Some(Event::List(_)) => enc.list_end()?,
                Some(Event::Map(_)) => enc.map_end()?,
                Some(Event::Struct) => enc.struct_end()?,
                other => unreachable!("{other:?} does not end"),
            },
            Event::List(_) | Event::Map(_) | Event::Struct => {
                write_one(enc, event)?;
                open.push(event.clone());
            }
            other => write_one(enc, other)?,
        }
    }
    Ok(())
}

fn write_one(enc: &mut Encoder, event: &Event) -> Result<(), EncodeError> {
    match event {
        Event::Unit => enc.unit(),
        Event::Bool(v) => enc.bool(*v),
        Event::U8(v) => enc.u8(*v),
        Event::U16(v) => enc.u16(*v),
        Event::U32(v) => enc.u32(*v),
        Event::U64(v) => enc.u64(*v),
        Event::S8(v) => enc.s8(*v),
        Event::S16(v) => enc.s16(*v),
        Event::S32(v) => enc.s32(*v),
        Event::S64(v) => enc.s64(*v),
        Event::F32(bits) => enc.f32(f32::from_bits(*bits)),
        Event::F64(bits) => enc.f64(f64::from_bits(*bits)),
        Event::Char(v) => enc.char(*v),
        Event::Str(v) => enc.str(v),
        Event::Bytes(v) => enc.bytes(v),
        Event::Enum(v) => enc.enum_(*v),
        Event::Flags(v) => enc.flags(*v),
        Event::Handle(v) => enc.handle(*v),
        Event::Channel(v) => enc.channel(*v),
        Event::None => enc.none(),
        Event::Rows { shape, count, bytes } => enc.rows(&Shape::new(shape).unwrap(), *count, bytes),
        Event::List(count) => enc.list_begin(*count),
        Event::Map(count) => enc.map_begin(*count),
        Event::Struct => enc.struct_begin(),
        Event::Some => enc.some(),
        Event::ResultOk => enc.result_ok(),
        Event::ResultErr => enc.result_err(),
        Event::Variant(index) => enc.variant(*index),
        Event::End | Event::Unwrapped => Ok(()),
    }
}

/// The notation of the specification's examples.
pub fn print(events: &[Event]) -> String {
    let mut out = String::new();
    // For each open item: whether it is a map, and how many items it has had.
    let mut open: Vec<(bool, usize)> = Vec::new();
    for event in events {
        if matches!(event, Event::End | Event::Unwrapped) {
            out.push(')');
            open.pop();
            continue;
        }
        if let Some((is_map, had)) = open.last_mut() {
            out.push_str(match (*had, *is_map && *had % 2 == 1) {
                (0, _) => "",
                (_, true) => ": ",
                (_, false) => ", ",
            });
            *had += 1;
        }
        out.push_str(&match event {
            Event::F32(bits) => format!("F32 0x{bits:08x}"),
            Event::F64(bits) => format!("F64 0x{bits:016x}"),
            Event::Flags(bits) => format!("Flags 0x{bits:x}"),
            Event::Bytes(bytes) => format!("Bytes {}", hex(bytes)).trim_end().to_owned(),
            Event::Rows { shape, count, bytes } => {
                format!("Rows(shape {}, {count} rows {}", hex(shape), hex(bytes)).trim_end().to_owned() + ")"
            }
            Event::List(_) => "List".to_owned(),
            Event::Map(_) => "Map".to_owned(),
            Event::Bool(v) => format!("Bool {v}"),
            Event::Char(v) => format!("Char {v:?}"),
            Event::Str(v) => format!("Str {v:?}"),
            // What is left is written as its name and, if it has one, a number.
            other => format!("{other:?}").replace('(', " ").replace(')', ""),
        });
        if is_opener(event) {
            out.push('(');
            open.push((matches!(event, Event::Map(_)), 0));
        }
    }
    out
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One example: bytes and the notation of what they are.
#[derive(Debug, Clone)]
pub struct Vector {
    pub bytes: Vec<u8>,
    pub expected: String,
}

/// The specification's examples and the hostile ones.
pub fn vectors() -> Vec<Vector> {
    let spec = include_str!("../../../../docs/spec/neopack.md");
    let mut lines = Vec::new();
    let mut inside = false;
    for line in spec.lines() {
        match line {
            "```vectors" => inside = true,
            "```" => inside = false,
            line if inside => lines.push(line),
            _ => {}
        }
    }
    lines.extend(include_str!("../../vectors/hostile.txt").lines().filter(|line| !line.starts_with('#')));
    lines.into_iter().map(vector).collect()
}

fn vector(line: &str) -> Vector {
    let (bytes, expected) = line.split_once("=>").unwrap_or_else(|| panic!("no `=>` in {line:?}"));
    let bytes = bytes.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    Vector { bytes, expected: expected.trim().to_owned() }
}
