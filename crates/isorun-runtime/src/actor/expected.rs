//! `component-lifecycle` as a ledger has it, to say where a component's own differs.

use isorun_ledger::{
    Case, Difference, Field, Function, Interface, LedgerError, Param, RegistryBuilder, Side, TypeDef, TypeId, TypeName,
    TypeRegistry, compatible,
};

use super::LIFECYCLE;

/// Where a component's interface is not what the host calls; `None` where it is.
pub(super) fn difference(types: &TypeRegistry, interface: &Interface) -> Option<Difference> {
    // It is made of constants; where it could not be made, the engine's own look at the types decides.
    let (expected_types, expected) = expected().ok()?;
    let expected = Side { types: &expected_types, interface: &expected };
    compatible(expected, Side { types, interface }).err()
}

/// The interface, as in `wit/actor.wit`.
fn expected() -> Result<(TypeRegistry, Interface), LedgerError> {
    let mut types = Types::default();
    let string = types.of(TypeDef::String)?;
    let (number, time) = (types.of(TypeDef::U32)?, types.of(TypeDef::U64)?);
    let byte = types.of(TypeDef::U8)?;
    let bytes = types.of(TypeDef::List(byte))?;
    let maybe_string = types.of(TypeDef::Option(string))?;
    let pair = types.of(TypeDef::Tuple(vec![string, string]))?;
    let pairs = types.of(TypeDef::List(pair))?;
    let yes_or_no = types.of(TypeDef::Bool)?;

    let payload = types.record("payload", &[("data", bytes), ("content-type", maybe_string)])?;
    let message = types.record(
        "message",
        &[
            ("sender", string),
            ("payload", payload),
            ("correlation-id", maybe_string),
            ("reply-to", maybe_string),
            ("timestamp-ms", time),
        ],
    )?;
    let delivery_failure = types.record("delivery-failure", &[("may-have-arrived", yes_or_no), ("reason", string)])?;
    let messaging_error = types.variant(
        "messaging-error",
        &[
            ("delivery-failed", Some(delivery_failure)),
            ("correlation-timeout", None),
            ("invalid-message", Some(string)),
            ("queue-full", None),
            ("target-not-found", Some(string)),
        ],
    )?;
    let outcome = types.variant(
        "outcome",
        &[("replied", Some(payload)), ("no-reply", None), ("refused", Some(string)), ("failed", Some(messaging_error))],
    )?;
    let callback_message = types.record(
        "callback-message",
        &[("correlation-id", string), ("target", string), ("outcome", outcome), ("timestamp-ms", time)],
    )?;
    let metadata = types.record(
        "component-metadata",
        &[("name", string), ("version", string), ("description", string), ("properties", pairs)],
    )?;
    let config = types.record("config", &[("id", string), ("settings", pairs), ("restarts", number)])?;
    let error = types.variant("error", &[("rejected", Some(string)), ("failed", Some(string))])?;
    let statuses = ["healthy", "degraded", "unhealthy", "unknown"].map(String::from).to_vec();
    let status = types.named("health-status", TypeDef::Enum(statuses))?;
    let report = types.record("health-report", &[("status", status), ("reason", maybe_string)])?;

    let answer = types.of(TypeDef::Option(payload))?;
    let answered = types.of(TypeDef::Result { ok: Some(answer), err: Some(error) })?;
    let done = types.of(TypeDef::Result { ok: None, err: Some(error) })?;
    let types = types.0.finish();
    let mut interface = Interface::new(Some(LIFECYCLE.into()));
    for (name, param, result) in [
        ("initialize", Some(("config", config)), done),
        ("handle-message", Some(("msg", message)), answered),
        ("handle-callback", Some(("msg", callback_message)), done),
        ("metadata", None, metadata),
        ("health", None, report),
        ("shutdown", None, done),
    ] {
        let params = param.map(|(name, ty)| Param { name: name.into(), ty }).into_iter().collect();
        interface.functions.push(Function::new(&types, name, params, Some(result), false)?);
    }
    Ok((types, interface))
}

#[derive(Default)]
struct Types(RegistryBuilder);

impl Types {
    fn of(&mut self, def: TypeDef) -> Result<TypeId, LedgerError> {
        self.0.intern(def, None)
    }

    fn named(&mut self, name: &str, def: TypeDef) -> Result<TypeId, LedgerError> {
        self.0.intern(def, Some(TypeName { interface: Some(LIFECYCLE.into()), name: name.into() }))
    }

    fn record(&mut self, name: &str, fields: &[(&str, TypeId)]) -> Result<TypeId, LedgerError> {
        let fields = fields.iter().map(|&(name, ty)| Field { name: name.into(), ty });
        self.named(name, TypeDef::Record(fields.collect()))
    }

    fn variant(&mut self, name: &str, cases: &[(&str, Option<TypeId>)]) -> Result<TypeId, LedgerError> {
        let cases = cases.iter().map(|&(name, ty)| Case { name: name.into(), ty });
        self.named(name, TypeDef::Variant(cases.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interface_is_what_the_guest_in_text_exports() {
        let guest = wat::parse_str(include_str!("../../../../guests/wat/actor.wat")).unwrap();
        let ledger = crate::introspect::introspect(&guest).unwrap();
        let theirs = ledger.export(Some(LIFECYCLE)).unwrap();
        assert_eq!(difference(&ledger.types, theirs), None);
        // None of its functions is looked over.
        let (_, ours) = expected().unwrap();
        assert_eq!(ours.functions.len(), theirs.functions.len());
    }
}
