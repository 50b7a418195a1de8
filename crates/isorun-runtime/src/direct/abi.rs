//! Where plans meet the engine: the one user of its inner traits, but for `concurrent` beside it.
//!
//! `Lift` and `Lower` are how the engine hands over a guest's memory. Their implementations here are of four types that
//! mean "values of whatever type the function has": an import's arguments and results, an export's. What those are is
//! read from the engine's own types when a component is linked, kept as a [`Plan`], and found again by the identity of
//! the component's type table. The engine is pinned to one exact version; ADR 15 says what an upgrade has to look at.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::sync::{Arc, LazyLock, Weak};

use bytes::Bytes;
use isorun_core::Failure;
use isorun_ledger::{Case, Field, RegistryBuilder, TypeDef, TypeId};
use parking_lot::RwLock;
use wasmtime::component::__internal::wasmtime_environ::component::StringEncoding;
use wasmtime::component::__internal::{
    CanonicalAbiInfo, ComponentTypes, InstanceType, InterfaceType, LiftContext, LowerContext,
};
use wasmtime::component::{ComponentNamedList, ComponentType, Lift, Lower};
use wasmtime::{Result, ValRaw, bail, format_err};

use super::buffer::Packed;
use super::lift::{Encoding, LiftError, Lifter, Slots, TooLarge};
use super::lower::{Guest, Lowerer};
use super::plan::Plan;
use crate::stub::Stub;

/// Most core values that parameters are passed in; more go through memory.
pub(super) const FLAT_PARAMS_MAX: usize = 16;
/// Most core values that results are returned in.
pub(super) const FLAT_RESULTS_MAX: usize = 1;

/// A guest's arguments to an import, packed; `N` is the number of core values they are passed in.
pub(super) struct Arguments<const N: usize>(pub(super) std::result::Result<Packed, TooLarge>);

/// What a call of an import brought, on its way to the guest; `N` is the number of core values it is returned in.
pub(super) struct Outcome<const N: usize> {
    pub(super) brought: Brought,
    pub(super) import: Arc<Import>,
}

/// What a call brought.
pub(crate) enum Brought {
    /// Results that this process packed, from the same types.
    Ours(Packed),
    /// What somebody told us, who may be anybody.
    Told(std::result::Result<Bytes, Failure>),
}

impl<const N: usize> Outcome<N> {
    /// What the guest gets, packed and checked.
    fn packed(&self, plan: &Plan) -> Result<Cow<'_, [u8]>> {
        match &self.brought {
            Brought::Ours(packed) => Ok(Cow::Borrowed(packed)),
            Brought::Told(Ok(packed)) if plan.check(packed).is_ok() => Ok(Cow::Borrowed(packed)),
            Brought::Told(Ok(packed)) => self.import.stub.bad_results(packed).map(Cow::Owned),
            Brought::Told(Err(failure)) => self.import.stub.failed(failure).map(Cow::Owned),
        }
    }
}

/// An imported function, and how its results lie in the guest.
pub(super) struct Import {
    pub(super) stub: Stub,
    pub(super) results: Plan,
}

impl Import {
    /// The plan of the results, held against the engine's layout.
    ///
    /// It was made of the ledger's types, which linking has compared with the engine's; this is a second lock on that door.
    fn results_as(&self, theirs: &CanonicalAbiInfo) -> Result<&Plan> {
        agrees(&self.results, theirs)?;
        Ok(&self.results)
    }
}

/// Checked arguments on their way to an export.
pub(super) struct Given<'a> {
    pub(super) packed: &'a [u8],
    pub(super) plan: &'a Plan,
}

/// What an export returned, packed.
pub(super) struct Returned(pub(super) std::result::Result<Packed, TooLarge>);

// SAFETY: `Lower` is an array of `ValRaw`. `ABI` says nothing of the type, which differs from function to function: the
// engine uses it only to reserve memory for parameters past 16 core values and for results past one, and `flatten_count`
// below (the array's length) keeps it from both. `typecheck` refuses functions whose core values `N` does not fit.
#[allow(unsafe_code)]
unsafe impl<const N: usize> ComponentType for Arguments<N> {
    type Lower = [ValRaw; N];
    const ABI: CanonicalAbiInfo = CanonicalAbiInfo::ZERO;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
        fits(&*known(types.types, *ty)?, N, FLAT_PARAMS_MAX)
    }
}

