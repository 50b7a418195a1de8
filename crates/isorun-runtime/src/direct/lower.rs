//! From the wire to a guest's memory.
//!
//! The bytes have been checked: what is refused here is a mistake of ours, not of a peer's.

use neopack::Tag;
use wasmtime::{Result, bail, format_err};

use super::plan::{Field, Form, Kind, Node, Plan, Rows, Scalar};

/// A guest that values are given to.
pub(super) trait Guest {
    /// All of its memory.
    fn memory(&mut self) -> &mut [u8];
    /// Bytes in its memory that it allots, aligned as asked.
    fn allot(&mut self, align: u32, bytes: usize) -> Result<usize>;
    /// Whether it encodes text as the wire does.
    fn is_utf8(&self) -> bool;
    /// Puts a text into its memory, encoded as it wants: pointer and length.
    fn text(&mut self, text: &[u8]) -> Result<(u32, u32)>;
}

/// Checked bytes, and the guest that they go to.
pub(super) struct Lowerer<'a, G> {
    plan: &'a Plan,
    rest: &'a [u8],
    guest: G,
    /// Whether the guest's texts are as the wire's; asked when there is the first.
    utf8: Option<bool>,
}

impl<'a, G: Guest> Lowerer<'a, G> {
    pub(super) fn new(plan: &'a Plan, packed: &'a [u8], guest: G) -> Self {
        Self { plan, rest: packed, guest, utf8: None }
    }

    /// Gives the values flat; `slots` are all zero, and as many as the values take.
    pub(super) fn flat(mut self, slots: &mut [u64]) -> Result<()> {
        self.head(Tag::Struct)?;
        let mut slot = 0;
        for field in &self.plan.fields {
            let node = self.plan.node(field.node);
            self.slot(node, slots, slot)?;
            slot += node.flat as usize;
        }
        Ok(())
    }

    /// Gives the values in memory that was allotted by somebody else.
    pub(super) fn memory_at(mut self, at: usize) -> Result<()> {
        let plan = self.plan;
        self.fields(&plan.fields, at)
    }

    /// Gives the values in memory that the guest allots: where.
    pub(super) fn memory(mut self) -> Result<usize> {
        let at = self.guest.allot(self.plan.align, self.plan.size as usize)?;
        self.memory_at(at)?;
        Ok(at)
    }

    fn fields(&mut self, fields: &[Field], at: usize) -> Result<()> {
        self.head(Tag::Struct)?;
        let mut next = 0;
        while let Some(field) = fields.get(next) {
            match field.scalars as usize {
                0 => {
                    self.value(field.node, at + field.at as usize)?;
                    next += 1;
                }
                count => {
                    self.scalars(fields.get(next..next + count).ok_or_else(bug)?, at)?;
                    next += count;
                }
            }
        }
        Ok(())
    }

    /// Puts scalars that lie side by side, looking up the memory once for all.
    fn scalars(&mut self, fields: &[Field], at: usize) -> Result<()> {
        let (Some(first), Some(last)) = (fields.first(), fields.last()) else { return Ok(()) };
        let (from, to) = (first.at as usize, (last.at + self.plan.node(last.node).size) as usize);
        let (mut items, rest) = self.rest.split_at_checked(first.wire as usize).ok_or_else(bug)?;
        self.rest = rest;
        let plan = self.plan;
        let room = self.room(at + from, to - from)?;
        for field in fields {
            let node = plan.node(field.node);
            let room = &mut room[field.at as usize - from..];
            // Copies of a width that is known here are a move each.
            match node.size {
                1 => put::<1>(room, items)?,
                2 => put::<2>(room, items)?,
                4 => put::<4>(room, items)?,
                _ => put::<8>(room, items)?,
            }
            items = items.get(node.wire().ok_or_else(bug)? as usize..).ok_or_else(bug)?;
        }
        Ok(())
    }

