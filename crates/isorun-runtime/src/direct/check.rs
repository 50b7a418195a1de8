//! Whether bytes are values of a plan's types, looked at before a guest is entered.
//!
//! A guest that is given bad values halfway can't be entered again, so nothing is lowered that was not checked first.
//! What is wrong, and where, the interpreted codec says: it reads the same bytes once more when there is something to say.

use neopack::{Tag, VALUE_BYTES_MAX};

use super::plan::{Field, Form, Kind, Node, Plan, Rows, Scalar, Want};
use super::text::is_utf8;
use crate::codec::{NAN_32, NAN_64};

/// The bytes are not the packed form of the plan's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused;

type Checked<T = ()> = Result<T, Refused>;

impl Plan {
    /// Checks that `packed` is the packed form of values of this plan's types, down to the last byte.
    ///
    /// It allocates nothing.
    pub(crate) fn check(&self, packed: &[u8]) -> Checked {
        if packed.len() > VALUE_BYTES_MAX as usize {
            return Err(Refused);
        }
        let mut checker = Checker { plan: self, rest: packed };
        checker.fields(&self.fields)?;
        if checker.rest.is_empty() { Ok(()) } else { Err(Refused) }
    }
}

struct Checker<'a> {
    plan: &'a Plan,
    /// What is not yet read of the innermost container.
    rest: &'a [u8],
}

impl<'a> Checker<'a> {
    fn value(&mut self, node: u32) -> Checked {
        let node = self.plan.node(node);
        match &node.kind {
            Kind::Scalar(_) | Kind::Enum { .. } | Kind::Flags { .. } => {
                self.rest = scalar(node, self.rest)?;
            }
            Kind::Text => {
                let text = self.body(Tag::Str)?;
                wanted(is_utf8(text))?;
            }
            Kind::Bytes => {
                self.body(Tag::Bytes)?;
            }
            Kind::FixedBytes { count } => wanted(self.body(Tag::Bytes)?.len() == *count as usize)?,
            Kind::Rows(rows) => {
                self.rows(rows)?;
            }
            Kind::FixedRows { rows, count, .. } => wanted(self.rows(rows)? == *count)?,
            Kind::List { item } => {
                self.items(*item, None)?;
            }
            Kind::FixedList { item, count } => self.items(*item, Some(*count))?,
            Kind::Map { key, value, .. } => {
                let body = self.body(Tag::Map)?;
                let outer = std::mem::replace(&mut self.rest, body);
                for _ in 0..self.number()? {
                    self.value(*key)?;
                    self.value(*value)?;
                }
                self.leave(outer)?;
            }
            Kind::Struct(fields) => self.fields(fields)?,
            Kind::Choice { form, cases, .. } => {
                let index = self.front(*form)?;
                match (cases.get(index as usize).ok_or(Refused)?, form) {
                    (Some(payload), _) => self.value(*payload)?,
                    (None, Form::Variant | Form::Result) => wanted(self.take::<1>()? == [Tag::Unit as u8])?,
                    (None, Form::Option) => {}
                }
            }
        }
        Ok(())
    }

    fn fields(&mut self, fields: &[Field]) -> Checked {
        let body = self.body(Tag::Struct)?;
        let outer = std::mem::replace(&mut self.rest, body);
        let mut next = 0;
        while let Some(field) = fields.get(next) {
            match field.scalars as usize {
                0 => {
                    self.value(field.node)?;
                    next += 1;
                }
                count => {
                    let plan = self.plan;
                    let mut rest = self.rest;
                    for field in fields.get(next..next + count).ok_or(Refused)? {
                        rest = scalar(plan.node(field.node), rest)?;
                    }
                    self.rest = rest;
                    next += count;
                }
            }
        }
        self.leave(outer)
    }

    fn items(&mut self, item: u32, length: Option<u32>) -> Checked {
        let body = self.body(Tag::List)?;
        let outer = std::mem::replace(&mut self.rest, body);
        let count = self.number()?;
        wanted(length.is_none_or(|length| length == count))?;
        for _ in 0..count {
            // Every item takes a byte or more: a count that is only claimed ends with the bytes.
            self.value(item)?;
        }
        self.leave(outer)
    }

    /// Checks that a container has been read to its end, and goes on after it.
    fn leave(&mut self, outer: &'a [u8]) -> Checked {
        wanted(self.rest.is_empty())?;
        self.rest = outer;
        Ok(())
    }

    /// Reads rows of that shape; how many there are.
    fn rows(&mut self, rows: &Rows) -> Checked<u32> {
        let body = self.body(Tag::Rows)?;
        let body = body.strip_prefix(&*rows.shape).ok_or(Refused)?;
        let (count, bytes) = body.split_first_chunk().ok_or(Refused)?;
        let count = u32::from_le_bytes(*count);
        wanted(u64::from(count) * u64::from(rows.width) == bytes.len() as u64)?;
        rows.checks.iter().try_for_each(|check| {
            let at = check.row_at as usize;
            let mut fields = bytes.chunks_exact(rows.width as usize).map(|row| &row[at..]);
            wanted(fields.all(|field| is_wanted(check.want, field)))
        })?;
        Ok(count)
    }

