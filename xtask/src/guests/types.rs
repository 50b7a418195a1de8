//! Writes the pair of WAT guests that sends every plain type of `guests/wit/types.wit` through an interface.
//!
//! The app forwards: what it is given it passes to the import, and returns what comes back. The provider returns what it
//! is given. Both need no knowledge of the values but where they lie, which is what is worked out here.

use wit_parser::abi::{FlatTypes, WasmType};
use wit_parser::{FlagsRepr, Function, InterfaceId, Resolve, SizeAlign, Type, TypeDefKind, TypeId};

use crate::{Outcome, process};

/// Writes both components under `guests/wat`.
pub fn build() -> Outcome {
    for (name, text) in texts()? {
        super::write(&process::root().join("guests/wat").join(name), text.as_bytes())?;
        println!("{name}: {} lines", text.lines().count());
    }
    Ok(())
}

/// Compares both components with what this program would write.
pub fn check() -> Outcome {
    for (name, text) in texts()? {
        if super::read(&process::root().join("guests/wat").join(name))? != text.as_bytes() {
            return Err(format!("guests/wat/{name} does not match guests/wit/types.wit; run `cargo xtask guests wat`"));
        }
    }
    println!("guests/wat: the type guests match guests/wit/types.wit");
    Ok(())
}

fn texts() -> Outcome<[(&'static str, String); 2]> {
    let mut resolve = Resolve::default();
    let path = process::root().join("guests/wit/types.wit");
    let (package, _) = resolve.push_path(path).map_err(|e| format!("{e:#}"))?;
    let interface = resolve.packages[package].interfaces["all"];
    let mut sizes = SizeAlign::default();
    sizes.fill(&resolve);
    let writer = Writer { resolve, sizes, interface };
    Ok([("types-app.wat", writer.app()), ("types-provider.wat", writer.provider())])
}

struct Writer {
    resolve: Resolve,
    sizes: SizeAlign,
    interface: InterfaceId,
}

/// A function as core WebAssembly sees it.
struct Core {
    /// The flat parameters, or the one pointer to all of them.
    params: Vec<&'static str>,
    /// Whether `params` is that pointer.
    spilled: bool,
    /// The flat result, if it is at most one.
    result: Option<&'static str>,
    /// Size and alignment of a result that travels in memory.
    in_memory: Option<(usize, usize)>,
}

/// A local that holds a flat value.
#[derive(Clone, Copy)]
struct Slot {
    local: usize,
    ty: &'static str,
}

impl Writer {
    fn functions(&self) -> impl Iterator<Item = &Function> {
        self.resolve.interfaces[self.interface].functions.values()
    }

    /// The interface's named types, and what each is in terms of those before it, called by their names and `suffix`.
    fn named(&self, suffix: &str) -> impl Iterator<Item = (&str, String)> {
        let types = self.resolve.interfaces[self.interface].types.iter();
        types.map(move |(name, id)| (name.as_str(), self.structure(*id, suffix)))
    }

    fn app(&self) -> String {
        let mut out = header("App: forwards every function of the interface it imports from its own root.");
        out += "  (import \"test:types/all@0.1.0\" (instance $all\n";
        for (name, definition) in self.named("") {
            out += &format!("    (type ${name}' {definition})\n    (export \"{name}\" (type ${name} (eq ${name}')))\n");
        }
        for f in self.functions() {
            out += &format!("    (export \"{}\" (func{}))\n", f.name, self.signature(f, ""));
        }
        out += "  ))\n";
        for (name, _) in self.named("") {
            out += &format!("  (alias export $all \"{name}\" (type ${name}))\n");
        }
        out += LIBC;
        for f in self.functions() {
            out += &format!("  (core func ${0} (canon lower (func $all \"{0}\") {CANON}))\n", f.name);
        }
        out += MODULE_START;
        for f in self.functions() {
            let core = self.core(f);
            let pointer = core.in_memory.map(|_| "i32");
            let params = list("param", core.params.iter().copied().chain(pointer));
            out += &format!("    (import \"all\" \"{0}\" (func ${0}{params}{1}))\n", f.name, result(core.result));
        }
        out += POSTS;
        for f in self.functions() {
            let core = self.core(f);
            let args: String = (0..core.params.len()).map(|i| format!(" (local.get {i})")).collect();
            let call = format!("      (call ${}{args}", f.name);
            let in_memory =
                |area| format!("{}\n{call} (local.get $p))\n      (local.get $p))\n", allocating(f, &core, area));
            out += &core.in_memory.map_or_else(|| format!("{}\n{call}))\n", plain(f, &core)), in_memory);
        }
        out += "  )\n  (core instance $m (instantiate $M (with \"l\" (instance $l)) (with \"all\" (instance\n";
        for f in self.functions() {
            out += &format!("    (export \"{0}\" (func ${0}))\n", f.name);
        }
        out += "  ))))\n";
        for f in self.functions() {
            out += &format!("  (func (export \"{}\"){}\n    {})\n", f.name, self.signature(f, ""), self.lift(f));
        }
        out + ")\n"
    }

    fn provider(&self) -> String {
        let mut out = header("Provider: every function of the interface it exports returns what it is given.");
        for (name, definition) in self.named("") {
            out += &format!("  (type ${name} {definition})\n");
        }
        out += LIBC;
        out += MODULE_START;
        out += POSTS;
        for f in self.functions() {
            out += &self.echo(f);
        }
        out += "  )\n  (core instance $m (instantiate $M (with \"l\" (instance $l))))\n";
        for f in self.functions() {
            out += &format!("  (func ${}{}\n    {})\n", f.name, self.signature(f, ""), self.lift(f));
        }
        out += "  ;; Names the types of the interface for its functions.\n  (component $All\n";
        for (name, definition) in self.named("") {
            out += &format!("    (type ${name}' {definition})\n");
            out += &format!("    (import \"import-{name}\" (type ${name} (eq ${name}')))\n");
        }
        for f in self.functions() {
            out += &format!("    (import \"import-{0}\" (func ${0}{1}))\n", f.name, self.signature(f, ""));
        }
        for (name, definition) in self.named(EXPORTED) {
            out += &format!("    (type ${name}'' {definition})\n");
            out += &format!("    (export ${name}{EXPORTED} \"{name}\" (type ${name}''))\n");
        }
        for f in self.functions() {
            out += &format!("    (export \"{0}\" (func ${0}) (func{1}))\n", f.name, self.signature(f, EXPORTED));
        }
        out += "  )\n  (instance $all (instantiate $All\n";
        for (name, _) in self.named("") {
            out += &format!("    (with \"import-{name}\" (type ${name}))\n");
        }
        for f in self.functions() {
            out += &format!("    (with \"import-{0}\" (func ${0}))\n", f.name);
        }
        out + "  ))\n  (export \"test:types/all@0.1.0\" (instance $all))\n)\n"
    }

    /// The provider's core function: its arguments are its result.
    fn echo(&self, f: &Function) -> String {
        let core = self.core(f);
        match core.in_memory {
            // Arguments that came in memory lie as the result has to.
            Some(_) if core.spilled => format!("{}\n      (local.get 0))\n", plain(f, &core)),
            Some(area) => {
                let slots: Vec<Slot> = core.params.iter().enumerate().map(|(local, ty)| Slot { local, ty }).collect();
                let types: Vec<Type> = f.params.iter().map(|p| p.ty).collect();
                let stores = self.store_fields(&types, &slots, 0);
                let stores: String = stores.iter().map(|line| format!("      {line}\n")).collect();
                format!("{}\n{stores}      (local.get $p))\n", allocating(f, &core, area))
            }
            None if core.params.is_empty() => format!("{})\n", plain(f, &core)),
            None => format!("{}\n      (local.get 0))\n", plain(f, &core)),
        }
    }

    /// Stores that put the flat values in `slots` where a record of `types` at `$p + at` has them.
    fn store_fields(&self, types: &[Type], slots: &[Slot], at: usize) -> Vec<String> {
        let mut rest = slots;
        let mut lines = Vec::new();
        for (offset, ty) in self.sizes.field_offsets(types) {
            let (own, after) = rest.split_at(self.flat(ty).len());
            lines.extend(self.store(ty, own, at + offset.size_wasm32()));
            rest = after;
        }
        lines
    }

    fn store(&self, ty: &Type, slots: &[Slot], at: usize) -> Vec<String> {
        let scalar =
            |op: &str, want: &str| vec![format!("({op} offset={at} (local.get $p) {})", coerced(slots[0], want))];
        let pair = || {
            let [pointer, count] = [coerced(slots[0], "i32"), coerced(slots[1], "i32")];
            let second = at + 4;
            vec![
                format!("(i32.store offset={at} (local.get $p) {pointer})"),
                format!("(i32.store offset={second} (local.get $p) {count})"),
            ]
        };
        match ty {
            Type::Bool | Type::U8 | Type::S8 => scalar("i32.store8", "i32"),
            Type::U16 | Type::S16 => scalar("i32.store16", "i32"),
            Type::U32 | Type::S32 | Type::Char => scalar("i32.store", "i32"),
            Type::U64 | Type::S64 => scalar("i64.store", "i64"),
            Type::F32 => scalar("f32.store", "f32"),
            Type::F64 => scalar("f64.store", "f64"),
            Type::String => pair(),
            Type::ErrorContext => unreachable!("not a plain type"),
            Type::Id(id) => match &self.resolve.types[*id].kind {
                TypeDefKind::List(_) | TypeDefKind::Map(..) => pair(),
                TypeDefKind::Record(r) => {
                    let types: Vec<Type> = r.fields.iter().map(|f| f.ty).collect();
                    self.store_fields(&types, slots, at)
                }
                TypeDefKind::Tuple(t) => self.store_fields(&t.types, slots, at),
                TypeDefKind::FixedLengthList(ty, n) => self.store_fields(&vec![*ty; *n as usize], slots, at),
                TypeDefKind::Flags(f) => match f.repr() {
                    FlagsRepr::U8 => scalar("i32.store8", "i32"),
                    FlagsRepr::U16 => scalar("i32.store16", "i32"),
                    FlagsRepr::U32(_) => scalar("i32.store", "i32"),
                },
                TypeDefKind::Enum(_) => scalar("i32.store8", "i32"),
                TypeDefKind::Variant(v) => self.store_cases(v.cases.iter().map(|c| c.ty).collect(), slots, at),
                TypeDefKind::Option(some) => self.store_cases(vec![None, Some(*some)], slots, at),
                TypeDefKind::Result(r) => self.store_cases(vec![r.ok, r.err], slots, at),
                TypeDefKind::Type(ty) => self.store(ty, slots, at),
                other => unreachable!("{} is not a plain type", other.as_str()),
            },
        }
    }

    /// As [`store`](Self::store) for a variant of `cases`, of which no type here has over 256.
    fn store_cases(&self, cases: Vec<Option<Type>>, slots: &[Slot], at: usize) -> Vec<String> {
        let tag = coerced(slots[0], "i32");
        let mut lines = vec![format!("(i32.store8 offset={at} (local.get $p) {tag})")];
        let payload = self.sizes.payload_offset(wit_parser::Int::U8, cases.iter().map(Option::as_ref)).size_wasm32();
        for (case, ty) in cases.iter().enumerate() {
            let Some(ty) = ty else { continue };
            let stores = self.store(ty, &slots[1..], at + payload);
            lines.push(format!("(if (i32.eq {tag} (i32.const {case})) (then"));
            lines.extend(stores.iter().map(|line| format!("  {line}")));
            lines.push("))".to_owned());
        }
        lines
    }

    fn core(&self, f: &Function) -> Core {
        let types: Vec<Type> = f.params.iter().map(|p| p.ty).collect();
        let params: Vec<_> = types.iter().flat_map(|ty| self.flat(ty)).collect();
        let spilled = params.len() > FLAT_PARAMS_MAX;
        let params = if spilled { vec!["i32"] } else { params };
        let results = f.result.map(|ty| self.flat(&ty)).unwrap_or_default();
        let in_memory = f.result.filter(|_| results.len() > 1);
        let in_memory = in_memory.map(|ty| (self.sizes.size(&ty).size_wasm32(), self.sizes.align(&ty).align_wasm32()));
        Core { params, spilled, result: results.first().copied().filter(|_| results.len() == 1), in_memory }
    }

    /// The flat types of `ty`.
    fn flat(&self, ty: &Type) -> Vec<&'static str> {
        let mut room = [WasmType::I32; 256];
        let mut flat = FlatTypes::new(&mut room);
        assert!(self.resolve.push_flat(ty, &mut flat), "a type of over 256 flat values");
        flat.to_vec().into_iter().map(core_type).collect()
    }

    fn lift(&self, f: &Function) -> String {
        let core = self.core(f);
        let post = core.in_memory.map(|_| "i32").or(core.result).unwrap_or("none");
        format!("(canon lift (core func $m \"{}\") {CANON} (post-return (core func $m \"post-{post}\")))", f.name)
    }

    fn signature(&self, f: &Function, suffix: &str) -> String {
        let mut out = String::new();
        for p in &f.params {
            out += &format!(" (param \"{}\" {})", p.name, self.text(&p.ty, suffix));
        }
        if let Some(ty) = &f.result {
            out += &format!(" (result {})", self.text(ty, suffix));
        }
        out
    }

    /// The type as WAT; named ones by their name and `suffix`.
    fn text(&self, ty: &Type, suffix: &str) -> String {
        match ty {
            Type::Id(id) => match &self.resolve.types[*id].name {
                Some(name) => format!("${name}{suffix}"),
                None => self.structure(*id, suffix),
            },
            Type::Bool => "bool".to_owned(),
            Type::U8 => "u8".to_owned(),
            Type::S8 => "s8".to_owned(),
            Type::U16 => "u16".to_owned(),
            Type::S16 => "s16".to_owned(),
            Type::U32 => "u32".to_owned(),
            Type::S32 => "s32".to_owned(),
            Type::U64 => "u64".to_owned(),
            Type::S64 => "s64".to_owned(),
            Type::F32 => "f32".to_owned(),
            Type::F64 => "f64".to_owned(),
            Type::Char => "char".to_owned(),
            Type::String => "string".to_owned(),
            Type::ErrorContext => unreachable!("not a plain type"),
        }
    }

    fn structure(&self, id: TypeId, suffix: &str) -> String {
        let text = |ty: &Type| self.text(ty, suffix);
        let optional = |ty: &Option<Type>| ty.as_ref().map(|ty| format!(" {}", text(ty))).unwrap_or_default();
        let names = |names: Vec<&String>| names.iter().map(|name| format!(" \"{name}\"")).collect::<String>();
        match &self.resolve.types[id].kind {
            TypeDefKind::Record(r) => {
                let fields = r.fields.iter().map(|f| format!(" (field \"{}\" {})", f.name, text(&f.ty)));
                format!("(record{})", fields.collect::<String>())
            }
            TypeDefKind::Variant(v) => {
                let cases = v.cases.iter().map(|c| format!(" (case \"{}\"{})", c.name, optional(&c.ty)));
                format!("(variant{})", cases.collect::<String>())
            }
            TypeDefKind::Enum(e) => format!("(enum{})", names(e.cases.iter().map(|c| &c.name).collect())),
            TypeDefKind::Flags(f) => format!("(flags{})", names(f.flags.iter().map(|f| &f.name).collect())),
            TypeDefKind::Tuple(t) => {
                let types = t.types.iter().map(|ty| format!(" {}", text(ty)));
                format!("(tuple{})", types.collect::<String>())
            }
            TypeDefKind::List(ty) => format!("(list {})", text(ty)),
            TypeDefKind::FixedLengthList(ty, n) => format!("(list {} {n})", text(ty)),
            TypeDefKind::Map(key, value) => format!("(map {} {})", text(key), text(value)),
            TypeDefKind::Option(ty) => format!("(option {})", text(ty)),
            TypeDefKind::Result(r) => {
                let error = r.err.as_ref().map(|ty| format!(" (error {})", text(ty))).unwrap_or_default();
                format!("(result{}{error})", optional(&r.ok))
            }
            other => unreachable!("{} is not a plain type", other.as_str()),
        }
    }
}

