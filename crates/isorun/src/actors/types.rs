//! The types of the interfaces by which hosts speak of their components, as `wit/delivery.wit` and `wit/components.wit`
//! have them.

use isorun_ledger::{
    Case, Field, Function, Interface, LedgerError, NamedType, Param, RegistryBuilder, TypeDef, TypeId, TypeName,
};

/// The interface by which a host takes messages for its components; `wit/delivery.wit` has it.
pub const DELIVERY_INTERFACE: &str = "isorun:host/delivery@0.1.0";
/// The interface by which a host speaks of its components; `wit/components.wit` has it.
pub const COMPONENTS_INTERFACE: &str = "isorun:host/components@0.1.0";

/// The functions of [`DELIVERY_INTERFACE`].
pub(super) const DELIVER: &str = "deliver";
pub(super) const OUTCOME: &str = "outcome";
pub(super) const OUTCOMES: &str = "outcomes";
/// The functions of [`COMPONENTS_INTERFACE`].
pub(super) const COMPONENTS: &str = "components";
pub(super) const LOGS: &str = "logs";
pub(super) const DEAD_LETTERS: &str = "dead-letters";

/// An interface while it is written down.
struct Described<'a> {
    types: &'a mut RegistryBuilder,
    interface: Interface,
}

impl<'a> Described<'a> {
    fn new(types: &'a mut RegistryBuilder, name: &str) -> Self {
        Self { types, interface: Interface::new(Some(name.into())) }
    }

    fn plain(&mut self, def: TypeDef) -> Result<TypeId, LedgerError> {
        self.types.intern(def, None)
    }

    fn list(&mut self, of: TypeId) -> Result<TypeId, LedgerError> {
        self.plain(TypeDef::List(of))
    }

    fn option(&mut self, of: TypeId) -> Result<TypeId, LedgerError> {
        self.plain(TypeDef::Option(of))
    }

    fn named(&mut self, name: &str, def: TypeDef) -> Result<TypeId, LedgerError> {
        let known = TypeName { interface: self.interface.name.clone(), name: name.into() };
        let ty = self.types.intern(def, Some(known))?;
        self.interface.types.push(NamedType { name: name.into(), ty });
        Ok(ty)
    }

    fn record(&mut self, name: &str, fields: &[(&str, TypeId)]) -> Result<TypeId, LedgerError> {
        let fields = fields.iter().map(|(name, ty)| Field { name: (*name).into(), ty: *ty });
        self.named(name, TypeDef::Record(fields.collect()))
    }

    fn variant(&mut self, name: &str, cases: &[(&str, Option<TypeId>)]) -> Result<TypeId, LedgerError> {
        let cases = cases.iter().map(|(name, ty)| Case { name: (*name).into(), ty: *ty });
        self.named(name, TypeDef::Variant(cases.collect()))
    }

    fn cases(&mut self, name: &str, cases: &[&str]) -> Result<TypeId, LedgerError> {
        self.named(name, TypeDef::Enum(cases.iter().map(|case| (*case).into()).collect()))
    }

    fn function(&mut self, name: &str, params: &[(&str, TypeId)], result: TypeId) -> Result<(), LedgerError> {
        let params = params.iter().map(|(name, ty)| Param { name: (*name).into(), ty: *ty }).collect();
        self.interface.functions.push(Function::new(self.types.types(), name, params, Some(result), false)?);
        Ok(())
    }
}

