//! From a guest's memory to the wire.
//!
//! Nothing the guest says is believed: pointers, lengths, discriminants and texts are checked as they are met, and what
//! lies between values in its memory is never copied.

use bytes::BytesMut;
use neopack::{Tag, VALUE_BYTES_MAX};
use wasmtime::{Result, bail};

use super::plan::{Field, Form, Kind, Node, Plan, Rows, Scalar, Want};
use super::text::is_utf8;
use crate::codec::{NAN_32, NAN_64};

/// Core values, as a guest passes them.
pub(super) trait Slots {
    /// The low 32 bits of one.
    fn u32(&self, at: usize) -> u32;
    /// All 64 bits of one that has so many.
    fn u64(&self, at: usize) -> u64;
}

/// How a guest encodes text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    Utf16,
    /// One byte a character where that is enough, else as UTF-16.
    Latin1OrUtf16,
}

/// Values are larger, packed, than a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// Why values could not be lifted.
pub(super) enum LiftError {
    /// The guest broke the canonical ABI, or is over its budget.
    Guest(wasmtime::Error),
    TooLarge,
}

impl From<wasmtime::Error> for LiftError {
    fn from(error: wasmtime::Error) -> Self {
        Self::Guest(error)
    }
}

type Lifted = std::result::Result<(), LiftError>;

/// A guest's memory, and what is read from it.
pub(super) struct Lifter<'a, F> {
    pub(super) plan: &'a Plan,
    pub(super) memory: &'a [u8],
    pub(super) encoding: Encoding,
    /// Charges the guest for so many bytes of work.
    pub(super) charge: F,
    pub(super) out: &'a mut BytesMut,
    /// Where in `out` the value starts.
    pub(super) start: usize,
}

impl<'a, F: FnMut(usize) -> Result<()>> Lifter<'a, F> {
    /// Packs values that were passed flat.
    pub(super) fn flat(&mut self, slots: &(impl Slots + ?Sized)) -> Lifted {
        let head = self.open(Tag::Struct);
        let mut slot = 0;
        for field in &self.plan.fields {
            let node = self.plan.node(field.node);
            self.slot(node, slots, slot)?;
            slot += node.flat as usize;
        }
        self.close(head);
        self.end()
    }

    /// Packs values that lie in memory.
    pub(super) fn memory(&mut self, at: usize) -> Lifted {
        if !at.is_multiple_of(self.plan.align as usize) {
            return Err(wasmtime::format_err!("pointer not aligned").into());
        }
        let image = self.within(at, self.plan.size as usize)?;
        let plan = self.plan;
        self.fields(&plan.fields, image)?;
        self.end()
    }

    fn end(&self) -> Lifted {
        self.fits(0)
    }

    /// Refuses to go on past the size limit, so that no guest makes us hold more than one value's worth.
    fn fits(&self, more: usize) -> Lifted {
        let written = self.out.len() - self.start;
        if written.saturating_add(more) > VALUE_BYTES_MAX as usize { Err(LiftError::TooLarge) } else { Ok(()) }
    }

    fn open(&mut self, tag: Tag) -> usize {
        self.out.extend_from_slice(&[tag as u8, 0, 0, 0, 0]);
        self.out.len()
    }

    fn open_counted(&mut self, tag: Tag, count: usize) -> usize {
        let head = self.open(tag);
        // Counts come from 32 bits of a guest's.
        self.out.extend_from_slice(&(count as u32).to_le_bytes());
        head
    }

    /// Writes how many bytes followed the head that ended at `head`.
    fn close(&mut self, head: usize) {
        let len = (self.out.len() - head) as u32;
        self.out[head - 4..head].copy_from_slice(&len.to_le_bytes());
    }

    fn fields(&mut self, fields: &[Field], image: &[u8]) -> Lifted {
        let head = self.open(Tag::Struct);
        let mut next = 0;
        while let Some(field) = fields.get(next) {
            match field.scalars as usize {
                0 => {
                    self.value(field.node, &image[field.at as usize..])?;
                    next += 1;
                }
                count => {
                    self.scalars(&fields[next..next + count], image)?;
                    next += count;
                }
            }
        }
        self.close(head);
        Ok(())
    }