    /// Puts a text into memory of its own, and its pointer and length at `at`, looking up the memory once for both.
    fn text(&mut self, at: usize) -> Result<()> {
        let text = self.body()?;
        let Self { guest, utf8, .. } = self;
        if !*utf8.get_or_insert_with(|| guest.is_utf8()) {
            let (pointer, length) = self.guest.text(text)?;
            return self.put(at, u64::from(pointer) | u64::from(length) << 32, 8);
        }
        let to = self.guest.allot(1, text.len())?;
        let (pointer, length) = pair(to, text.len())?;
        let memory = self.guest.memory();
        memory.get_mut(to..).and_then(|room| room.get_mut(..text.len())).ok_or_else(bug)?.copy_from_slice(text);
        let place = memory.get_mut(at..).and_then(|room| room.first_chunk_mut()).ok_or_else(bug)?;
        *place = (u64::from(pointer) | u64::from(length) << 32).to_le_bytes();
        Ok(())
    }

    /// Puts the next value at `at`, where there is room for it.
    fn value(&mut self, node: u32, at: usize) -> Result<()> {
        let plan = self.plan;
        let node = plan.node(node);
        match &node.kind {
            Kind::Scalar(scalar) => {
                let bits = self.scalar(*scalar)?;
                self.put(at, bits, scalar.width())?;
            }
            Kind::Enum { .. } | Kind::Flags { .. } => {
                let (_, number) = self.tagged()?;
                self.put(at, number.into(), node.size)?;
            }
            Kind::Text => self.text(at)?,
            Kind::Bytes | Kind::Rows(_) | Kind::List { .. } | Kind::Map { .. } => {
                let (pointer, length) = self.pointed(node)?;
                self.put(at, u64::from(pointer) | u64::from(length) << 32, 8)?;
            }
            Kind::FixedBytes { .. } => {
                let bytes = self.body()?;
                self.room(at, bytes.len())?.copy_from_slice(bytes);
            }
            Kind::FixedRows { rows, .. } => {
                let (_, bytes) = self.rows(rows)?;
                put_rows(rows, bytes, self.room(at, node.size as usize)?);
            }
            Kind::FixedList { item, count } => {
                self.head(Tag::List)?;
                self.take::<4>()?;
                let size = plan.node(*item).size as usize;
                for number in 0..*count as usize {
                    self.value(*item, at + number * size)?;
                }
            }
            Kind::Struct(fields) => self.fields(fields, at)?,
            Kind::Choice { form, payload_at, cases } => {
                let index = self.front(*form)?;
                let width = neopack::Width::for_cases(cases.len() as u32).bytes();
                self.put(at, index.into(), width)?;
                match cases.get(index as usize).copied().flatten() {
                    Some(payload) => self.value(payload, at + *payload_at as usize)?,
                    None => self.nothing(*form)?,
                }
            }
        }
        Ok(())
    }

