//! Random types for tests, the same for the same seed or the same bytes.
//!
//! Here with the feature `testing`, which adds this module and changes nothing else. Numbers come from a [`Noise`], so a
//! failure is told by its seed, and a fuzzer's bytes serve as well.
//!
//! ```
//! use isorun_ledger::RegistryBuilder;
//! use isorun_ledger::testing::{Noise, random_type, type_of_depth};
//!
//! let mut builder = RegistryBuilder::new();
//! let any = random_type(&mut builder, &mut Noise::of_seed(1), 5);
//! assert!(builder.types().depth(any) <= 5);
//! let deep = type_of_depth(&mut builder, &mut Noise::of_seed(2), 63);
//! assert_eq!(builder.types().depth(deep), 63);
//! ```

mod noise;

pub use noise::Noise;

use crate::registry::RegistryBuilder;
use crate::types::{Case, Field, TypeDef, TypeId};

/// Most types that one [`random_type`] takes a fresh choice for; past them everything is a scalar.
pub const CHOICES_MAX: usize = 40;

/// Counts of enum cases around which a row's layout changes, and small ones.
const CASES: [usize; 7] = [1, 2, 3, 5, 255, 256, 257];
/// The same of flags.
const FLAGS: [usize; 9] = [1, 2, 3, 7, 8, 9, 16, 17, 32];

/// A random type that links carry, at most `depth_max` containers of neopack deep.
///
/// Every plain kind comes up, at every depth that is allowed; rows, and the sizes at which their layout changes, come up
/// more often than chance would have them. Handles, streams, futures and error contexts don't.
///
/// # Panics
/// Where the builder has no room left: one call adds less than 1,500 types.
pub fn random_type(builder: &mut RegistryBuilder, noise: &mut Noise<'_>, depth_max: usize) -> TypeId {
    Choices { builder, noise, left: CHOICES_MAX }.any(depth_max)
}

/// A random type that is exactly `depth` containers of neopack deep, whose values can be small: one part of each
/// container goes deeper, the others are scalars.
///
/// # Panics
/// As [`random_type`].
pub fn type_of_depth(builder: &mut RegistryBuilder, noise: &mut Noise<'_>, depth: usize) -> TypeId {
    let mut choices = Choices { builder, noise, left: usize::MAX };
    let mut ty = choices.scalar();
    for depth in 1..=depth {
        let around = choices.around(ty);
        // A list of `u8` is bytes, and no container.
        ty = if choices.builder.types().depth(around) == depth { around } else { choices.add(TypeDef::Option(ty)) };
    }
    ty
}

/// One type of each plain kind, and the lists whose form depends on their size.
///
/// # Panics
/// As [`random_type`].
pub fn every_kind(builder: &mut RegistryBuilder) -> Vec<TypeId> {
    let mut noise = Noise::of_seed(0);
    let mut choices = Choices { builder, noise: &mut noise, left: 0 };
    let mut all: Vec<TypeId> = (0..SCALARS).map(|which| choices.scalar_of(which)).collect();
    let [u8_, string] = [TypeDef::U8, TypeDef::String].map(|def| choices.add(def));
    for count in CASES {
        all.push(choices.add(TypeDef::Enum(names("c", count))));
    }
    for count in FLAGS {
        all.push(choices.add(TypeDef::Flags(names("b", count))));
    }
    for item in all.clone() {
        all.push(choices.add(TypeDef::List(item)));
        all.push(choices.add(TypeDef::FixedList(item, 3)));
    }
    for kind in 0..CONTAINERS {
        let around = choices.container(kind, string);
        all.push(around);
    }
    // A shape takes 256 nodes: with one more, the list is one of items.
    for items in [255, 256] {
        let row = choices.add(TypeDef::Tuple(vec![u8_; items]));
        all.push(choices.add(TypeDef::List(row)));
    }
    all
}

/// How many kinds of scalars there are, `string`, enums and flags among them.
const SCALARS: usize = 15;
/// How many kinds of containers.
const CONTAINERS: usize = 8;

struct Choices<'b, 'n, 's> {
    builder: &'b mut RegistryBuilder,
    noise: &'n mut Noise<'s>,
    left: usize,
}

