//! The codec without an engine: guests that are arrays of bytes, honest ones and others.

use bytes::BytesMut;
use isorun_ledger::testing::{Noise, every_kind, random_type};
use isorun_ledger::{RegistryBuilder, TypeDef, TypeId, TypeRegistry};
use neopack::VALUE_BYTES_MAX;
use proptest::prelude::*;
use wasmtime::{Result, bail};

use super::lift::{Encoding, LiftError, Lifter, Slots};
use super::lower::{Guest, Lowerer};
use super::plan::Plan;
use crate::codec::encode_vals;
use crate::testing::random_val;

const ENCODINGS: [Encoding; 3] = [Encoding::Utf8, Encoding::Utf16, Encoding::Latin1OrUtf16];

/// A guest with a memory and nothing else.
struct Bytes {
    memory: Vec<u8>,
    top: usize,
}

impl Guest for &mut Bytes {
    fn memory(&mut self) -> &mut [u8] {
        &mut self.memory
    }

    fn allot(&mut self, align: u32, bytes: usize) -> Result<usize> {
        let at = self.top.next_multiple_of(align as usize);
        self.top = at + bytes;
        // What was there before is not zero: padding must not matter.
        self.memory.resize(self.memory.len().max(self.top), 0xa5);
        Ok(at)
    }

    fn is_utf8(&self) -> bool {
        true
    }

    fn text(&mut self, text: &[u8]) -> Result<(u32, u32)> {
        let at = self.allot(1, text.len())?;
        self.memory()[at..][..text.len()].copy_from_slice(text);
        Ok((u32::try_from(at)?, u32::try_from(text.len())?))
    }
}

impl Slots for [u64] {
    fn u32(&self, at: usize) -> u32 {
        self[at] as u32
    }

    fn u64(&self, at: usize) -> u64 {
        self[at]
    }
}

/// From where a guest's values are lifted.
enum From<'a> {
    Memory(usize),
    Flat(&'a [u64]),
}

/// What was lifted, or what the guest is told.
fn lift(plan: &Plan, memory: &[u8], encoding: Encoding, from: From<'_>, fuel: usize) -> Result<Option<Vec<u8>>> {
    let mut out = BytesMut::new();
    let mut left = fuel;
    let charge = |bytes: usize| match left.checked_sub(bytes) {
        Some(rest) => {
            left = rest;
            Ok(())
        }
        None => bail!("out of fuel"),
    };
    let mut lifter = Lifter { plan, memory, encoding, charge, out: &mut out, start: 0 };
    let lifted = match from {
        From::Memory(at) => lifter.memory(at),
        From::Flat(slots) => lifter.flat(slots),
    };
    assert!(out.len() <= VALUE_BYTES_MAX as usize + MORE, "{} bytes", out.len());
    match lifted {
        Ok(()) => Ok(Some(out.to_vec())),
        Err(LiftError::TooLarge) => Ok(None),
        Err(LiftError::Guest(error)) => Err(error),
    }
}

/// What one item may take beside the values that are bounded one by one.
const MORE: usize = 1 << 20;

