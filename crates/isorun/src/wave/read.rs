//! From a parsed text to values of known types.

use std::collections::BTreeMap;
use std::str::FromStr;

use isorun_ledger::{Field, TypeDef, TypeId, TypeRegistry};
use isorun_runtime::wasmtime::component::Val;
use wasm_wave::ast::{Node, NodeType};

use super::{Source, VALUES_MAX, WaveError};

/// Names that a message lists at most.
const NAMES_MAX: usize = 20;

/// What is still to be done, the next last; no recursion, whatever the types.
enum Todo<'a> {
    /// Read a node; where there is none, the value is an option that was left out.
    Read(Option<&'a Node>, TypeId),
    /// Make one value of the last ones.
    Make(Made<'a>),
}

/// A value of other values.
enum Made<'a> {
    List(usize),
    FixedList(usize),
    Map(usize),
    Tuple(usize),
    Record(&'a [Field]),
    Case(&'a str),
    Some,
    Ok,
    Err,
}

/// Reads each node as a value of its type.
pub(super) fn read<'a>(
    types: &'a TypeRegistry,
    source: &'a Source<'_>,
    nodes: impl IntoIterator<Item = (Option<&'a Node>, TypeId)>,
) -> Result<Vec<Val>, WaveError> {
    let mut reader = Reader { types, source, todo: Vec::new(), done: Vec::new(), made: 0 };
    reader.todo.extend(nodes.into_iter().map(|(node, ty)| Todo::Read(node, ty)));
    reader.todo.reverse();
    while let Some(next) = reader.todo.pop() {
        match next {
            Todo::Read(Some(node), ty) => reader.value(node, ty)?,
            Todo::Read(None, _) => reader.put(Val::Option(None))?,
            Todo::Make(made) => reader.make(made)?,
        }
    }
    Ok(reader.done)
}

struct Reader<'a, 't> {
    types: &'a TypeRegistry,
    source: &'a Source<'t>,
    todo: Vec<Todo<'a>>,
    done: Vec<Val>,
    /// Values put so far.
    made: usize,
}

impl<'a> Reader<'a, '_> {
    fn put(&mut self, value: Val) -> Result<(), WaveError> {
        self.made += 1;
        if self.made > VALUES_MAX {
            return Err(WaveError::TooMany);
        }
        self.done.push(value);
        Ok(())
    }

    /// First the parts, in order, then what is made of them.
    fn parts(&mut self, made: Made<'a>, parts: impl DoubleEndedIterator<Item = (Option<&'a Node>, TypeId)>) {
        self.todo.push(Todo::Make(made));
        self.todo.extend(parts.rev().map(|(node, ty)| Todo::Read(node, ty)));
    }

    /// Reads a value, or notes what has to be read for it.
    fn value(&mut self, node: &'a Node, ty: TypeId) -> Result<(), WaveError> {
        let text = self.source.text;
        let wrong = |_| self.wrong(node, ty);
        let value = match self.types.def(ty) {
            TypeDef::Bool => Val::Bool(self.bool(node, ty)?),
            TypeDef::U8 => Val::U8(self.number(node, ty)?),
            TypeDef::U16 => Val::U16(self.number(node, ty)?),
            TypeDef::U32 => Val::U32(self.number(node, ty)?),
            TypeDef::U64 => Val::U64(self.number(node, ty)?),
            TypeDef::S8 => Val::S8(self.number(node, ty)?),
            TypeDef::S16 => Val::S16(self.number(node, ty)?),
            TypeDef::S32 => Val::S32(self.number(node, ty)?),
            TypeDef::S64 => Val::S64(self.number(node, ty)?),
            TypeDef::F32 => Val::Float32(self.number(node, ty)?),
            TypeDef::F64 => Val::Float64(self.number(node, ty)?),
            TypeDef::Char => match node.ty() {
                NodeType::Char => Val::Char(node.as_char(text).map_err(|error| self.source.syntax(&error))?),
                _ => return Err(self.wrong(node, ty)),
            },
            TypeDef::String => match node.ty() {
                NodeType::String | NodeType::MultilineString => {
                    Val::String(node.as_str(text).map_err(|error| self.source.syntax(&error))?.into_owned())
                }
                _ => return Err(self.wrong(node, ty)),
            },
            TypeDef::Enum(names) => {
                let name = node.as_enum(text).map_err(wrong)?;
                Val::Enum(self.known(node, "case", name, names.iter())?.clone())
            }
            TypeDef::Flags(names) => {
                let mut set = Vec::new();
                for flag in node.as_flags(text).map_err(wrong)? {
                    set.push(self.known(node, "flag", flag, names.iter())?);
                }
                Val::Flags(names.iter().filter(|name| set.contains(name)).cloned().collect())
            }
            TypeDef::List(item) => {
                let items = node.as_list().map_err(wrong)?;
                self.parts(Made::List(items.len()), each(node, *item));
                return Ok(());
            }
            TypeDef::FixedList(item, length) => {
                let found = node.as_list().map_err(wrong)?.len();
                self.counted(node, "items", *length as usize, found)?;
                self.parts(Made::FixedList(found), each(node, *item));
                return Ok(());
            }
            TypeDef::Map(key, value) => {
                let pairs: Vec<_> = node.as_map().map_err(wrong)?.collect();
                let parts = pairs.iter().flat_map(|(k, v)| [(Some(*k), *key), (Some(*v), *value)]);
                self.parts(Made::Map(pairs.len()), parts);
                return Ok(());
            }
            TypeDef::Tuple(items) => {
                let nodes: Vec<_> = node.as_tuple().map_err(wrong)?.map(Some).collect();
                self.counted(node, "items", items.len(), nodes.len())?;
                self.parts(Made::Tuple(nodes.len()), nodes.into_iter().zip(items.iter().copied()));
                return Ok(());
            }
            TypeDef::Record(fields) => return self.record(node, ty, fields),
            TypeDef::Variant(cases) => {
                let (name, payload) = node.as_variant(text).map_err(wrong)?;
                let name = self.known(node, "case", name, cases.iter().map(|case| &case.name))?;
                let carried = cases.iter().find(|case| case.name == *name).and_then(|case| case.ty);
                if !self.payload(node, name, carried, payload, Made::Case(name))? {
                    self.put(Val::Variant(name.clone(), None))?;
                }
                return Ok(());
            }
            TypeDef::Option(item) => match node.ty() {
                NodeType::OptionNone => Val::Option(None),
                NodeType::OptionSome => {
                    let payload = node.as_option().map_err(wrong)?;
                    self.parts(Made::Some, [(payload, *item)].into_iter());
                    return Ok(());
                }
                // `some` may be left out.
                _ if self.plain(*item) => {
                    self.parts(Made::Some, [(Some(node), *item)].into_iter());
                    return Ok(());
                }
                _ => return Err(self.wrong(node, ty)),
            },
            TypeDef::Result { ok, err } => return self.result(node, ty, *ok, *err),
            // Handles, streams and the like.
            def => return Err(WaveError::NotPlain { kind: def.kind() }),
        };
        self.put(value)
    }

    fn record(&mut self, node: &'a Node, ty: TypeId, fields: &'a [Field]) -> Result<(), WaveError> {
        if node.ty() != NodeType::TupleSet {
            return Err(self.wrong(node, ty));
        }
        let syntax = |error| self.source.syntax(&error);
        let names = node.as_record(self.source.text).map_err(syntax)?.map(|(name, _)| name);
        let mut given: BTreeMap<&str, (&Node, &Node)> = names.zip(node.as_map().map_err(syntax)?).collect();
        let (mut parts, mut missing) = (Vec::new(), None);
        for field in fields {
            let part = given.remove(field.name.as_str()).map(|(_, value)| value);
            if part.is_none() && !matches!(self.types.def(field.ty), TypeDef::Option(_)) {
                missing = missing.or(Some(field));
            }
            parts.push((part, field.ty));
        }
        // What is missing may just be mistyped, so that comes first.
        if let Some((name, (key, _))) = given.first_key_value() {
            return Err(self.no_such(key, "field", name, fields.iter().map(|field| &field.name)));
        }
        if let Some(field) = missing {
            let column = self.source.column(node.span().start);
            return Err(WaveError::MissingField { column, name: field.name.clone() });
        }
        self.parts(Made::Record(fields), parts.into_iter());
        Ok(())
    }

    fn result(&mut self, node: &'a Node, ty: TypeId, ok: Option<TypeId>, err: Option<TypeId>) -> Result<(), WaveError> {
        match (node.as_result(), ok) {
            (Ok(Ok(payload)), _) => match self.payload(node, "ok", ok, payload, Made::Ok)? {
                true => Ok(()),
                false => self.put(Val::Result(Ok(None))),
            },
            (Ok(Err(payload)), _) => match self.payload(node, "err", err, payload, Made::Err)? {
                true => Ok(()),
                false => self.put(Val::Result(Err(None))),
            },
            // `ok` may be left out.
            (Err(_), Some(item)) if self.plain(item) => {
                self.parts(Made::Ok, [(Some(node), item)].into_iter());
                Ok(())
            }
            (Err(_), _) => Err(self.wrong(node, ty)),
        }
    }

    /// Notes what a case carries; whether it carries anything.
    fn payload(
        &mut self,
        node: &Node,
        case: &str,
        carried: Option<TypeId>,
        payload: Option<&'a Node>,
        made: Made<'a>,
    ) -> Result<bool, WaveError> {
        match (carried, payload) {
            (Some(ty), Some(payload)) => {
                self.parts(made, [(Some(payload), ty)].into_iter());
                Ok(true)
            }
            (None, None) => Ok(false),
            (carried, _) => Err(WaveError::Payload {
                column: self.source.column(node.span().start),
                case: case.to_owned(),
                carries: carried.is_some(),
            }),
        }
    }

    fn make(&mut self, made: Made<'a>) -> Result<(), WaveError> {
        let value = match made {
            Made::List(count) => Val::List(self.last(count)),
            Made::FixedList(count) => Val::FixedLengthList(self.last(count)),
            Made::Tuple(count) => Val::Tuple(self.last(count)),
            Made::Map(count) => {
                let mut pairs = Vec::new();
                let mut parts = self.last(2 * count).into_iter();
                while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
                    pairs.push((key, value));
                }
                Val::Map(pairs)
            }
            Made::Record(fields) => {
                let values = self.last(fields.len());
                Val::Record(fields.iter().map(|field| field.name.clone()).zip(values).collect())
            }
            Made::Case(name) => Val::Variant(name.to_owned(), self.done.pop().map(Box::new)),
            Made::Some => Val::Option(self.done.pop().map(Box::new)),
            Made::Ok => Val::Result(Ok(self.done.pop().map(Box::new))),
            Made::Err => Val::Result(Err(self.done.pop().map(Box::new))),
        };
        self.put(value)
    }

    /// The last values, in order.
    fn last(&mut self, count: usize) -> Vec<Val> {
        self.done.split_off(self.done.len().saturating_sub(count))
    }

    /// Whether `some` or `ok` around this type may be left out.
    fn plain(&self, ty: TypeId) -> bool {
        !matches!(self.types.def(ty), TypeDef::Option(_) | TypeDef::Result { .. })
    }

    fn bool(&self, node: &Node, ty: TypeId) -> Result<bool, WaveError> {
        match (node.ty(), &self.source.text[node.span()]) {
            (NodeType::BoolTrue, _) => Ok(true),
            (NodeType::BoolFalse, _) => Ok(false),
            // As the key of a map, which the parser takes for a field's name.
            (NodeType::Label, "true") => Ok(true),
            (NodeType::Label, "false") => Ok(false),
            _ => Err(self.wrong(node, ty)),
        }
    }

    fn number<T: FromStr>(&self, node: &Node, ty: TypeId) -> Result<T, WaveError> {
        if node.ty() != NodeType::Number {
            return Err(self.wrong(node, ty));
        }
        node.as_number(self.source.text).map_err(|_| WaveError::WrongNumber {
            column: self.source.column(node.span().start),
            text: self.source.text[node.span()].to_owned(),
            wanted: self.types.def(ty).kind(),
        })
    }

    fn counted(&self, node: &Node, what: &'static str, wanted: usize, found: usize) -> Result<(), WaveError> {
        if wanted == found {
            return Ok(());
        }
        Err(WaveError::WrongCount { column: self.source.column(node.span().start), what, wanted, found })
    }

    /// The type's own name of that text.
    fn known(
        &self,
        node: &Node,
        what: &'static str,
        name: &str,
        names: impl Iterator<Item = &'a String> + Clone,
    ) -> Result<&'a String, WaveError> {
        names.clone().find(|known| *known == name).ok_or_else(|| self.no_such(node, what, name, names))
    }

    fn no_such(
        &self,
        node: &Node,
        what: &'static str,
        name: &str,
        names: impl Iterator<Item = &'a String>,
    ) -> WaveError {
        let mut known: Vec<_> = names.take(NAMES_MAX + 1).cloned().collect();
        if known.len() > NAMES_MAX {
            known[NAMES_MAX] = "...".into();
        }
        WaveError::NoSuchName { column: self.source.column(node.span().start), what, name: name.to_owned(), known }
    }

    fn wrong(&self, node: &Node, ty: TypeId) -> WaveError {
        let found = match node.ty() {
            NodeType::BoolTrue | NodeType::BoolFalse => "a bool",
            NodeType::Number => "a number",
            NodeType::Char => "a char",
            NodeType::String | NodeType::MultilineString => "a string",
            NodeType::Tuple => "a tuple",
            NodeType::List => "a list",
            NodeType::TupleSet => "a record or map",
            NodeType::EmptySet => "`{}`; an empty record is `{:}`",
            NodeType::Label => "a name",
            NodeType::VariantWithPayload => "a case with a value",
            NodeType::OptionSome | NodeType::OptionNone => "an option",
            NodeType::ResultOk | NodeType::ResultErr => "a result",
            NodeType::Flags => "flags",
        };
        let column = self.source.column(node.span().start);
        WaveError::WrongType { column, wanted: self.types.wit(ty).to_string(), found }
    }
}

/// The items of a list, each of that type.
fn each(node: &Node, ty: TypeId) -> impl DoubleEndedIterator<Item = (Option<&Node>, TypeId)> {
    let items: Vec<_> = node.as_list().into_iter().flatten().collect();
    items.into_iter().map(move |item| (Some(item), ty))
}