    /// Reads the number of a case.
    fn front(&mut self, form: Form) -> Checked<u32> {
        const NONE: u8 = Tag::None as u8;
        const SOME: u8 = Tag::Some as u8;
        const OK: u8 = Tag::ResultOk as u8;
        const ERR: u8 = Tag::ResultErr as u8;
        match form {
            Form::Variant => self.tagged(Tag::Variant),
            Form::Option | Form::Result => match (form, self.take()?) {
                (Form::Option, [NONE]) | (Form::Result, [OK]) => Ok(0),
                (Form::Option, [SOME]) | (Form::Result, [ERR]) => Ok(1),
                _ => Err(Refused),
            },
        }
    }

    fn take<const N: usize>(&mut self) -> Checked<[u8; N]> {
        let (taken, rest) = front(self.rest)?;
        self.rest = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Checked<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn tagged(&mut self, tag: Tag) -> Checked<u32> {
        let [found, a, b, c, d] = self.take()?;
        wanted(found == tag as u8)?;
        Ok(u32::from_le_bytes([a, b, c, d]))
    }

    /// The bytes that the length after a tag speaks of.
    fn body(&mut self, tag: Tag) -> Checked<&'a [u8]> {
        let length = self.tagged(tag)? as usize;
        let (body, rest) = self.rest.split_at_checked(length).ok_or(Refused)?;
        self.rest = rest;
        Ok(body)
    }
}

/// Reads one tagged scalar from the front of `rest`; what comes after it.
#[inline]
fn scalar<'a>(node: &Node, rest: &'a [u8]) -> Checked<&'a [u8]> {
    let (tag, of) = match node.kind {
        Kind::Scalar(scalar) => (scalar.tag(), scalar),
        Kind::Enum { .. } => (Tag::Enum as u8, Scalar::U32),
        Kind::Flags { .. } => (Tag::Flags as u8, Scalar::U32),
        // Nothing else is one.
        _ => return Err(Refused),
    };
    match of.width() {
        1 => {
            let ([found, byte], rest) = front(rest)?;
            wanted(found == tag && (of != Scalar::Bool || byte <= 1))?;
            Ok(rest)
        }
        2 => {
            let ([found, _, _], rest) = front(rest)?;
            wanted(found == tag)?;
            Ok(rest)
        }
        4 => {
            let ([found, a, b, c, d], rest) = front(rest)?;
            let bits = u32::from_le_bytes([a, b, c, d]);
            let is = match node.kind {
                Kind::Enum { cases } => bits < cases,
                Kind::Flags { mask } => bits & !mask == 0,
                Kind::Scalar(Scalar::Char) => char::from_u32(bits).is_some(),
                Kind::Scalar(Scalar::F32) => is_canonical_32(bits),
                _ => true,
            };
            wanted(found == tag && is)?;
            Ok(rest)
        }
        _ => {
            let ([found, bits @ ..], rest) = front::<9>(rest)?;
            wanted(found == tag && (of != Scalar::F64 || is_canonical_64(u64::from_le_bytes(bits))))?;
            Ok(rest)
        }
    }
}

fn front<const N: usize>(rest: &[u8]) -> Checked<([u8; N], &[u8])> {
    let (taken, rest) = rest.split_first_chunk::<N>().ok_or(Refused)?;
    Ok((*taken, rest))
}

fn wanted(is: bool) -> Checked {
    if is { Ok(()) } else { Err(Refused) }
}

fn is_canonical_32(bits: u32) -> bool {
    !f32::from_bits(bits).is_nan() || bits == NAN_32
}

fn is_canonical_64(bits: u64) -> bool {
    !f64::from_bits(bits).is_nan() || bits == NAN_64
}

/// Whether the front of `field` is what it must be.
fn is_wanted(want: Want, field: &[u8]) -> bool {
    let u32_of = |width: u32| {
        let mut bytes = [0; 4];
        bytes[..width as usize].copy_from_slice(&field[..width as usize]);
        u32::from_le_bytes(bytes)
    };
    match want {
        Want::Bool => field[0] <= 1,
        Want::Char => char::from_u32(u32_of(4)).is_some(),
        Want::F32 => is_canonical_32(u32_of(4)),
        Want::F64 => field.first_chunk().is_some_and(|bytes| is_canonical_64(u64::from_le_bytes(*bytes))),
        Want::Below { cases, width } => u32_of(width) < cases,
        Want::Within { mask, width } => u32_of(width) & !mask == 0,
    }
}