    /// Packs scalars that lie side by side, a few at a time.
    fn scalars(&mut self, fields: &[Field], image: &[u8]) -> Lifted {
        for fields in fields.chunks(TOGETHER) {
            let (mut items, mut len) = ([0; TOGETHER * TAGGED_MAX], 0);
            for field in fields {
                let image = &image[field.at as usize..];
                let node = self.plan.node(field.node);
                let (tag, bits, wire) = match &node.kind {
                    Kind::Scalar(scalar) => {
                        let bits = checked(*scalar, little(image, scalar.width()))?;
                        (scalar.tag(), bits, 1 + scalar.width() as usize)
                    }
                    Kind::Enum { cases } => {
                        (Tag::Enum as u8, below(little(image, node.size) as u32, *cases)?.into(), TAGGED)
                    }
                    Kind::Flags { mask } => (Tag::Flags as u8, (little(image, node.size) as u32 & mask).into(), TAGGED),
                    // Nothing else is a scalar.
                    _ => continue,
                };
                // All eight bytes are a move; what is too many the next item takes.
                items[len] = tag;
                items[len + 1..][..8].copy_from_slice(&bits.to_le_bytes());
                len += wire;
            }
            self.out.extend_from_slice(&items[..len]);
        }
        Ok(())
    }

    /// Packs one value whose bytes in memory are the front of `image`.
    fn value(&mut self, node: u32, image: &[u8]) -> Lifted {
        let plan = self.plan;
        let node = plan.node(node);
        match &node.kind {
            Kind::Scalar(scalar) => {
                let bits = checked(*scalar, little(image, scalar.width()))?;
                self.tagged_scalar(*scalar, bits);
            }
            Kind::Enum { cases } => self.tagged(Tag::Enum, below(little(image, node.size) as u32, *cases)?),
            Kind::Flags { mask } => self.tagged(Tag::Flags, little(image, node.size) as u32 & mask),
            Kind::Text | Kind::Bytes | Kind::Rows(_) | Kind::List { .. } | Kind::Map { .. } => {
                let pair = little(image, 8);
                self.pointed(node, pair as u32, (pair >> 32) as u32)?;
            }
            Kind::FixedBytes { count } => {
                self.charge_list(*count as usize, 1)?;
                self.bytes(&image[..*count as usize])?;
            }
            Kind::FixedRows { rows, count, .. } => {
                self.charge_list(*count as usize, rows.size)?;
                self.rows(rows, *count as usize, &image[..node.size as usize])?;
            }
            Kind::FixedList { item, count } => {
                let size = plan.node(*item).size as usize;
                self.charge_list(*count as usize, size as u32)?;
                self.items(*item, *count as usize, size, &image[..node.size as usize])?;
            }
            Kind::Struct(fields) => self.fields(fields, image)?,
            Kind::Choice { form, payload_at, cases } => {
                let width = neopack::Width::for_cases(cases.len() as u32).bytes();
                let index = little(image, width) as u32;
                match self.front(*form, index, cases)? {
                    Some(payload) => self.value(payload, &image[*payload_at as usize..])?,
                    None => self.nothing(*form),
                }
            }
        }
        Ok(())
    }

