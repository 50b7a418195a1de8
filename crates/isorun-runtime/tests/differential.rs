//! The codec against a second, naive writing of the same format: random types, random values, damaged bytes, and every
//! nesting up to the limit and past it.

#[path = "support/plain.rs"]
mod plain;

use isorun_ledger::testing::{Noise, every_kind, random_type, type_of_depth};
use isorun_ledger::{RegistryBuilder, TypeId, TypeRegistry};
use isorun_runtime::codec::{CodecFault, decode_vals, encode_vals};
use isorun_runtime::testing::{deepest_val, random_val};
use isorun_runtime::wasmtime::component::Val;
use neopack::{DEPTH_MAX, DecodeError, EncodeError, ShapeFault};
use plain::plain_vals;
use proptest::prelude::*;

/// What unpacked values may take; none here comes near.
const ROOM: u64 = 64 << 20;
/// What is left for one argument within the struct of all.
const DEPTH: usize = DEPTH_MAX - 1;

/// Types, and values of them, as a call has them.
struct Args {
    types: TypeRegistry,
    params: Vec<TypeId>,
    vals: Vec<Val>,
}

impl Args {
    /// Up to three random arguments of a seed.
    fn random(seed: u64, depth_max: usize) -> Self {
        let mut noise = Noise::of_seed(seed);
        let mut builder = RegistryBuilder::new();
        let params: Vec<TypeId> =
            (0..1 + noise.below(3)).map(|_| random_type(&mut builder, &mut noise, depth_max)).collect();
        Self::of(builder, params, &mut noise)
    }

    fn of(builder: RegistryBuilder, params: Vec<TypeId>, noise: &mut Noise<'_>) -> Self {
        let types = builder.finish();
        let vals = params.iter().map(|ty| random_val(&types, *ty, noise)).collect();
        Self { types, params, vals }
    }

    fn encode(&self, vals: &[Val]) -> Vec<u8> {
        encode_vals(&self.types, self.params.iter().copied().zip(vals)).unwrap_or_else(|e| panic!("{e}\n{vals:?}"))
    }

    fn plain(&self, vals: &[Val]) -> Vec<u8> {
        plain_vals(&self.types, self.params.iter().copied().zip(vals))
    }

    fn decode(&self, packed: &[u8]) -> Result<Vec<Val>, CodecFault> {
        decode_vals(&self.types, self.params.iter().copied(), packed, ROOM).map_err(|e| e.fault)
    }

    fn wit(&self) -> String {
        let params: Vec<String> = self.params.iter().map(|ty| self.types.wit(*ty).to_string()).collect();
        params.join(", ")
    }

    /// Both write the same bytes, and the codec reads the values back out of them; the bytes.
    fn agreed(&self) -> Vec<u8> {
        let packed = self.encode(&self.vals);
        assert_eq!(hex(&packed), hex(&self.plain(&self.vals)), "{}\n{:?}", self.wit(), self.vals);
        let back = self.decode(&packed).unwrap_or_else(|e| panic!("{e}\n{}\n{:?}", self.wit(), self.vals));
        assert_eq!(back, self.vals, "{}", self.wit());
        packed
    }