// SAFETY: as for `Arguments`.
#[allow(unsafe_code)]
unsafe impl<const N: usize> ComponentType for Outcome<N> {
    type Lower = [ValRaw; N];
    const ABI: CanonicalAbiInfo = CanonicalAbiInfo::ZERO;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
        fits(&*known(types.types, *ty)?, N, FLAT_RESULTS_MAX)
    }
}

// SAFETY: as for `Arguments`, with 16 core values for any function: `linear_lower_to_flat` writes all 16, and reserves
// memory itself where the parameters don't fit.
#[allow(unsafe_code)]
unsafe impl ComponentType for Given<'_> {
    type Lower = [ValRaw; FLAT_PARAMS_MAX];
    const ABI: CanonicalAbiInfo = CanonicalAbiInfo::ZERO;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
        known(types.types, *ty).map(|plan| FOUND.with_borrow_mut(|found| found.push(plan)))
    }
}

// SAFETY: as for `Arguments`, with one core value for any function. Where there is no result the engine still shows one,
// which it shares with the parameters' 16: initialised by `Given`, and not looked at.
#[allow(unsafe_code)]
unsafe impl ComponentType for Returned {
    type Lower = [ValRaw; FLAT_RESULTS_MAX];
    const ABI: CanonicalAbiInfo = CanonicalAbiInfo::ZERO;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
        known(types.types, *ty).map(|plan| FOUND.with_borrow_mut(|found| found.push(plan)))
    }
}

// SAFETY: each stands for a function's whole list of parameters or results, which is what the engine passes as `ty`.
#[allow(unsafe_code)]
unsafe impl<const N: usize> ComponentNamedList for Arguments<N> {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl<const N: usize> ComponentNamedList for Outcome<N> {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl ComponentNamedList for Given<'_> {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl ComponentNamedList for Returned {}

// SAFETY: lifting only reads, through bounds-checked slices of the memory that the engine shows.
#[allow(unsafe_code)]
unsafe impl<const N: usize> Lift for Arguments<N> {
    fn linear_lift_from_flat(cx: &mut LiftContext<'_>, ty: InterfaceType, src: &[ValRaw; N]) -> Result<Self> {
        lift(cx, ty, Source::Flat(src)).map(Self)
    }

    fn linear_lift_from_memory(cx: &mut LiftContext<'_>, ty: InterfaceType, bytes: &[u8]) -> Result<Self> {
        // The engine has checked where the parameters lie and shows the bytes from there on, `ABI`'s none of them: their
        // address is all that it says. Should it ever be another memory's, the place is outside this one and is refused.
        let at = (bytes.as_ptr() as usize).wrapping_sub(cx.memory().as_ptr() as usize);
        lift(cx, ty, Source::Memory(at)).map(Self)
    }
}

// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Lift for Returned {
    fn linear_lift_from_flat(
        cx: &mut LiftContext<'_>,
        ty: InterfaceType,
        src: &[ValRaw; FLAT_RESULTS_MAX],
    ) -> Result<Self> {
        lift(cx, ty, Source::FlatOrPointer(src, FLAT_RESULTS_MAX)).map(Self)
    }

    fn linear_lift_from_memory(_: &mut LiftContext<'_>, _: InterfaceType, _: &[u8]) -> Result<Self> {
        bail!("bug: results of one core value come flat")
    }
}

// SAFETY: every core value of `dst` is written; memory is written only through bounds-checked slices.
#[allow(unsafe_code)]
unsafe impl<const N: usize> Lower for Outcome<N> {
    fn linear_lower_to_flat<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        dst: &mut MaybeUninit<[ValRaw; N]>,
    ) -> Result<()> {
        let plan = self.import.results_as(cx.types.canonical_abi(&ty))?;
        let packed = self.packed(plan)?;
        let mut slots = [0; N];
        Lowerer::new(plan, &packed, cx).flat(&mut slots)?;
        dst.write(slots.map(ValRaw::u64));
        Ok(())
    }

    fn linear_lower_to_memory<T>(&self, cx: &mut LowerContext<'_, T>, ty: InterfaceType, offset: usize) -> Result<()> {
        let plan = self.import.results_as(cx.types.canonical_abi(&ty))?;
        let packed = self.packed(plan)?;
        Lowerer::new(plan, &packed, cx).memory_at(offset)
    }
}

// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Lower for Given<'_> {
    fn linear_lower_to_flat<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        _: InterfaceType,
        dst: &mut MaybeUninit<[ValRaw; FLAT_PARAMS_MAX]>,
    ) -> Result<()> {
        let mut slots = [0; FLAT_PARAMS_MAX];
        let lowerer = Lowerer::new(self.plan, self.packed, cx);
        if self.plan.flat as usize <= FLAT_PARAMS_MAX {
            lowerer.flat(&mut slots)?;
        } else {
            slots[0] = lowerer.memory()? as u64;
        }
        dst.write(slots.map(ValRaw::u64));
        Ok(())
    }

    fn linear_lower_to_memory<T>(&self, _: &mut LowerContext<'_, T>, _: InterfaceType, _: usize) -> Result<()> {
        bail!("bug: parameters of 16 core values go flat")
    }
}

/// Where values lie.
pub(super) enum Source<'a> {
    Flat(&'a [ValRaw]),
    Memory(usize),
    /// Flat if there are no more than so many, else the first is the place in memory.
    FlatOrPointer(&'a [ValRaw], usize),
}

/// Packs the values of a function's parameters or results.
pub(super) fn lift(
    cx: &mut LiftContext<'_>,
    ty: InterfaceType,
    source: Source<'_>,
) -> Result<std::result::Result<Packed, TooLarge>> {
    let types = cx.types;
    let mut packed = Packed::new();
    let lifted = with_known(types, ty, |plan| {
        let encoding = encoding(cx.options().string_encoding);
        let memory = cx.memory();
        let charge = |bytes: usize| cx.consume_fuel(bytes);
        let mut lifter = Lifter { plan, memory, encoding, charge, out: packed.buffer(), start: 0 };
        Ok(match source {
            Source::Flat(slots) => lifter.flat(slots),
            Source::Memory(at) => lifter.memory(at),
            Source::FlatOrPointer(slots, max) if plan.flat as usize <= max => lifter.flat(slots),
            Source::FlatOrPointer([pointer, ..], _) => lifter.memory(pointer.get_u32() as usize),
            Source::FlatOrPointer([], _) => bail!("bug: no room for a pointer"),
        })
    })?;
    match lifted {
        Ok(()) => Ok(Ok(packed)),
        Err(LiftError::TooLarge) => Ok(Err(TooLarge)),
        Err(LiftError::Guest(error)) => Err(error),
    }
}

impl Slots for [ValRaw] {
    fn u32(&self, at: usize) -> u32 {
        self[at].get_u32()
    }

    fn u64(&self, at: usize) -> u64 {
        self[at].get_u64()
    }
}

impl<T> Guest for &mut LowerContext<'_, T> {
    fn memory(&mut self) -> &mut [u8] {
        self.as_slice_mut()
    }

    fn allot(&mut self, align: u32, bytes: usize) -> Result<usize> {
        self.realloc(0, 0, align, bytes)
    }

    fn is_utf8(&self) -> bool {
        encoding(self.options().string_encoding) == Encoding::Utf8
    }

    fn text(&mut self, text: &[u8]) -> Result<(u32, u32)> {
        if self.is_utf8() {
            let at = self.allot(1, text.len())?;
            self.memory()[at..][..text.len()].copy_from_slice(text);
            return Ok((u32::try_from(at)?, u32::try_from(text.len())?));
        }
        let mut pair = MaybeUninit::<[ValRaw; 2]>::uninit();
        std::str::from_utf8(text)?.linear_lower_to_flat(self, InterfaceType::String, &mut pair)?;
        // SAFETY: the engine's own `Lower` has initialised all of it, as it must wherever it returns `Ok`.
        #[allow(unsafe_code)]
        let [pointer, length] = unsafe { pair.assume_init() };
        Ok((pointer.get_u32(), length.get_u32()))
    }
}

fn encoding(encoding: StringEncoding) -> Encoding {
    match encoding {
        StringEncoding::Utf8 => Encoding::Utf8,
        StringEncoding::Utf16 => Encoding::Utf16,
        StringEncoding::CompactUtf16 => Encoding::Latin1OrUtf16,
    }
}

/// The plan of a component's list of types, and what keeps its place from being anybody else's.
struct Known {
    /// Its address is the key. A weak reference keeps the address taken for as long as the entry stands.
    types: Weak<ComponentTypes>,
    tuple: u32,
    plan: Arc<Plan>,
}

impl Known {
    fn is(&self, types: &Arc<ComponentTypes>, tuple: u32) -> bool {
        self.tuple == tuple && Weak::as_ptr(&self.types) == Arc::as_ptr(types)
    }
}