    /// Puts the next value into core values from `at` on.
    ///
    /// Every one is written as 64 bits, so that it is right in a slot that a wider case shares.
    fn slot(&mut self, node: &Node, slots: &mut [u64], at: usize) -> Result<()> {
        let plan = self.plan;
        match &node.kind {
            Kind::Scalar(scalar) => slots[at] = extended(*scalar, self.scalar(*scalar)?),
            Kind::Enum { .. } | Kind::Flags { .. } => slots[at] = self.tagged()?.1.into(),
            Kind::Text | Kind::Bytes | Kind::Rows(_) | Kind::List { .. } | Kind::Map { .. } => {
                let (pointer, length) = self.pointed(node)?;
                slots[at] = pointer.into();
                slots[at + 1] = length.into();
            }
            Kind::FixedBytes { .. } => {
                let bytes = self.body()?;
                slots[at..].iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = (*byte).into());
            }
            Kind::FixedRows { rows, item, .. } => {
                let (_, mut bytes) = self.rows(rows)?;
                let item = plan.node(*item);
                for number in 0..(node.flat / item.flat.max(1)) as usize {
                    self.row_slot(item, slots, at + number * item.flat as usize, &mut bytes)?;
                }
            }
            Kind::FixedList { item, count } => {
                self.head(Tag::List)?;
                self.take::<4>()?;
                let item = plan.node(*item);
                for number in 0..*count as usize {
                    self.slot(item, slots, at + number * item.flat as usize)?;
                }
            }
            Kind::Struct(fields) => {
                self.head(Tag::Struct)?;
                let mut at = at;
                for field in fields {
                    let node = plan.node(field.node);
                    self.slot(node, slots, at)?;
                    at += node.flat as usize;
                }
            }
            Kind::Choice { form, cases, .. } => {
                let index = self.front(*form)?;
                slots[at] = index.into();
                match cases.get(index as usize).copied().flatten() {
                    Some(payload) => self.slot(plan.node(payload), slots, at + 1)?,
                    None => self.nothing(*form)?,
                }
            }
        }
        Ok(())
    }

    /// Puts the scalars of a row into core values.
    fn row_slot(&mut self, node: &Node, slots: &mut [u64], at: usize, row: &mut &[u8]) -> Result<()> {
        let plan = self.plan;
        let mut next = |width: u32| -> Result<u64> {
            let (bytes, rest) = row.split_at_checked(width as usize).ok_or_else(bug)?;
            *row = rest;
            Ok(wide(bytes))
        };
        match &node.kind {
            Kind::Scalar(scalar) => slots[at] = extended(*scalar, next(scalar.width())?),
            Kind::Enum { .. } | Kind::Flags { .. } => slots[at] = next(node.size)?,
            Kind::Struct(fields) => {
                let mut at = at;
                for field in fields {
                    let node = plan.node(field.node);
                    self.row_slot(node, slots, at, row)?;
                    at += node.flat as usize;
                }
            }
            // A row is made of nothing else.
            _ => return Err(bug()),
        }
        Ok(())
    }

    /// Puts a text, a list or a map into memory of its own: pointer and length.
    fn pointed(&mut self, node: &Node) -> Result<(u32, u32)> {
        let plan = self.plan;
        match &node.kind {
            Kind::Text => {
                let text = self.body()?;
                self.guest.text(text)
            }
            Kind::Bytes => {
                let bytes = self.body()?;
                let at = self.guest.allot(1, bytes.len())?;
                self.room(at, bytes.len())?.copy_from_slice(bytes);
                pair(at, bytes.len())
            }
            Kind::Rows(rows) => {
                let (count, bytes) = self.rows(rows)?;
                let at = self.list(count, rows.size, rows.align)?;
                put_rows(rows, bytes, self.room(at, count * rows.size as usize)?);
                pair(at, count)
            }
            Kind::List { item } => {
                self.head(Tag::List)?;
                let count = self.count()?;
                let Node { size, align, .. } = *plan.node(*item);
                let at = self.list(count, size, align)?;
                for number in 0..count {
                    self.value(*item, at + number * size as usize)?;
                }
                pair(at, count)
            }
            Kind::Map { key, value, value_at, size, align } => {
                self.head(Tag::Map)?;
                let count = self.count()?;
                let at = self.list(count, *size, *align)?;
                for number in 0..count {
                    let pair = at + number * *size as usize;
                    self.value(*key, pair)?;
                    self.value(*value, pair + *value_at as usize)?;
                }
                pair(at, count)
            }
            // Nothing else is passed by pointer.
            _ => Err(bug()),
        }
    }

    /// Memory for a list's items.
    fn list(&mut self, count: usize, size: u32, align: u32) -> Result<usize> {
        match count.checked_mul(size as usize).filter(|bytes| u32::try_from(*bytes).is_ok()) {
            Some(bytes) => self.guest.allot(align, bytes),
            None => bail!("a list of {count} items is larger than a guest's memory"),
        }
    }

    fn room(&mut self, at: usize, bytes: usize) -> Result<&mut [u8]> {
        self.guest.memory().get_mut(at..).and_then(|rest| rest.get_mut(..bytes)).ok_or_else(bug)
    }

    fn put(&mut self, at: usize, bits: u64, width: u32) -> Result<()> {
        let width = width as usize;
        self.room(at, width)?.copy_from_slice(&bits.to_le_bytes()[..width]);
        Ok(())
    }

    fn rows(&mut self, rows: &Rows) -> Result<(usize, &'a [u8])> {
        let body = self.body()?;
        let body = body.get(rows.shape.len()..).ok_or_else(bug)?;
        let (count, bytes) = body.split_first_chunk().ok_or_else(bug)?;
        Ok((u32::from_le_bytes(*count) as usize, bytes))
    }

    fn front(&mut self, form: Form) -> Result<u32> {
        match form {
            Form::Variant => Ok(self.tagged()?.1),
            Form::Option | Form::Result => {
                let [tag] = self.take()?;
                Ok(u32::from(tag == Tag::Some as u8 || tag == Tag::ResultErr as u8))
            }
        }
    }

    /// Reads what stands where a case carries nothing.
    fn nothing(&mut self, form: Form) -> Result<()> {
        match form {
            Form::Variant | Form::Result => self.take::<1>().map(drop),
            Form::Option => Ok(()),
        }
    }

    fn scalar(&mut self, scalar: Scalar) -> Result<u64> {
        let (bytes, rest) = self.rest.split_at_checked(1 + scalar.width() as usize).ok_or_else(bug)?;
        self.rest = rest;
        Ok(wide(&bytes[1..]))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or_else(bug)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn count(&mut self) -> Result<usize> {
        Ok(u32::from_le_bytes(self.take()?) as usize)
    }

    fn tagged(&mut self) -> Result<(u8, u32)> {
        let [tag, a, b, c, d] = self.take()?;
        Ok((tag, u32::from_le_bytes([a, b, c, d])))
    }

    /// Reads a container's tag and length.
    fn head(&mut self, tag: Tag) -> Result<()> {
        let (found, _) = self.tagged()?;
        if found == tag as u8 { Ok(()) } else { Err(bug()) }
    }

    /// The bytes that the length after a tag speaks of.
    fn body(&mut self) -> Result<&'a [u8]> {
        let (_, length) = self.tagged()?;
        let (body, rest) = self.rest.split_at_checked(length as usize).ok_or_else(bug)?;
        self.rest = rest;
        Ok(body)
    }
}