    /// Bytes from anywhere are refused, or values whose packed form they are; whether they were taken.
    fn refused_or_canonical(&self, bytes: &[u8]) -> bool {
        let Ok(vals) = self.decode(bytes) else { return false };
        assert_eq!(hex(&self.encode(&vals)), hex(bytes), "{}\n{vals:?}", self.wit());
        assert_eq!(hex(&self.plain(&vals)), hex(bytes), "{}\n{vals:?}", self.wit());
        true
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn values_of_every_kind_are_written_as_the_specification_says() {
    for seed in 0..20 {
        let mut builder = RegistryBuilder::new();
        let params = every_kind(&mut builder);
        Args::of(builder, params, &mut Noise::of_seed(seed)).agreed();
    }
}

#[test]
fn values_are_written_as_the_specification_says_at_every_nesting_up_to_the_limit() {
    for depth in 0..=DEPTH {
        for seed in 0..24 {
            let mut noise = Noise::of_seed(seed << 8 | depth as u64);
            let mut builder = RegistryBuilder::new();
            let ty = type_of_depth(&mut builder, &mut noise, depth);
            let mut args = Args::of(builder, vec![ty], &mut noise);
            args.agreed();
            args.vals = vec![deepest_val(&args.types, ty, &mut noise)];
            args.agreed();
        }
    }
}

#[test]
fn one_nesting_past_the_limit_is_refused_by_both_directions() {
    for seed in 0..200 {
        let mut noise = Noise::of_seed(seed);
        let mut builder = RegistryBuilder::new();
        let ty = type_of_depth(&mut builder, &mut noise, DEPTH + 1);
        let types = builder.finish();
        let vals = [deepest_val(&types, ty, &mut noise)];
        let fault = encode_vals(&types, [(ty, &vals[0])]).unwrap_err().fault;
        assert!(matches!(fault, CodecFault::Encode(EncodeError::TooDeep { .. })), "seed {seed}: {fault:?}");
        let fault = decode_vals(&types, [ty], &plain_vals(&types, [(ty, &vals[0])]), ROOM).unwrap_err().fault;
        let CodecFault::Decode(error) = fault else { panic!("seed {seed}: {fault:?}") };
        // The deepest container may be a group of a shape.
        let too_deep = match error {
            DecodeError::TooDeep { .. } => true,
            DecodeError::BadShape { error, .. } => matches!(error.fault, ShapeFault::TooDeep { .. }),
            _ => false,
        };
        assert!(too_deep, "seed {seed}: {error:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_values_of_random_types_are_written_as_the_specification_says(seed: u64, depth in 0..=DEPTH) {
        Args::random(seed, depth).agreed();
    }

    #[test]
    fn types_and_values_out_of_any_bytes_are_written_as_the_specification_says(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut noise = Noise::of_bytes(&bytes);
        let mut builder = RegistryBuilder::new();
        let params = vec![random_type(&mut builder, &mut noise, DEPTH)];
        Args::of(builder, params, &mut noise).agreed();
    }

    #[test]
    fn changed_bytes_are_refused_or_other_values_in_their_one_form(
        seed: u64, depth in 0..12_usize, at: prop::sample::Index, flip in 1_u8..,
    ) {
        let args = Args::random(seed, depth);
        let mut packed = args.agreed();
        let at = at.index(packed.len());
        packed[at] ^= flip;
        args.refused_or_canonical(&packed);
    }

    #[test]
    fn bytes_cut_short_or_drawn_out_are_refused(
        seed: u64, depth in 0..12_usize, at: prop::sample::Index, more: u8,
    ) {
        let args = Args::random(seed, depth);
        let mut packed = args.agreed();
        prop_assert!(args.decode(&packed[..at.index(packed.len())]).is_err());
        packed.push(more);
        prop_assert!(args.decode(&packed).is_err());
    }

    #[test]
    fn two_packed_values_spliced_are_refused_or_values_in_their_one_form(
        seed: u64, other: u64, depth in 0..12_usize, cut: prop::sample::Index, from: prop::sample::Index,
        mend: bool,
    ) {
        let mut args = Args::random(seed, depth);
        let front = args.agreed();
        // Other values of the same types: more of what is spliced fits.
        let mut noise = Noise::of_seed(other);
        args.vals = args.params.iter().map(|ty| random_val(&args.types, *ty, &mut noise)).collect();
        let back = args.agreed();
        let mut spliced = front[..cut.index(front.len())].to_vec();
        spliced.extend(&back[from.index(back.len())..]);
        if mend && spliced.len() >= 5 {
            let length = (spliced.len() as u32 - 5).to_le_bytes();
            spliced[..5].copy_from_slice(&[0x14, length[0], length[1], length[2], length[3]]);
        }
        args.refused_or_canonical(&spliced);
    }

    #[test]
    fn the_values_of_some_types_read_as_others_are_refused_or_values_in_their_one_form(
        seed: u64, other: u64, depth in 0..4_usize,
    ) {
        Args::random(other, depth).refused_or_canonical(&Args::random(seed, depth).agreed());
    }
}
