//! A ledger printed as WIT.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::{self, Write as _};

use crate::ledger::{Function, Interface, Ledger};
use crate::name::InterfaceName;
use crate::registry::TypeRegistry;
use crate::types::{TypeDef, TypeId};
use crate::wit::{Escaped, Spell, write_inline, write_signature};

/// Longest text a ledger prints, in bytes, give or take one item; the last line then says so.
const PRINT_BYTES_MAX: usize = 16 << 20;

/// Most types that are looked at to find out what stands where.
const VISITS_MAX: usize = 1 << 20;

impl fmt::Display for Ledger {
    /// Prints a world with the imports and exports, and the packages they come from.
    ///
    /// It parses as WIT where WIT can say it: types that are declared nowhere
    /// are spelled out in place, and where import and export of one name differ,
    /// comments tell which side has what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = Plan::of(self);
        let mut out = Text::default();
        out.open("package root:component;\n\nworld root {");
        plan.print_body(&mut out, None);
        for (side, interfaces) in plan.sides() {
            for interface in interfaces {
                plan.print_world_item(&mut out, side, interface);
            }
        }
        out.close("}");
        plan.print_packages(&mut out);
        f.write_str(&out.text)?;
        if out.is_full() || plan.cut_short { f.write_str("// and more\n") } else { Ok(()) }
    }
}

/// Text with indentation.
#[derive(Default)]
struct Text {
    text: String,
    indent: usize,
}

impl Text {
    fn is_full(&self) -> bool {
        self.text.len() > PRINT_BYTES_MAX
    }

    /// Adds lines, each indented.
    fn lines(&mut self, lines: &str) {
        for line in lines.lines() {
            if line.is_empty() {
                self.text.push('\n');
                continue;
            }
            // Writing to a string never fails.
            let _ = writeln!(self.text, "{:width$}{line}", "", width = self.indent * 2);
        }
    }

    fn open(&mut self, line: &str) {
        self.lines(line);
        self.indent += 1;
    }

    fn close(&mut self, line: &str) {
        self.indent = self.indent.saturating_sub(1);
        self.lines(line);
    }
}

/// Where something stands: an interface's name, or `None` for the root of the world.
type Scope<'a> = Option<&'a str>;

/// What a scope holds beside the ledger's own items: found by walking all types from where they are used.
#[derive(Default)]
struct Contents<'a> {
    /// The types that are defined here, in the registry's order.
    types: BTreeSet<TypeId>,
    /// What is taken from elsewhere: local name to scope and name there.
    uses: BTreeMap<&'a str, (Scope<'a>, &'a str)>,
    resources: BTreeSet<&'a str>,
    /// What a type is called here, where that is not its own name.
    local_names: HashMap<TypeId, &'a str>,
}

/// Which side of the ledger something is on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    Import,
    Export,
    Both,
}

/// What is printed where.
struct Plan<'a> {
    ledger: &'a Ledger,
    types: &'a TypeRegistry,
    scopes: BTreeMap<Scope<'a>, Contents<'a>>,
    cut_short: bool,
}