impl Choices<'_, '_, '_> {
    /// Any type of at most that depth. It recurses as deep, which the caller chose.
    fn any(&mut self, depth_max: usize) -> TypeId {
        if depth_max == 0 || self.left == 0 {
            return self.scalar();
        }
        self.left -= 1;
        match self.noise.below(10) {
            0 | 1 => self.scalar(),
            2 | 3 => {
                let row = self.row(depth_max - 1);
                self.add(TypeDef::List(row))
            }
            _ => {
                let part = self.any(depth_max - 1);
                self.beside(part, depth_max - 1)
            }
        }
    }

    /// A container with `part` in it, and other parts of at most that depth.
    fn beside(&mut self, part: TypeId, depth_max: usize) -> TypeId {
        let kind = self.noise.below(CONTAINERS);
        if matches!(kind, 0..4) || self.left == 0 {
            return self.container(kind, part);
        }
        let mut parts = vec![part];
        for _ in 0..self.noise.below(4) {
            let depth = self.noise.below(depth_max + 1);
            parts.push(self.any(depth));
        }
        let at = self.noise.below(parts.len());
        parts.swap(0, at);
        self.of_parts(kind, parts)
    }

    /// A container around a type, whose other parts are scalars.
    fn around(&mut self, part: TypeId) -> TypeId {
        let kind = self.noise.below(CONTAINERS);
        self.container(kind, part)
    }

    fn container(&mut self, kind: usize, part: TypeId) -> TypeId {
        match kind {
            0 => self.add(TypeDef::Option(part)),
            1 => self.add(TypeDef::List(part)),
            2 => {
                // Lists in lists multiply.
                let count = if self.builder.types().depth(part) == 0 { 1 + self.noise.below(4) as u32 } else { 1 };
                self.add(TypeDef::FixedList(part, count))
            }
            3 => {
                let key = self.key();
                self.add(TypeDef::Map(key, part))
            }
            kind => {
                let mut parts = vec![part];
                for _ in 0..self.noise.below(3) {
                    parts.push(self.scalar());
                }
                self.of_parts(kind, parts)
            }
        }
    }

    fn of_parts(&mut self, kind: usize, parts: Vec<TypeId>) -> TypeId {
        let def = match kind {
            4 => TypeDef::Tuple(parts),
            5 => {
                let field = |(at, ty)| Field { name: format!("f{at}"), ty };
                TypeDef::Record(parts.into_iter().enumerate().map(field).collect())
            }
            6 => {
                let mut cases: Vec<Option<TypeId>> = parts.into_iter().map(Some).collect();
                if self.noise.below(2) == 1 {
                    cases.insert(self.noise.below(cases.len() + 1), None);
                }
                let case = |(at, ty)| Case { name: format!("v{at}"), ty };
                TypeDef::Variant(cases.into_iter().enumerate().map(case).collect())
            }
            _ => {
                let (one, other) = (parts.first().copied(), parts.get(1).copied());
                let (ok, err) = if self.noise.below(2) == 0 { (one, other) } else { (other, one) };
                TypeDef::Result { ok, err }
            }
        };
        self.add(def)
    }

    /// A type that lists pack as rows, its groups at most that deep; now and then one with too many nodes for it.
    fn row(&mut self, depth_max: usize) -> TypeId {
        if depth_max == 0 || self.noise.below(3) == 0 {
            return self.fixed_width();
        }
        let mut parts = Vec::new();
        for _ in 0..=self.noise.below(5) {
            if depth_max > 1 && self.left > 0 && self.noise.below(4) == 0 {
                self.left -= 1;
                parts.push(self.row(depth_max - 1));
            } else {
                parts.push(self.fixed_width());
            }
        }
        if self.left == CHOICES_MAX - 1 && self.noise.below(40) == 0 {
            parts = vec![self.fixed_width(); 255 + self.noise.below(2)];
        }
        let kind = 4 + self.noise.below(2);
        self.of_parts(kind, parts)
    }

    fn fixed_width(&mut self) -> TypeId {
        // All but the last, which is `string`.
        let which = self.noise.below(SCALARS - 1);
        self.scalar_of(which)
    }

    fn scalar(&mut self) -> TypeId {
        let which = self.noise.below(SCALARS);
        self.scalar_of(which)
    }

    /// What the component model takes as the key of a map.
    fn key(&mut self) -> TypeId {
        let keys =
            [TypeDef::String, TypeDef::Bool, TypeDef::Char, TypeDef::U8, TypeDef::U32, TypeDef::S16, TypeDef::U64];
        let which = self.noise.below(keys.len());
        self.add(keys[which].clone())
    }

    fn scalar_of(&mut self, which: usize) -> TypeId {
        let def = match which {
            0 => TypeDef::Bool,
            1 => TypeDef::U8,
            2 => TypeDef::U16,
            3 => TypeDef::U32,
            4 => TypeDef::U64,
            5 => TypeDef::S8,
            6 => TypeDef::S16,
            7 => TypeDef::S32,
            8 => TypeDef::S64,
            9 => TypeDef::F32,
            10 => TypeDef::F64,
            11 => TypeDef::Char,
            12 => TypeDef::Enum(names("c", CASES[self.noise.below(CASES.len())])),
            13 => TypeDef::Flags(names("b", FLAGS[self.noise.below(FLAGS.len())])),
            _ => TypeDef::String,
        };
        self.add(def)
    }

    fn add(&mut self, def: TypeDef) -> TypeId {
        match self.builder.intern(def, None) {
            Ok(id) => id,
            Err(error) => panic!("{error}"),
        }
    }
}

fn names(of: &str, count: usize) -> Vec<String> {
    (0..count).map(|at| format!("{of}{at}")).collect()
}