/// [`DELIVERY_INTERFACE`].
pub(crate) fn delivery(types: &mut RegistryBuilder) -> Result<Interface, LedgerError> {
    let mut of = Described::new(types, DELIVERY_INTERFACE);
    let (text, number, flag) = (of.plain(TypeDef::String)?, of.plain(TypeDef::U64)?, of.plain(TypeDef::Bool)?);
    let byte = of.plain(TypeDef::U8)?;
    let (bytes, maybe_text, maybe_number) = (of.list(byte)?, of.option(text)?, of.option(number)?);
    let payload = of.record("payload", &[("data", bytes), ("content-type", maybe_text)])?;
    let message = of.record(
        "message",
        &[
            ("sender", text),
            ("recipient", text),
            ("payload", payload),
            ("correlation-id", maybe_text),
            ("reply-to", maybe_text),
            ("timestamp-ms", number),
            ("timeout-ms", maybe_number),
        ],
    )?;
    let failure = of.record("delivery-failure", &[("may-have-arrived", flag), ("reason", text)])?;
    let error = of.variant(
        "messaging-error",
        &[
            ("delivery-failed", Some(failure)),
            ("correlation-timeout", None),
            ("invalid-message", Some(text)),
            ("queue-full", None),
            ("target-not-found", Some(text)),
        ],
    )?;
    let outcome = of.variant(
        "outcome",
        &[("replied", Some(payload)), ("no-reply", None), ("refused", Some(text)), ("failed", Some(error))],
    )?;
    let messages = of.list(message)?;
    let delivered = of.plain(TypeDef::Result { ok: None, err: Some(error) })?;
    let all_delivered = of.list(delivered)?;
    of.function(DELIVER, &[("messages", messages)], all_delivered)?;
    of.function(OUTCOME, &[("correlation-id", text)], outcome)?;
    let (ids, wait_ms) = (of.list(text)?, of.plain(TypeDef::U32)?);
    let came = of.plain(TypeDef::Tuple(vec![text, outcome]))?;
    let all_came = of.list(came)?;
    of.function(OUTCOMES, &[("correlation-ids", ids), ("wait-ms", wait_ms)], all_came)?;
    Ok(of.interface)
}

/// [`COMPONENTS_INTERFACE`].
pub(crate) fn components(types: &mut RegistryBuilder) -> Result<Interface, LedgerError> {
    let mut of = Described::new(types, COMPONENTS_INTERFACE);
    let (text, number, count) = (of.plain(TypeDef::String)?, of.plain(TypeDef::U64)?, of.plain(TypeDef::U32)?);
    let flag = of.plain(TypeDef::Bool)?;
    let (maybe_text, maybe_number) = (of.option(text)?, of.option(number)?);
    let state = of.cases("state", &["created", "starting", "running", "stopping", "stopped"])?;
    let status = of.cases("health-status", &["healthy", "degraded", "unhealthy", "unknown"])?;
    let report = of.record("health-report", &[("status", status), ("reason", maybe_text)])?;
    let health = of.option(report)?;
    let component = of.record(
        "component",
        &[
            ("id", text),
            ("state", state),
            ("restarts", count),
            ("queued-messages", number),
            ("queued-bytes", number),
            ("memory-bytes", number),
            ("calls", number),
            ("health", health),
            ("supervisor", maybe_text),
            ("last-exit", maybe_text),
        ],
    )?;
    let all = of.list(component)?;
    let page = of.record("page", &[("components", all), ("more", flag)])?;
    let level = of.cases("level", &["trace", "debug", "info", "warn", "error"])?;
    let pair = of.plain(TypeDef::Tuple(vec![text, text]))?;
    let fields = of.list(pair)?;
    let line = of.record(
        "line",
        &[
            ("seq", number),
            ("timestamp-ms", number),
            ("component", text),
            ("level", level),
            ("message", text),
            ("fields", fields),
            ("dropped-before", number),
        ],
    )?;
    let lines = of.list(line)?;
    let log_page = of.record("log-page", &[("lines", lines), ("next", number), ("forgotten", number)])?;
    of.function(COMPONENTS, &[("after", maybe_text), ("limit", count), ("ask-health", flag)], page)?;
    let asked = [("component", maybe_text), ("after", maybe_number), ("limit", count), ("wait-ms", count)];
    of.function(LOGS, &asked, log_page)?;
    let reason =
        of.cases("dead-letter-reason", &["stopped", "crashed", "killed", "expired", "not-sent", "refused", "unknown"])?;
    let letter = of.record(
        "dead-letter",
        &[
            ("seq", number),
            ("timestamp-ms", number),
            ("sender", text),
            ("recipient", text),
            ("bytes", number),
            ("is-request", flag),
            ("reason", reason),
            ("may-have-arrived", flag),
            ("why", text),
        ],
    )?;
    let letters = of.list(letter)?;
    let count = of.plain(TypeDef::Tuple(vec![reason, number]))?;
    let counts = of.list(count)?;
    let page = of.record(
        "dead-letter-page",
        &[("letters", letters), ("next", number), ("forgotten", number), ("counts", counts)],
    )?;
    let limit = of.plain(TypeDef::U32)?;
    of.function(DEAD_LETTERS, &[("after", maybe_number), ("limit", limit)], page)?;
    Ok(of.interface)
}