impl<'a> Plan<'a> {
    fn of(ledger: &'a Ledger) -> Self {
        let mut plan = Self { ledger, types: &ledger.types, scopes: BTreeMap::new(), cut_short: false };
        let mut todo: Vec<(Scope<'a>, TypeId)> = Vec::new();
        for interface in ledger.imports.iter().chain(&ledger.exports) {
            let scope = interface.name.as_deref();
            let contents = plan.scopes.entry(scope).or_default();
            contents.resources.extend(interface.resources.iter().map(String::as_str));
            for named in &interface.types {
                if plan.types.name(named.ty).is_some_and(|name| name.interface.as_deref() != scope) {
                    contents.local_names.entry(named.ty).or_insert(&named.name);
                }
                todo.push((scope, named.ty));
            }
            for function in &interface.functions {
                todo.extend(function.params.iter().map(|param| param.ty).chain(function.result).map(|ty| (scope, ty)));
            }
        }
        plan.place(todo);
        plan
    }

    /// Finds where each type that is used is defined, and who has to say `use`.
    fn place(&mut self, mut todo: Vec<(Scope<'a>, TypeId)>) {
        let mut seen = HashSet::new();
        while let Some((scope, id)) = todo.pop() {
            if !seen.insert((scope, id)) {
                continue;
            }
            if seen.len() > VISITS_MAX {
                self.cut_short = true;
                return;
            }
            let def = self.types.def(id);
            let is_handle = matches!(def, TypeDef::Own(_) | TypeDef::Borrow(_));
            let Some(name) = self.types.name(id) else {
                todo.extend(def.children().into_iter().map(|child| (scope, child)));
                continue;
            };
            let home = name.interface.as_deref();
            if home != scope {
                let contents = self.scopes.entry(scope).or_default();
                let local = contents.local_names.get(&id).copied().unwrap_or(&name.name);
                contents.uses.entry(local).or_insert((home, &name.name));
                todo.push((home, id));
            } else if is_handle {
                self.scopes.entry(scope).or_default().resources.insert(&name.name);
            } else {
                self.scopes.entry(scope).or_default().types.insert(id);
                todo.extend(def.children().into_iter().map(|child| (scope, child)));
            }
        }
    }

    fn sides(&self) -> [(On, &'a [Interface]); 2] {
        [(On::Import, &self.ledger.imports), (On::Export, &self.ledger.exports)]
    }

    /// The ledger's interfaces of that name, with their sides.
    fn interfaces(&self, scope: Scope<'a>) -> Vec<(On, &'a Interface)> {
        let all = self.sides().into_iter().flat_map(|(on, side)| side.iter().map(move |interface| (on, interface)));
        all.filter(|(_, interface)| interface.name.as_deref() == scope).collect()
    }

    /// Prints `import` or `export` of one interface, or of the functions at the root.
    fn print_world_item(&self, out: &mut Text, on: On, interface: &'a Interface) {
        let word = if on == On::Import { "import" } else { "export" };
        match interface.name.as_deref() {
            None => {
                for function in &interface.functions {
                    if out.is_full() {
                        return;
                    }
                    out.lines(&format!("{word} {};", self.function(None, function)));
                }
            }
            Some(name) if InterfaceName::parse(name).is_ok() => out.lines(&format!("{word} {name};")),
            Some(name) => {
                out.open(&format!("{word} {}: interface {{", Escaped(name)));
                self.print_declarations(out, Some(name));
                self.print_functions(out, Some(name), &[(on, interface)]);
                out.close("}");
            }
        }
    }

    /// Prints the packages that the interfaces belong to.
    fn print_packages(&self, out: &mut Text) {
        let mut packages: BTreeMap<String, Vec<(InterfaceName, Scope<'a>)>> = BTreeMap::new();
        for scope in self.scopes.keys() {
            if let Some(Ok(name)) = scope.map(InterfaceName::parse) {
                packages.entry(name.package_id()).or_default().push((name, *scope));
            }
        }
        for (package, interfaces) in packages {
            out.open(&format!("\npackage {package} {{"));
            for (name, scope) in interfaces {
                out.open(&format!("interface {} {{", Escaped(name.interface())));
                self.print_body(out, scope);
                out.close("}");
            }
            out.close("}");
        }
    }

    /// Prints what stands in a scope; of the root, only the types.
    fn print_body(&self, out: &mut Text, scope: Scope<'a>) {
        self.print_declarations(out, scope);
        if scope.is_some() {
            self.print_functions(out, scope, &self.interfaces(scope));
        } else {
            self.print_resources(out, scope, &self.interfaces(scope));
        }
    }

    /// Prints uses, types and other names of types.
    fn print_declarations(&self, out: &mut Text, scope: Scope<'a>) {
        let Some(contents) = self.scopes.get(&scope) else { return };
        for (local, (home, name)) in &contents.uses {
            let home = place(*home, scope);
            let renamed = if local == name { String::new() } else { format!(" as {}", Escaped(local)) };
            out.lines(&format!("use {home}.{{{}{renamed}}};", Escaped(name)));
        }
        let mut defined = HashSet::new();
        for id in &contents.types {
            if out.is_full() {
                return;
            }
            let Some(name) = self.types.name(*id) else { continue };
            let definition = self.definition(scope, &name.name, *id);
            if defined.insert(name.name.as_str()) {
                out.lines(&definition);
            } else {
                // The two sides differ, and WIT has no way to say so.
                for line in definition.lines() {
                    out.lines(&format!("// on the other side: {line}"));
                }
            }
        }
        for named in self.interfaces(scope).into_iter().flat_map(|(_, interface)| &interface.types) {
            if !contents.uses.contains_key(named.name.as_str()) && defined.insert(&named.name) {
                let name_of = |id| if id == named.ty { None } else { self.name(scope, id) };
                let name = self.types.name(named.ty).map(|name| name.name.clone());
                let target = name.unwrap_or_else(|| {
                    let mut text = String::new();
                    let _ = write_inline(&mut text, self.types, named.ty, Spell::Out, &name_of);
                    text
                });
                out.lines(&format!("type {} = {target};", Escaped(&named.name)));
            }
        }
    }

    /// Prints the resources of a scope with their functions.
    fn print_resources(&self, out: &mut Text, scope: Scope<'a>, interfaces: &[(On, &'a Interface)]) {
        let Some(contents) = self.scopes.get(&scope) else { return };
        let mut members: BTreeMap<&str, Vec<(On, String)>> = BTreeMap::new();
        for resource in &contents.resources {
            members.entry(resource).or_default();
        }
        for (on, function) in functions(interfaces) {
            if let Some((resource, member)) = member_of(&function.name) {
                let text = self.member(scope, function, member);
                members.entry(resource).or_default().push((on, text));
            }
        }
        for (resource, members) in members {
            if members.is_empty() {
                out.lines(&format!("resource {};", Escaped(resource)));
                continue;
            }
            out.open(&format!("resource {} {{", Escaped(resource)));
            print_once(out, members, interfaces.len() > 1);
            out.close("}");
        }
    }

    fn print_functions(&self, out: &mut Text, scope: Scope<'a>, interfaces: &[(On, &'a Interface)]) {
        self.print_resources(out, scope, interfaces);
        let free = functions(interfaces).filter(|(_, function)| member_of(&function.name).is_none());
        let mut texts = Vec::new();
        let mut bytes = 0;
        for (on, function) in free {
            let text = self.function(scope, function);
            bytes += text.len();
            texts.push((on, text));
            if bytes > PRINT_BYTES_MAX {
                break;
            }
        }
        print_once(out, texts, interfaces.len() > 1);
    }

