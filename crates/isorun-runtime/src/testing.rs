//! Random values of a ledger's types for tests, the same for the same seed or the same bytes.
//!
//! Here with the feature `testing`, which adds this module and changes nothing else; the types to go with them are in
//! [`isorun_ledger::testing`].
//!
//! ```
//! use isorun_ledger::RegistryBuilder;
//! use isorun_ledger::testing::{Noise, random_type};
//! use isorun_runtime::codec::{decode_vals, encode_vals};
//! use isorun_runtime::testing::random_val;
//!
//! let mut noise = Noise::of_seed(1);
//! let mut builder = RegistryBuilder::new();
//! let ty = random_type(&mut builder, &mut noise, 5);
//! let types = builder.finish();
//! let val = random_val(&types, ty, &mut noise);
//! let packed = encode_vals(&types, [(ty, &val)])?;
//! assert_eq!(decode_vals(&types, [ty], &packed, 1 << 20)?, [val]);
//! # Ok::<(), isorun_runtime::codec::CodecError>(())
//! ```

use isorun_ledger::testing::Noise;
use isorun_ledger::{TypeDef, TypeId, TypeRegistry};
use wasmtime::component::Val;

/// About how many values one value holds, those within it counted: more only where its type leaves no choice.
pub const VALUES_MAX: usize = 400;

/// A random value of a type, edges more often than chance would have them.
///
/// NaNs come with any bits, the keys of a map are distinct, and flags stand in their order.
///
/// # Panics
/// With a type that links don't carry, and as [`TypeRegistry::def`].
#[must_use]
pub fn random_val(types: &TypeRegistry, ty: TypeId, noise: &mut Noise<'_>) -> Val {
    Choices { types, least: least(types), noise, left: VALUES_MAX as u64, deep: false }.any(ty)
}

/// A random value that reaches as deep as its type does: options are there, lists have an item, and of several cases
/// the deepest is chosen.
///
/// # Panics
/// As [`random_val`].
#[must_use]
pub fn deepest_val(types: &TypeRegistry, ty: TypeId, noise: &mut Noise<'_>) -> Val {
    Choices { types, least: least(types), noise, left: VALUES_MAX as u64, deep: true }.any(ty)
}

/// How many values the smallest value of each type holds.
fn least(types: &TypeRegistry) -> Vec<u64> {
    let mut least: Vec<u64> = Vec::with_capacity(types.len());
    for (_, def) in types.iter() {
        let of = |ty: &TypeId| least[ty.index()];
        let of_payload = |ty: Option<TypeId>| ty.map_or(0, |ty| of(&ty));
        let within = match def {
            TypeDef::FixedList(item, count) => of(item).saturating_mul(u64::from(*count)),
            TypeDef::Record(_) | TypeDef::Tuple(_) => {
                def.children().iter().fold(0_u64, |sum, part| sum.saturating_add(of(part)))
            }
            TypeDef::Variant(cases) => cases.iter().map(|case| of_payload(case.ty)).min().unwrap_or(0),
            TypeDef::Result { ok, err } => of_payload(*ok).min(of_payload(*err)),
            _ => 0,
        };
        least.push(within.saturating_add(1));
    }
    least
}

struct Choices<'t, 'n, 's> {
    types: &'t TypeRegistry,
    least: Vec<u64>,
    noise: &'n mut Noise<'s>,
    /// How many values may still come up beyond those that must.
    left: u64,
    deep: bool,
}