type Key = (usize, u32);

/// Plans of all components that are linked, those of dropped ones until somebody cleans up.
static PLANS: LazyLock<RwLock<Plans>> = LazyLock::new(RwLock::default);

#[derive(Default)]
struct Plans {
    known: HashMap<Key, Known>,
    /// Entries when those of dropped components were last thrown out.
    swept: usize,
}

/// Plans that each thread finds without a lock.
const RECENT: usize = 64;
/// Plans that are kept before dropped components are looked for.
const PLANS_FEW: usize = 256;

thread_local! {
    static RECENTLY: RefCell<[Option<Known>; RECENT]> = const { RefCell::new([const { None }; RECENT]) };
    /// Plans that type checks on this thread came upon, for [`found`].
    static FOUND: RefCell<Vec<Arc<Plan>>> = const { RefCell::new(Vec::new()) };
}

/// The plans of the two lists of types that `check` has the engine look at.
pub(super) fn found<T>(check: impl FnOnce() -> Result<T>) -> Result<(T, [Arc<Plan>; 2])> {
    FOUND.with_borrow_mut(Vec::clear);
    let checked = check()?;
    match <[Arc<Plan>; 2]>::try_from(FOUND.take()) {
        Ok(plans) => Ok((checked, plans)),
        Err(_) => bail!("bug: a function has one list of parameters and one of results"),
    }
}

/// The plan of a list of types; made at the first time, which is when a link is made.
fn known(types: &Arc<ComponentTypes>, ty: InterfaceType) -> Result<Arc<Plan>> {
    let InterfaceType::Tuple(tuple) = ty else { bail!("bug: a function's parameters are a tuple") };
    shared(types, ty, (Arc::as_ptr(types) as usize, tuple.as_u32()))
}

/// As [`known`], for a call: without a lock, and without taking a share of the plan.
///
/// What `with` does must not get here again; no guest runs while its values are lifted.
fn with_known<T>(types: &Arc<ComponentTypes>, ty: InterfaceType, with: impl FnOnce(&Plan) -> Result<T>) -> Result<T> {
    let InterfaceType::Tuple(tuple) = ty else { bail!("bug: a function's parameters are a tuple") };
    let tuple = tuple.as_u32();
    let address = Arc::as_ptr(types) as usize;
    let slot = (address / align_of::<ComponentTypes>() / 8).wrapping_add(tuple as usize) % RECENT;
    RECENTLY.with_borrow_mut(|recent| match &recent[slot] {
        Some(known) if known.is(types, tuple) => with(&known.plan),
        Some(_) | None => {
            let plan = shared(types, ty, (address, tuple))?;
            with(&recent[slot].insert(Known { types: Arc::downgrade(types), tuple, plan }).plan)
        }
    })
}

fn shared(types: &Arc<ComponentTypes>, ty: InterfaceType, key: Key) -> Result<Arc<Plan>> {
    if let Some(known) = PLANS.read().known.get(&key) {
        return Ok(known.plan.clone());
    }
    let plan = Arc::new(read(types, ty)?);
    let mut plans = PLANS.write();
    if plans.known.len() >= PLANS_FEW.max(plans.swept.saturating_mul(2)) {
        plans.known.retain(|_, known| known.types.strong_count() > 0);
        plans.swept = plans.known.len();
    }
    plans.known.insert(key, Known { types: Arc::downgrade(types), tuple: key.1, plan: plan.clone() });
    Ok(plan)
}

/// Has the plan of a type that is being checked looked at, and kept for [`found`].
pub(super) fn see(ty: &InterfaceType, types: &InstanceType<'_>, look: impl FnOnce(&Plan) -> Result<()>) -> Result<()> {
    let plan = known(types.types, *ty)?;
    look(&plan)?;
    FOUND.with_borrow_mut(|found| found.push(plan));
    Ok(())
}

/// Whether values of that plan are passed in `n` core values, or in memory.
pub(super) fn fits(plan: &Plan, n: usize, flat_max: usize) -> Result<()> {
    let flat = plan.flat as usize;
    if flat == n || flat > flat_max { Ok(()) } else { bail!("bug: {flat} core values, and room for {n}") }
}