    /// What a type is called in a scope.
    fn name(&self, scope: Scope<'a>, id: TypeId) -> Option<String> {
        let local = self.scopes.get(&scope).and_then(|contents| contents.local_names.get(&id));
        local.map(|name| (*name).to_owned()).or_else(|| self.types.name(id).map(|name| name.name.clone()))
    }

    fn function(&self, scope: Scope<'a>, function: &Function) -> String {
        let mut text = format!("{}: ", Escaped(&function.name));
        let Function { is_async, params, result, .. } = function;
        let _ = write_signature(&mut text, self.types, *is_async, params, *result, &|id| self.name(scope, id));
        if scope.is_some() { text + ";" } else { text }
    }

    /// A resource's function inside the resource.
    fn member(&self, scope: Scope<'a>, function: &Function, member: Member<'_>) -> String {
        let Function { is_async, params, result, .. } = function;
        let mut text = String::new();
        let name_of = |id| self.name(scope, id);
        let (params, result) = match member {
            // A constructor's result is the resource itself, which WIT leaves out.
            Member::Constructor => {
                text.push_str("constructor");
                (&params[..], None)
            }
            Member::Static(name) => {
                let _ = write!(text, "{}: static ", Escaped(name));
                (&params[..], *result)
            }
            Member::Method(name) => {
                let _ = write!(text, "{}: ", Escaped(name));
                (params.get(1..).unwrap_or_default(), *result)
            }
        };
        let mut signature = String::new();
        let _ = write_signature(&mut signature, self.types, *is_async, params, result, &name_of);
        let signature = match member {
            Member::Constructor => signature.trim_start_matches("async ").trim_start_matches("func"),
            Member::Static(_) | Member::Method(_) => &signature,
        };
        text + signature + ";"
    }