fn subject(seed: u64) -> (TypeRegistry, TypeId, Plan, Noise<'static>) {
    let mut noise = Noise::of_seed(seed);
    let mut builder = RegistryBuilder::new();
    let depth = noise.below(5);
    let ty = if noise.below(4) == 0 {
        let kinds = every_kind(&mut builder);
        kinds[noise.below(kinds.len())]
    } else {
        random_type(&mut builder, &mut noise, depth)
    };
    let types = builder.finish();
    let plan = Plan::new(&types, [ty]).unwrap();
    (types, ty, plan, noise)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 16 } else { 600 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_lowered_is_what_is_lifted(seed: u64) {
        let (types, ty, plan, mut noise) = subject(seed);
        let val = random_val(&types, ty, &mut noise);
        let packed = encode_vals(&types, [(ty, &val)]).unwrap();
        prop_assert!(plan.check(&packed).is_ok());

        let mut guest = Bytes { memory: Vec::new(), top: 1 };
        let at = Lowerer::new(&plan, &packed, &mut guest).memory().unwrap();
        let lifted = lift(&plan, &guest.memory, Encoding::Utf8, From::Memory(at), usize::MAX).unwrap();
        prop_assert_eq!(lifted.unwrap(), packed.clone());

        if plan.layout().2 <= 16 {
            let mut slots = vec![0; plan.layout().2 as usize];
            Lowerer::new(&plan, &packed, &mut guest).flat(&mut slots).unwrap();
            // What is above 32 bits of a smaller value is nobody's.
            let lifted = lift(&plan, &guest.memory, Encoding::Utf8, From::Flat(&slots), usize::MAX).unwrap();
            prop_assert_eq!(lifted.unwrap(), packed);
        }
    }

    #[test]
    fn any_memory_is_lifted_to_values_of_the_type_or_refused(seed: u64, bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let (_, _, plan, mut noise) = subject(seed);
        let encoding = ENCODINGS[noise.below(3)];
        // Small numbers make pointers that overlap and lengths that fit more often than chance would.
        let memory: Vec<u8> = bytes.iter().map(|byte| if byte % 3 > 0 { byte % 5 * 8 } else { *byte }).collect();
        for _ in 0..8 {
            let at = noise.below(memory.len() + 9);
            if let Ok(Some(packed)) = lift(&plan, &memory, encoding, From::Memory(at), 1 << 16) {
                prop_assert!(plan.check(&packed).is_ok(), "{packed:02x?}");
            }
            if plan.layout().2 <= 16 {
                let slots: Vec<u64> = (0..plan.layout().2).map(|_| match noise.below(3) {
                    0 => noise.below(64) as u64,
                    1 => u64::from(u32::MAX) - noise.below(9) as u64,
                    _ => noise.bits(),
                }).collect();
                if let Ok(Some(packed)) = lift(&plan, &memory, encoding, From::Flat(&slots), 1 << 16) {
                    prop_assert!(plan.check(&packed).is_ok(), "{packed:02x?}");
                }
            }
        }
    }
}

fn plan_of(def: impl FnOnce(&mut RegistryBuilder) -> TypeId) -> Plan {
    let mut builder = RegistryBuilder::new();
    let ty = def(&mut builder);
    Plan::new(&builder.finish(), [ty]).unwrap()
}

fn told(plan: &Plan, memory: &[u8], slots: &[u64]) -> String {
    lift(plan, memory, Encoding::Utf8, From::Flat(slots), usize::MAX).unwrap_err().to_string()
}

#[test]
fn pointers_and_lengths_are_not_believed() {
    let text = plan_of(|types| types.intern(TypeDef::String, None).unwrap());
    let memory = b"0123456789abcdef".repeat(4);
    let near_all = u64::from(u32::MAX);
    assert!(told(&text, &memory, &[0, 65]).contains("out of bounds"));
    assert!(told(&text, &memory, &[64, 1]).contains("out of bounds"));
    assert!(told(&text, &memory, &[near_all, near_all]).contains("out of bounds"));
    assert!(told(&text, b"\xff", &[0, 1]).contains("utf-8"));
    let longs = plan_of(|types| {
        let long = types.intern(TypeDef::U64, None).unwrap();
        types.intern(TypeDef::List(long), None).unwrap()
    });
    assert!(told(&longs, &memory, &[4, 1]).contains("not aligned"));
    assert!(told(&longs, &memory, &[0, 9]).contains("out of bounds"));
    // 2^29 + 1 items of 8 bytes are 8 bytes in 32 bits.
    assert!(told(&longs, &memory, &[0, (1 << 29) + 1]).contains("out of bounds"));
    let choice = plan_of(|types| {
        let number = types.intern(TypeDef::U8, None).unwrap();
        types.intern(TypeDef::Option(number), None).unwrap()
    });
    assert!(told(&choice, &memory, &[2, 0]).contains("discriminant"));
    let char = plan_of(|types| types.intern(TypeDef::Char, None).unwrap());
    assert!(told(&char, &memory, &[0xd800]).contains("not a char"));
}

#[test]
fn many_pointers_to_one_long_text_end_at_the_limit_of_a_value() {
    let texts = plan_of(|types| {
        let text = types.intern(TypeDef::String, None).unwrap();
        types.intern(TypeDef::List(text), None).unwrap()
    });
    // Each of 1,000 texts is the same 100,000 bytes.
    let mut memory: Vec<u8> = (0..1_000).flat_map(|_| [8_000_u32, 100_000]).flat_map(u32::to_le_bytes).collect();
    memory.resize(108_000, b'x');
    let all = [0, 1_000];
    assert_eq!(lift(&texts, &memory, Encoding::Utf8, From::Flat(&all), usize::MAX).unwrap(), None);
    let error = lift(&texts, &memory, Encoding::Utf8, From::Flat(&all), 300_000).unwrap_err();
    assert_eq!(error.to_string(), "out of fuel");
}