    /// Packs one value that was passed flat, from the core value `at` on.
    fn slot(&mut self, node: &Node, slots: &(impl Slots + ?Sized), at: usize) -> Lifted {
        let plan = self.plan;
        match &node.kind {
            Kind::Scalar(scalar) => {
                let bits = checked(*scalar, slot_bits(*scalar, slots, at))?;
                self.tagged_scalar(*scalar, bits);
            }
            Kind::Enum { cases } => self.tagged(Tag::Enum, below(slots.u32(at), *cases)?),
            Kind::Flags { mask } => self.tagged(Tag::Flags, slots.u32(at) & mask),
            Kind::Text | Kind::Bytes | Kind::Rows(_) | Kind::List { .. } | Kind::Map { .. } => {
                self.pointed(node, slots.u32(at), slots.u32(at + 1))?;
            }
            Kind::FixedBytes { count } => {
                let head = self.open(Tag::Bytes);
                (0..*count as usize).for_each(|item| self.out.extend_from_slice(&[slots.u32(at + item) as u8]));
                self.close(head);
            }
            Kind::FixedRows { rows, item, count } => {
                let item = plan.node(*item);
                let head = self.open(Tag::Rows);
                self.out.extend_from_slice(&rows.shape);
                self.out.extend_from_slice(&count.to_le_bytes());
                for number in 0..*count as usize {
                    self.row_slot(item, slots, at + number * item.flat as usize)?;
                }
                self.close(head);
            }
            Kind::FixedList { item, count } => {
                let item = plan.node(*item);
                let head = self.open_counted(Tag::List, *count as usize);
                for number in 0..*count as usize {
                    self.slot(item, slots, at + number * item.flat as usize)?;
                }
                self.close(head);
            }
            Kind::Struct(fields) => {
                let head = self.open(Tag::Struct);
                let mut at = at;
                for field in fields {
                    let node = plan.node(field.node);
                    self.slot(node, slots, at)?;
                    at += node.flat as usize;
                }
                self.close(head);
            }
            Kind::Choice { form, cases, .. } => match self.front(*form, slots.u32(at), cases)? {
                // A case's core values stand in slots wide enough for every case's: its own are their low bits.
                Some(payload) => self.slot(plan.node(payload), slots, at + 1)?,
                None => self.nothing(*form),
            },
        }
        Ok(())
    }

    /// Packs the scalars of a row that was passed flat, without tags.
    fn row_slot(&mut self, node: &Node, slots: &(impl Slots + ?Sized), at: usize) -> Lifted {
        let plan = self.plan;
        let (bits, width) = match &node.kind {
            Kind::Scalar(scalar) => (checked(*scalar, slot_bits(*scalar, slots, at))?, scalar.width()),
            Kind::Enum { cases } => (below(slots.u32(at), *cases)?.into(), node.size),
            Kind::Flags { mask } => ((slots.u32(at) & mask).into(), node.size),
            Kind::Struct(fields) => {
                let mut at = at;
                for field in fields {
                    let node = plan.node(field.node);
                    self.row_slot(node, slots, at)?;
                    at += node.flat as usize;
                }
                return Ok(());
            }
            // A row is made of nothing else.
            _ => return Ok(()),
        };
        self.out.extend_from_slice(&bits.to_le_bytes()[..width as usize]);
        Ok(())
    }

    /// Packs what a pointer and a length stand for.
    fn pointed(&mut self, node: &Node, pointer: u32, length: u32) -> Lifted {
        let (at, count) = (pointer as usize, length as usize);
        match &node.kind {
            Kind::Text => self.text(at, length),
            Kind::Bytes => {
                let bytes = self.within(at, count)?;
                self.charge_list(count, 1)?;
                self.bytes(bytes)
            }
            Kind::Rows(rows) => {
                let image = self.list(at, count, rows.size, rows.align)?;
                self.rows(rows, count, image)
            }
            Kind::List { item } => {
                let Node { size, align, .. } = *self.plan.node(*item);
                let image = self.list(at, count, size, align)?;
                self.items(*item, count, size as usize, image)
            }
            Kind::Map { key, value, value_at, size, align } => {
                let image = self.list(at, count, *size, *align)?;
                let head = self.open_counted(Tag::Map, count);
                for pair in image.chunks_exact((*size).max(1) as usize) {
                    self.fits(1)?;
                    self.value(*key, pair)?;
                    self.value(*value, &pair[*value_at as usize..])?;
                }
                self.close(head);
                Ok(())
            }
            // Nothing else is passed by pointer.
            _ => Ok(()),
        }
    }