/// Puts the number behind the tag at the front of `item`.
fn put<const N: usize>(room: &mut [u8], item: &[u8]) -> Result<()> {
    let bits = item.get(1..).and_then(|bits| bits.first_chunk::<N>()).ok_or_else(bug)?;
    *room.first_chunk_mut::<N>().ok_or_else(bug)? = *bits;
    Ok(())
}

/// Puts rows where their items belong, leaving what lies between values as it is.
fn put_rows(rows: &Rows, bytes: &[u8], room: &mut [u8]) {
    if rows.is_plain() {
        room.copy_from_slice(bytes);
        return;
    }
    let items = room.chunks_exact_mut(rows.size as usize);
    for (row, item) in bytes.chunks_exact(rows.width as usize).zip(items) {
        for run in &rows.runs {
            let (from, to, len) = (run.row_at as usize, run.memory_at as usize, run.len as usize);
            item[to..to + len].copy_from_slice(&row[from..from + len]);
        }
    }
}

/// A core value's 64 bits: small signed numbers are signed in the 32 bits that they are passed in.
fn extended(scalar: Scalar, bits: u64) -> u64 {
    match scalar {
        Scalar::S8 => u64::from(i32::from(bits as u8 as i8) as u32),
        Scalar::S16 => u64::from(i32::from(bits as u16 as i16) as u32),
        _ => bits,
    }
}

fn wide(bytes: &[u8]) -> u64 {
    let mut all = [0; 8];
    let width = bytes.len().min(8);
    all[..width].copy_from_slice(&bytes[..width]);
    u64::from_le_bytes(all)
}

fn pair(at: usize, length: usize) -> Result<(u32, u32)> {
    Ok((u32::try_from(at)?, u32::try_from(length)?))
}

/// The bytes are not what was checked.
fn bug() -> wasmtime::Error {
    format_err!("bug: packed values are not what was checked")
}