/// Makes a plan of the engine's own types, and holds it against the engine's own layout.
fn read(types: &Arc<ComponentTypes>, ty: InterfaceType) -> Result<Plan> {
    let InterfaceType::Tuple(tuple) = ty else { bail!("bug: a function's parameters are a tuple") };
    let mut reader = Reader { types, builder: RegistryBuilder::new(), known: HashMap::new() };
    let items = types[tuple].types.iter().map(|item| reader.read(*item, 0)).collect::<Result<Vec<_>>>()?;
    let plan = Plan::new(&reader.builder.finish(), items)?;
    agrees(&plan, types.canonical_abi(&ty))?;
    Ok(plan)
}

/// Checks that the engine lays values out as their plan does.
fn agrees(plan: &Plan, theirs: &CanonicalAbiInfo) -> Result<()> {
    let flat_agrees = theirs.flat_count.is_none_or(|flat| u32::from(flat) == plan.flat);
    if (plan.size, plan.align) == (theirs.size32, theirs.align32) && flat_agrees {
        return Ok(());
    }
    bail!("bug: values laid out as {:?} are laid out as {theirs:?} by the engine", plan.layout())
}

struct Reader<'t> {
    types: &'t ComponentTypes,
    builder: RegistryBuilder,
    known: HashMap<InterfaceType, TypeId>,
}

impl Reader<'_> {
    /// One type, after what it is made of; nested no deeper than links carry.
    fn read(&mut self, ty: InterfaceType, depth: usize) -> Result<TypeId> {
        if let Some(known) = self.known.get(&ty) {
            return Ok(*known);
        }
        if depth > neopack::DEPTH_MAX {
            bail!("types nested deeper than {}", neopack::DEPTH_MAX);
        }
        let types = self.types;
        let mut part = |ty: InterfaceType| self.read(ty, depth + 1);
        let mut maybe = |ty: Option<InterfaceType>| ty.map(&mut part).transpose();
        let def = match ty {
            InterfaceType::Bool => TypeDef::Bool,
            InterfaceType::U8 => TypeDef::U8,
            InterfaceType::U16 => TypeDef::U16,
            InterfaceType::U32 => TypeDef::U32,
            InterfaceType::U64 => TypeDef::U64,
            InterfaceType::S8 => TypeDef::S8,
            InterfaceType::S16 => TypeDef::S16,
            InterfaceType::S32 => TypeDef::S32,
            InterfaceType::S64 => TypeDef::S64,
            InterfaceType::Float32 => TypeDef::F32,
            InterfaceType::Float64 => TypeDef::F64,
            InterfaceType::Char => TypeDef::Char,
            InterfaceType::String => TypeDef::String,
            InterfaceType::List(list) => TypeDef::List(part(types[list].element)?),
            InterfaceType::FixedLengthList(list) => TypeDef::FixedList(part(types[list].element)?, types[list].size),
            InterfaceType::Map(map) => TypeDef::Map(part(types[map].key)?, part(types[map].value)?),
            InterfaceType::Record(record) => {
                let field = |field: &wasmtime::component::__internal::wasmtime_environ::component::RecordField| {
                    Ok(Field { name: field.name.to_string(), ty: part(field.ty)? })
                };
                TypeDef::Record(types[record].fields.iter().map(field).collect::<Result<_>>()?)
            }
            InterfaceType::Tuple(tuple) => {
                TypeDef::Tuple(types[tuple].types.iter().map(|item| part(*item)).collect::<Result<_>>()?)
            }
            InterfaceType::Variant(variant) => {
                let cases = types[variant].cases.iter();
                let cases = cases.map(|(name, ty)| Ok(Case { name: name.to_string(), ty: maybe(*ty)? }));
                TypeDef::Variant(cases.collect::<Result<_>>()?)
            }
            InterfaceType::Enum(names) => TypeDef::Enum(types[names].names.iter().map(ToString::to_string).collect()),
            InterfaceType::Flags(names) => TypeDef::Flags(types[names].names.iter().map(ToString::to_string).collect()),
            InterfaceType::Option(option) => TypeDef::Option(part(types[option].ty)?),
            InterfaceType::Result(result) => {
                TypeDef::Result { ok: maybe(types[result].ok)?, err: maybe(types[result].err)? }
            }
            InterfaceType::Own(_)
            | InterfaceType::Borrow(_)
            | InterfaceType::Stream(_)
            | InterfaceType::Future(_)
            | InterfaceType::ErrorContext(_) => bail!("handles are not carried by links"),
        };
        let id = self.builder.intern(def, None).map_err(|error| format_err!("{error}"))?;
        self.known.insert(ty, id);
        Ok(id)
    }
}