    fn items(&mut self, item: u32, count: usize, size: usize, image: &[u8]) -> Lifted {
        let head = self.open_counted(Tag::List, count);
        for number in 0..count {
            // Every item takes a byte or more, so this ends a list that a guest only claims.
            self.fits(1)?;
            self.value(item, &image[number * size..])?;
        }
        self.close(head);
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Lifted {
        self.fits(bytes.len())?;
        self.out.reserve(5 + bytes.len());
        let head = self.open(Tag::Bytes);
        self.out.extend_from_slice(bytes);
        self.close(head);
        Ok(())
    }

    fn rows(&mut self, rows: &Rows, count: usize, image: &[u8]) -> Lifted {
        let width = rows.width as usize;
        let bytes = count.saturating_mul(width);
        self.fits(bytes)?;
        self.out.reserve(9 + rows.shape.len() + bytes);
        let head = self.open(Tag::Rows);
        self.out.extend_from_slice(&rows.shape);
        self.out.extend_from_slice(&(count as u32).to_le_bytes());
        let first = self.out.len();
        if rows.is_plain() {
            self.out.extend_from_slice(image);
        } else {
            for row in image.chunks_exact(rows.size as usize) {
                for run in &rows.runs {
                    let at = run.memory_at as usize;
                    self.out.extend_from_slice(&row[at..at + run.len as usize]);
                }
            }
        }
        self.close(head);
        mend(rows, &mut self.out[first..])?;
        Ok(())
    }

    fn text(&mut self, at: usize, length: u32) -> Lifted {
        let tagged_wide = length & UTF16_TAG != 0;
        let (bytes, align) = match self.encoding {
            Encoding::Utf8 => (length as usize, 1),
            Encoding::Utf16 => ((length as usize).saturating_mul(2), 2),
            Encoding::Latin1OrUtf16 if tagged_wide => ((length & !UTF16_TAG) as usize * 2, 2),
            Encoding::Latin1OrUtf16 => (length as usize, 2),
        };
        if !at.is_multiple_of(align) {
            return Err(wasmtime::format_err!("string pointer not aligned to {align}").into());
        }
        let text = self.within(at, bytes)?;
        (self.charge)(bytes)?;
        // Packed, a text takes half of its bytes or more.
        self.fits(bytes / 2)?;
        match self.encoding {
            Encoding::Utf8 => {
                if !is_utf8(text) {
                    // Says where.
                    std::str::from_utf8(text).map_err(wasmtime::Error::from)?;
                }
                self.fits(text.len())?;
                self.tagged(Tag::Str, text.len() as u32);
                self.out.extend_from_slice(text);
            }
            Encoding::Latin1OrUtf16 if !tagged_wide => {
                let head = self.open(Tag::Str);
                for byte in text {
                    self.out.extend_from_slice(char::from(*byte).encode_utf8(&mut [0; 2]).as_bytes());
                }
                self.close(head);
            }
            Encoding::Utf16 | Encoding::Latin1OrUtf16 => {
                let head = self.open(Tag::Str);
                let (units, _) = text.as_chunks::<2>();
                for c in char::decode_utf16(units.iter().map(|unit| u16::from_le_bytes(*unit))) {
                    let c = c.map_err(wasmtime::Error::from)?;
                    self.out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                self.close(head);
            }
        }
        Ok(())
    }

    /// Writes what stands before a case's payload; the node of the payload.
    fn front(&mut self, form: Form, index: u32, cases: &[Option<u32>]) -> std::result::Result<Option<u32>, LiftError> {
        let index = below(index, cases.len() as u32)?;
        match (form, index) {
            (Form::Variant, _) => self.tagged(Tag::Variant, index),
            (Form::Option, 0) => self.out.extend_from_slice(&[Tag::None as u8]),
            (Form::Option, _) => self.out.extend_from_slice(&[Tag::Some as u8]),
            (Form::Result, 0) => self.out.extend_from_slice(&[Tag::ResultOk as u8]),
            (Form::Result, _) => self.out.extend_from_slice(&[Tag::ResultErr as u8]),
        }
        Ok(cases[index as usize])
    }

    /// What stands where a case carries nothing.
    fn nothing(&mut self, form: Form) {
        match form {
            Form::Variant | Form::Result => self.out.extend_from_slice(&[Tag::Unit as u8]),
            Form::Option => {}
        }
    }

    fn tagged(&mut self, tag: Tag, value: u32) {
        let [a, b, c, d] = value.to_le_bytes();
        self.out.extend_from_slice(&[tag as u8, a, b, c, d]);
    }

    fn tagged_scalar(&mut self, scalar: Scalar, bits: u64) {
        let [a, b, c, d, e, f, g, h] = bits.to_le_bytes();
        let item = [scalar.tag(), a, b, c, d, e, f, g, h];
        match scalar.width() {
            1 => self.out.extend_from_slice(&item[..2]),
            2 => self.out.extend_from_slice(&item[..3]),
            4 => self.out.extend_from_slice(&item[..5]),
            _ => self.out.extend_from_slice(&item),
        }
    }

    /// A list's items in memory.
    fn list(&mut self, at: usize, count: usize, size: u32, align: u32) -> Result<&'a [u8]> {
        if !at.is_multiple_of(align as usize) {
            bail!("list pointer is not aligned");
        }
        let items = self.within(at, count.saturating_mul(size as usize))?;
        self.charge_list(count, size)?;
        Ok(items)
    }

    /// Bytes of the guest's memory, if it has them.
    fn within(&self, at: usize, bytes: usize) -> Result<&'a [u8]> {
        let memory: &'a [u8] = self.memory;
        match memory.get(at..).and_then(|rest| rest.get(..bytes)) {
            Some(found) => Ok(found),
            None => bail!("pointer {at:#x} with {bytes} bytes is out of bounds of a memory of {}", memory.len()),
        }
    }