/// The head of a core function, up to its body.
fn plain(f: &Function, core: &Core) -> String {
    let result = result(core.in_memory.map(|_| "i32").or(core.result));
    format!("    (func (export \"{}\"){}{result}", f.name, list("param", core.params.iter().copied()))
}

/// As [`plain`], and `$p` points to fresh memory for the result.
fn allocating(f: &Function, core: &Core, (size, align): (usize, usize)) -> String {
    let room = format!("(i32.const 0) (i32.const 0) (i32.const {align}) (i32.const {size})");
    format!("{} (local $p i32)\n      (local.set $p (call $realloc {room}))", plain(f, core))
}

/// The value in `slot`, as the type it had before its slot was joined with those of other cases.
fn coerced(slot: Slot, want: &str) -> String {
    let value = format!("(local.get {})", slot.local);
    match (slot.ty, want) {
        ("i32", "f32") => format!("(f32.reinterpret_i32 {value})"),
        ("i64", "i32") => format!("(i32.wrap_i64 {value})"),
        ("i64", "f32") => format!("(f32.reinterpret_i32 (i32.wrap_i64 {value}))"),
        ("i64", "f64") => format!("(f64.reinterpret_i64 {value})"),
        _ => value,
    }
}

fn core_type(ty: WasmType) -> &'static str {
    match ty {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32",
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
    }
}

