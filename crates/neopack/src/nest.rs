//! Where in a value an encoder or decoder stands: the stack both share.

use crate::error::Place;
use crate::limits::{DEPTH_MAX, Limits};

/// One open container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) place: Place,
    /// Containers around an item directly in this one.
    depth: u8,
    /// Items that may still come: exact where the container has a count, else an upper bound.
    pub(crate) left: u32,
    /// The decoder: where the container ends. The encoder: where its length stands.
    pub(crate) mark: u32,
}

impl Frame {
    const EMPTY: Self = Self { place: Place::Root, depth: 0, left: 0, mark: 0 };
}

/// What the next item is to the container it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// An item of the container itself.
    Plain,
    /// What an open Some holds.
    Some,
    /// What an open Variant, ResultOk or ResultErr holds, so it may be Unit.
    Choice,
}

/// The open containers.
///
/// A wrapper (Some, Variant, ...) needs no frame: the item it holds takes its place in the container, and all that is
/// left of it is one level of depth until that item is complete.
#[derive(Clone)]
pub(crate) struct Nest {
    pub(crate) top: Frame,
    pub(crate) slot: Slot,
    depth: u8,
    depth_max: u8,
    held: u8,
    /// The outermost frames below `top`.
    near: [Frame; NEAR],
    /// The frames after those; most values need none, and clearing room for them takes longer than reading a small one.
    far: Option<[Frame; DEPTH_MAX - NEAR]>,
}

/// Frames that every encoder and decoder has room for.
const NEAR: usize = 8;

/// A [`Nest`] as it was, to return to as long as nothing below it was closed.
#[derive(Clone, Copy)]
pub(crate) struct Point {
    top: Frame,
    slot: Slot,
    depth: u8,
    held: u8,
}

impl Nest {
    #[inline]
    pub(crate) fn new(limits: Limits, mark: u32) -> Self {
        Self {
            top: Frame { place: Place::Root, depth: 0, left: 1, mark },
            slot: Slot::Plain,
            depth: 0,
            depth_max: limits.depth() as u8,
            held: 0,
            near: [Frame::EMPTY; NEAR],
            far: None,
        }
    }

    pub(crate) fn depth_max(&self) -> usize {
        usize::from(self.depth_max)
    }

    /// Levels of depth that an item placed here may still use.
    #[inline]
    pub(crate) fn depth_left(&self) -> usize {
        usize::from(self.depth_max.saturating_sub(self.depth))
    }

    /// Containers that are open, wrappers aside.
    #[inline]
    pub(crate) fn held(&self) -> u8 {
        self.held
    }

    /// Whether Unit may stand here.
    #[inline]
    pub(crate) fn admits_unit(&self) -> bool {
        match self.slot {
            Slot::Choice => true,
            Slot::Plain => self.top.place == Place::Root,
            Slot::Some => false,
        }
    }

    /// An item ended here; wrappers around it end with it.
    #[inline]
    pub(crate) fn complete(&mut self) {
        self.slot = Slot::Plain;
        self.depth = self.top.depth;
        self.top.left = self.top.left.wrapping_sub(1);
    }

    /// Opens a wrapper; false if that is too deep.
    #[inline]
    #[must_use]
    pub(crate) fn wrap(&mut self, slot: Slot) -> bool {
        if self.depth >= self.depth_max {
            return false;
        }
        self.depth += 1;
        self.slot = slot;
        true
    }

    /// Opens a container; false if that is too deep.
    #[inline]
    #[must_use]
    pub(crate) fn open(&mut self, place: Place, left: u32, mark: u32) -> bool {
        if self.depth >= self.depth_max {
            return false;
        }
        match self.near.get_mut(usize::from(self.held)) {
            Some(parent) => *parent = self.top,
            None => self.push_far(),
        }
        self.held += 1;
        self.depth += 1;
        self.slot = Slot::Plain;
        self.top = Frame { place, depth: self.depth, left, mark };
        true
    }

    /// Closes the innermost container, which completes an item of the one around it.
    #[inline]
    pub(crate) fn close(&mut self) {
        let Some(held) = self.held.checked_sub(1) else { return };
        self.top = match self.near.get(usize::from(held)) {
            Some(parent) => *parent,
            None => self.top_far(held),
        };
        self.held = held;
        self.complete();
    }

    #[cold]
    #[inline(never)]
    fn push_far(&mut self) {
        let far = self.far.get_or_insert([Frame::EMPTY; DEPTH_MAX - NEAR]);
        // There are never more frames than levels of depth, so there is always room.
        if let Some(parent) = far.get_mut(usize::from(self.held) - NEAR) {
            *parent = self.top;
        }
    }

    #[cold]
    #[inline(never)]
    fn top_far(&self, at: u8) -> Frame {
        let far = self.far.as_ref().and_then(|far| far.get(usize::from(at) - NEAR));
        far.copied().unwrap_or(Frame::EMPTY)
    }

    pub(crate) fn point(&self) -> Point {
        Point { top: self.top, slot: self.slot, depth: self.depth, held: self.held }
    }

    pub(crate) fn return_to(&mut self, point: Point) {
        self.top = point.top;
        self.slot = point.slot;
        self.depth = point.depth;
        self.held = point.held;
    }
}

struct Parents<'n>(&'n Nest);

impl core::fmt::Debug for Parents<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let frames = self.0.near.iter().chain(self.0.far.iter().flatten());
        f.debug_list().entries(frames.take(usize::from(self.0.held))).finish()
    }
}

impl core::fmt::Debug for Nest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Nest")
            .field("top", &self.top)
            .field("slot", &self.slot)
            .field("depth", &self.depth)
            .field("parents", &Parents(self))
            .finish()
    }
}