    fn charge_list(&mut self, count: usize, size: u32) -> Result<()> {
        (self.charge)(count.saturating_mul(size.max(1) as usize))
    }
}

/// Scalars that are put together before they are written.
const TOGETHER: usize = 16;
/// Bytes of a tag and the widest scalar.
const TAGGED_MAX: usize = 9;
/// Bytes of a tag and the number after it, whatever its width in memory.
const TAGGED: usize = 5;

/// In a length of Latin-1 or UTF-16: it is UTF-16.
const UTF16_TAG: u32 = 1 << 31;

/// A little-endian number of that many bytes.
///
/// It goes by the type's own width, which the image was cut to.
#[inline]
fn little(image: &[u8], width: u32) -> u64 {
    match width {
        1 => image[0].into(),
        2 => u16::from_le_bytes([image[0], image[1]]).into(),
        4 => u32::from_le_bytes([image[0], image[1], image[2], image[3]]).into(),
        _ => image.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)),
    }
}

fn slot_bits(scalar: Scalar, slots: &(impl Slots + ?Sized), at: usize) -> u64 {
    match scalar.width() {
        8 => slots.u64(at),
        4 => slots.u32(at).into(),
        2 => (slots.u32(at) as u16).into(),
        // Any bit makes it true, those above the byte too.
        _ if scalar == Scalar::Bool => u64::from(slots.u32(at) != 0),
        _ => (slots.u32(at) as u8).into(),
    }
}

/// A scalar's bits as they travel: bools 0 or 1, NaNs the one, chars none but those there are.
fn checked(scalar: Scalar, bits: u64) -> Result<u64> {
    Ok(match scalar {
        Scalar::Bool => u64::from(bits != 0),
        Scalar::F32 if f32::from_bits(bits as u32).is_nan() => NAN_32.into(),
        Scalar::F64 if f64::from_bits(bits).is_nan() => NAN_64,
        Scalar::Char if char::from_u32(bits as u32).is_none() => bail!("{bits:#x} is not a char"),
        _ => bits,
    })
}

fn below(index: u32, cases: u32) -> Result<u32> {
    if index < cases { Ok(index) } else { bail!("unexpected discriminant: {index}") }
}

/// Makes what stands in rows values of their types, or refuses.
fn mend(rows: &Rows, bytes: &mut [u8]) -> Result<()> {
    let width = rows.width as usize;
    for check in &rows.checks {
        let at = check.row_at as usize;
        for row in bytes.chunks_exact_mut(width) {
            let field = &mut row[at..];
            match check.want {
                Want::Bool => field[0] = u8::from(field[0] != 0),
                Want::Char => {
                    checked(Scalar::Char, little(field, 4))?;
                }
                Want::F32 if f32::from_bits(little(field, 4) as u32).is_nan() => {
                    field[..4].copy_from_slice(&NAN_32.to_le_bytes());
                }
                Want::F64 if f64::from_bits(little(field, 8)).is_nan() => {
                    field[..8].copy_from_slice(&NAN_64.to_le_bytes());
                }
                Want::F32 | Want::F64 => {}
                Want::Below { cases, width } => {
                    below(little(field, width) as u32, cases)?;
                }
                Want::Within { mask, width } => {
                    let set = little(field, width) as u32 & mask;
                    field[..width as usize].copy_from_slice(&set.to_le_bytes()[..width as usize]);
                }
            }
        }
    }
    Ok(())
}