impl Choices<'_, '_, '_> {
    /// It recurses as deep as the type, which the test chose.
    fn any(&mut self, ty: TypeId) -> Val {
        self.left = self.left.saturating_sub(1);
        let noise = &mut *self.noise;
        match self.types.def(ty) {
            TypeDef::Bool => Val::Bool(noise.below(2) == 1),
            TypeDef::U8 => Val::U8(noise.bits() as u8),
            TypeDef::U16 => Val::U16(noise.bits() as u16),
            TypeDef::U32 => Val::U32(noise.bits() as u32),
            TypeDef::U64 => Val::U64(noise.bits()),
            TypeDef::S8 => Val::S8(noise.bits() as i8),
            TypeDef::S16 => Val::S16(noise.bits() as i16),
            TypeDef::S32 => Val::S32(noise.bits() as i32),
            TypeDef::S64 => Val::S64(noise.bits() as i64),
            TypeDef::F32 => Val::Float32(float32(noise)),
            TypeDef::F64 => Val::Float64(float64(noise)),
            TypeDef::Char => Val::Char(noise.char()),
            TypeDef::String => {
                let length = noise.length(80);
                Val::String((0..length).map(|_| noise.char()).collect())
            }
            TypeDef::List(item) => {
                let length = self.length(*item);
                Val::List((0..length).map(|_| self.any(*item)).collect())
            }
            TypeDef::FixedList(item, count) => Val::FixedLengthList((0..*count).map(|_| self.any(*item)).collect()),
            TypeDef::Map(key, value) => {
                let mut pairs: Vec<(Val, Val)> = Vec::new();
                for _ in 0..self.length(*value) {
                    let key = self.any(*key);
                    if pairs.iter().all(|(known, _)| *known != key) {
                        let value = self.any(*value);
                        pairs.push((key, value));
                    }
                }
                Val::Map(pairs)
            }
            TypeDef::Record(fields) => {
                Val::Record(fields.iter().map(|field| (field.name.clone(), self.any(field.ty))).collect())
            }
            TypeDef::Tuple(items) => Val::Tuple(items.iter().map(|item| self.any(*item)).collect()),
            TypeDef::Variant(cases) => {
                let payloads: Vec<Option<TypeId>> = cases.iter().map(|case| case.ty).collect();
                let case = &cases[self.case(&payloads)];
                Val::Variant(case.name.clone(), self.payload(case.ty))
            }
            TypeDef::Enum(names) => Val::Enum(names[noise.below(names.len())].clone()),
            TypeDef::Option(item) => {
                let there = self.deep || (self.fits(*item) && self.noise.below(4) > 0);
                Val::Option(if there { self.payload(Some(*item)) } else { None })
            }
            TypeDef::Result { ok, err } => Val::Result(match self.case(&[*ok, *err]) {
                0 => Ok(self.payload(*ok)),
                _ => Err(self.payload(*err)),
            }),
            TypeDef::Flags(names) => {
                let set = noise.bits();
                let set = names.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1);
                Val::Flags(set.map(|(_, name)| name.clone()).collect())
            }
            other => panic!("values of {other:?} are not carried by links"),
        }
    }

    fn payload(&mut self, ty: Option<TypeId>) -> Option<Box<Val>> {
        ty.map(|ty| Box::new(self.any(ty)))
    }

    fn fits(&self, ty: TypeId) -> bool {
        self.least[ty.index()] <= self.left
    }

    /// How many items a list of such items may have.
    fn length(&mut self, item: TypeId) -> usize {
        let length = self.noise.length(70);
        let room = self.left / self.least[item.index()];
        let length = length.min(usize::try_from(room).unwrap_or(usize::MAX));
        if self.deep { length.max(1) } else { length }
    }

    /// Any case that there is room for, else the smallest; the deepest if that is what is wanted.
    fn case(&mut self, payloads: &[Option<TypeId>]) -> usize {
        let places = 0..payloads.len();
        if self.deep {
            let depth = |at: &usize| payloads[*at].map(|ty| 1 + self.types.depth(ty));
            return places.max_by_key(depth).unwrap_or(0);
        }
        let chosen = self.noise.below(payloads.len());
        if payloads[chosen].is_none_or(|ty| self.fits(ty)) {
            return chosen;
        }
        places.min_by_key(|at| payloads[*at].map_or(0, |ty| self.least[ty.index()])).unwrap_or(0)
    }
}

/// Any bits of 32, with the edges of a float more often than chance would have them.
fn float32(noise: &mut Noise<'_>) -> f32 {
    let edges = [0.0, -0.0, 1.5, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MIN_POSITIVE, f32::MAX];
    match noise.below(3) {
        0 => edges[noise.below(edges.len())],
        1 => f32::from_bits(0x7f80_0001 | noise.bits() as u32),
        _ => f32::from_bits(noise.bits() as u32),
    }
}

/// Any bits of 64, as [`float32`].
fn float64(noise: &mut Noise<'_>) -> f64 {
    let edges = [0.0, -0.0, 1.5, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, f64::MIN_POSITIVE, f64::MAX];
    match noise.below(3) {
        0 => edges[noise.below(edges.len())],
        1 => f64::from_bits(0x7ff0_0000_0000_0001 | noise.bits()),
        _ => f64::from_bits(noise.bits()),
    }
}