    /// A type's definition: `record entry { .. }` over several lines, or `type size = u32;`.
    fn definition(&self, scope: Scope<'a>, name: &str, id: TypeId) -> String {
        let def = self.types.def(id);
        let name_of = |id| self.name(scope, id);
        let inline = |ty: TypeId| {
            let mut text = String::new();
            let _ = write_inline(&mut text, self.types, ty, Spell::Names, &name_of);
            text
        };
        let parts: Vec<String> = match def {
            TypeDef::Record(fields) => {
                fields.iter().map(|field| format!("{}: {}", Escaped(&field.name), inline(field.ty))).collect()
            }
            TypeDef::Variant(cases) => cases
                .iter()
                .map(|case| match case.ty {
                    Some(ty) => format!("{}({})", Escaped(&case.name), inline(ty)),
                    None => Escaped(&case.name).to_string(),
                })
                .collect(),
            TypeDef::Enum(names) | TypeDef::Flags(names) => {
                names.iter().map(|name| Escaped(name).to_string()).collect()
            }
            _ => {
                let mut text = format!("type {} = ", Escaped(name));
                let _ = write_inline(&mut text, self.types, id, Spell::Out, &name_of);
                return text + ";";
            }
        };
        let mut text = format!("{} {} {{\n", def.kind(), Escaped(name));
        for part in parts {
            let _ = writeln!(text, "  {part},");
        }
        text + "}"
    }
}

/// What a scope is called in another: inside one package, by its interface alone.
fn place(home: Scope<'_>, scope: Scope<'_>) -> String {
    let parse = |scope: Scope<'_>| scope.and_then(|name| InterfaceName::parse(name).ok());
    match (parse(home), parse(scope)) {
        (Some(home), Some(scope)) if home.package_id() == scope.package_id() => Escaped(home.interface()).to_string(),
        _ => home.unwrap_or("root").to_owned(),
    }
}

fn functions<'a>(interfaces: &[(On, &'a Interface)]) -> impl Iterator<Item = (On, &'a Function)> {
    interfaces.iter().flat_map(|(on, interface)| interface.functions.iter().map(move |function| (*on, function)))
}

/// Prints lines, those that both sides have once; where there are two sides, says which has a line for itself.
fn print_once(out: &mut Text, lines: Vec<(On, String)>, two_sides: bool) {
    let mut sides: HashMap<&str, On> = HashMap::new();
    for (on, line) in &lines {
        let side = sides.entry(line).or_insert(*on);
        if *side != *on {
            *side = On::Both;
        }
    }
    let mut names = HashSet::new();
    let mut printed = HashSet::new();
    for (_, line) in lines.iter().filter(|(_, line)| printed.insert(line.as_str())) {
        if out.is_full() {
            return;
        }
        let name = line.split_once(": ").map_or(line.as_str(), |(name, _)| name);
        let first = names.insert(name);
        let comment = match sides.get(line.as_str()) {
            Some(On::Import) if two_sides => "only imported",
            Some(On::Export) if two_sides => "only exported",
            _ => "",
        };
        match (comment, first) {
            ("", _) => out.lines(line),
            (comment, true) => out.lines(&format!("{line} // {comment}")),
            (comment, false) => out.lines(&format!("// {comment}: {line}")),
        }
    }
}

/// What a resource's function is to it.
#[derive(Clone, Copy)]
enum Member<'a> {
    Constructor,
    Static(&'a str),
    Method(&'a str),
}

/// Takes `[method]cursor.next` and the like apart.
fn member_of(name: &str) -> Option<(&str, Member<'_>)> {
    if let Some(resource) = name.strip_prefix("[constructor]") {
        return Some((resource, Member::Constructor));
    }
    let (rest, is_static) = match (name.strip_prefix("[static]"), name.strip_prefix("[method]")) {
        (Some(rest), _) => (rest, true),
        (None, Some(rest)) => (rest, false),
        (None, None) => return None,
    };
    let (resource, name) = rest.split_once('.')?;
    Some((resource, if is_static { Member::Static(name) } else { Member::Method(name) }))
}