fn list<'a>(word: &str, types: impl Iterator<Item = &'a str>) -> String {
    let types: String = types.map(|ty| format!(" {ty}")).collect();
    if types.is_empty() { types } else { format!(" ({word}{types})") }
}

fn result(ty: Option<&str>) -> String {
    list("result", ty.into_iter())
}

fn header(what: &str) -> String {
    format!(
        ";; {what}\n;; Written by `cargo xtask guests wat` from guests/wit/types.wit, which has the interface. Its memory \
         starts again\n;; after each call. A test may replace `string-encoding=utf8` by `utf16` or `latin1+utf16`.\n\
         (component\n"
    )
}

/// What the canonical ABI passes as values; more of them travel in memory.
const FLAT_PARAMS_MAX: usize = 16;

/// Tells a type that a component exports from the one it imports.
const EXPORTED: &str = "-exported";

const CANON: &str = "(memory (core memory $l \"memory\")) (realloc (core func $l \"realloc\")) string-encoding=utf8";

const LIBC: &str = r#"  (core module $L
    (memory (export "memory") 1)
    (global $top (export "top") (mut i32) (i32.const 1024))
    ;; Moves back only after a call; grows the memory as far as the host lets it.
    (func (export "realloc") (param $old i32) (param $old_n i32) (param $align i32) (param $n i32) (result i32)
      (local $p i32)
      (local.set $p (i32.and
        (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
      (global.set $top (i32.add (local.get $p) (local.get $n)))
      (if (i32.gt_u (global.get $top) (i32.shl (memory.size) (i32.const 16)))
        (then (if (i32.eq (i32.const -1)
          (memory.grow (i32.add (i32.const 1) (i32.shr_u
            (i32.sub (global.get $top) (i32.shl (memory.size) (i32.const 16))) (i32.const 16)))))
          (then unreachable))))
      ;; Strings shrink to what they turned out to take.
      (memory.copy (local.get $p) (local.get $old)
        (select (local.get $old_n) (local.get $n) (i32.lt_u (local.get $old_n) (local.get $n))))
      (local.get $p)))
  (core instance $l (instantiate $L))
"#;

const MODULE_START: &str = r#"  (core module $M
    (import "l" "memory" (memory 1))
    (import "l" "top" (global $top (mut i32)))
    (import "l" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
"#;

const POSTS: &str = r#"    (func $post (export "post-none") (global.set $top (i32.const 1024)))
    (func (export "post-i32") (param i32) (call $post))
    (func (export "post-i64") (param i64) (call $post))
    (func (export "post-f32") (param f32) (call $post))
    (func (export "post-f64") (param f64) (call $post))
"#;
