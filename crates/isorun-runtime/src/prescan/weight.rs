//! What a component makes and lays out when it starts.
//!
//! The compiler carries out the instantiation of a component symbolically, and
//! copies what is handed on: an instance with all that is in it. So each
//! component is summed up once, when its end is read, as a [`Form`] of what it
//! will be given, and instantiating it evaluates that form.

use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, ComponentTypeRef, Instance,
    Payload,
};

use super::{CANONS_MAX, INSTANTIATIONS_MAX, LAYOUT_MAX, PrescanError, bound, damaged};

/// A number of items: `own`, and `given` times all that the component is given.
///
/// Saturating, so that nothing is small again after it was too large.
#[derive(Clone, Copy, Default)]
struct Form {
    own: usize,
    given: usize,
}

impl Form {
    const ONE: Self = Self { own: 1, given: 0 };
    /// Part of what is given, and so at most all of it.
    const GIVEN: Self = Self { own: 1, given: 1 };

    fn of(own: usize) -> Self {
        Self { own, given: 0 }
    }

    fn plus(self, more: Self) -> Self {
        Self { own: self.own.saturating_add(more.own), given: self.given.saturating_add(more.given) }
    }

    /// The form where `args` is what the component is given.
    fn with(self, args: Self) -> Self {
        let times = |args: usize| self.given.saturating_mul(args);
        Self { own: self.own.saturating_add(times(args.own)), given: times(args.given) }
    }
}

/// Follows the parts of a file, and keeps of each what instantiating it comes to.
#[derive(Default)]
pub(super) struct Weight {
    /// The parts around the present place.
    open: Vec<Part>,
}

/// A part of a file that is being read.
enum Part {
    Component(Component),
    /// A module, with the number of its imports so far.
    Module(usize),
}

/// A component that is being read.
#[derive(Default)]
struct Component {
    components: Vec<Known>,
    instances: Vec<Form>,
    /// What instantiating each module adds: its imports.
    modules: Vec<Form>,
    /// How many instances it makes itself.
    makes: usize,
    /// How many functions it lifts and lowers.
    canons: usize,
    /// Items that are laid out when it is instantiated, each as often as it is copied.
    lays_out: Form,
    /// What its exports hold.
    exports: Form,
    /// What it holds of the components around it.
    holds: usize,
    takes: bool,
}

/// A component that has been read.
#[derive(Clone, Copy)]
struct Known {
    makes: usize,
    canons: usize,
    lays_out: Form,
    exports: Form,
    holds: usize,
}

impl Known {
    fn size(&self) -> Form {
        Form::of(self.holds.saturating_add(1))
    }
}

impl Component {
    fn lay_out(&mut self, more: Form) {
        self.lays_out = self.lays_out.plus(more);
    }

    fn make(&mut self, more: usize) -> Result<(), PrescanError> {
        self.makes = self.makes.saturating_add(more);
        bound("the number of instances", self.makes, INSTANTIATIONS_MAX)
    }

    fn lower(&mut self, more: usize) -> Result<(), PrescanError> {
        self.canons = self.canons.saturating_add(more);
        bound("the number of lifted and lowered functions", self.canons, CANONS_MAX)
    }

    fn component(&self, index: u32) -> Result<Known, PrescanError> {
        self.components.get(index as usize).copied().ok_or_else(|| missing("component", index))
    }

    fn instance(&self, index: u32) -> Result<Form, PrescanError> {
        self.instances.get(index as usize).copied().ok_or_else(|| missing("instance", index))
    }

    fn module(&self, index: u32) -> Result<Form, PrescanError> {
        self.modules.get(index as usize).copied().ok_or_else(|| missing("module", index))
    }

    /// What copying an item copies.
    fn item(&self, kind: ComponentExternalKind, index: u32) -> Result<Form, PrescanError> {
        match kind {
            ComponentExternalKind::Component => self.component(index).map(|known| known.size()),
            ComponentExternalKind::Instance => self.instance(index),
            ComponentExternalKind::Module => self.module(index),
            ComponentExternalKind::Func | ComponentExternalKind::Value | ComponentExternalKind::Type => Ok(Form::ONE),
        }
    }

    fn instance_made(&mut self, instance: &ComponentInstance<'_>) -> Result<(), PrescanError> {
        match instance {
            ComponentInstance::Instantiate { component_index, args } => {
                let known = self.component(*component_index)?;
                let mut given = Form::ONE;
                for arg in args {
                    given = given.plus(self.item(arg.kind, arg.index)?);
                }
                self.make(known.makes.saturating_add(1))?;
                self.lower(known.canons)?;
                self.lay_out(given.plus(known.size()).plus(known.lays_out.with(given)));
                self.instances.push(known.exports.with(given));
            }
            ComponentInstance::FromExports(exports) => {
                let mut size = Form::ONE;
                for export in exports {
                    size = size.plus(self.item(export.kind, export.index)?);
                }
                self.make(1)?;
                self.lay_out(size);
                self.instances.push(size);
            }
        }
        Ok(())
    }

    fn core_instance_made(&mut self, instance: &Instance<'_>) -> Result<(), PrescanError> {
        self.make(1)?;
        match instance {
            Instance::Instantiate { module_index, args } => {
                let module = self.module(*module_index)?;
                self.lay_out(module.plus(Form::of(args.len().saturating_add(1))));
            }
            Instance::FromExports(exports) => self.lay_out(Form::of(exports.len().saturating_add(1))),
        }
        Ok(())
    }

    fn imported(&mut self, ty: ComponentTypeRef) -> Result<(), PrescanError> {
        match ty {
            ComponentTypeRef::Component(_) => return Err(PASSED_AROUND),
            ComponentTypeRef::Instance(_) => self.instances.push(Form::GIVEN),
            ComponentTypeRef::Module(_) => self.modules.push(Form::GIVEN),
            ComponentTypeRef::Func(_) | ComponentTypeRef::Value(_) | ComponentTypeRef::Type(_) => {}
        }
        // Each import takes one of the things given, and all of them together take all.
        self.lay_out(if self.takes { Form::ONE } else { Form::GIVEN });
        self.takes = true;
        Ok(())
    }

    /// An item that comes into its index space by an alias or an export.
    fn known_as(&mut self, kind: ComponentExternalKind, size: Form) {
        self.lay_out(size);
        match kind {
            ComponentExternalKind::Instance => self.instances.push(size),
            ComponentExternalKind::Module => self.modules.push(size),
            ComponentExternalKind::Component
            | ComponentExternalKind::Func
            | ComponentExternalKind::Value
            | ComponentExternalKind::Type => {}
        }
    }

    fn exported(&mut self, kind: ComponentExternalKind, index: u32) -> Result<(), PrescanError> {
        let size = self.item(kind, index)?;
        self.exports = self.exports.plus(size);
        self.known_as(kind, size);
        if kind == ComponentExternalKind::Component {
            self.components.push(self.component(index)?);
        }
        Ok(())
    }

    fn done(self) -> Known {
        let exports = self.exports.plus(Form::ONE);
        Known { makes: self.makes, canons: self.canons, lays_out: self.lays_out, exports, holds: self.holds }
    }
}

impl Weight {
    /// Takes note of one payload.
    pub(super) fn add(&mut self, payload: &Payload<'_>) -> Result<(), PrescanError> {
        match payload {
            // The outermost component has no section of its own.
            Payload::Version { .. } if self.open.is_empty() => self.open.push(Part::Component(Component::default())),
            Payload::ComponentSection { .. } => self.open.push(Part::Component(Component::default())),
            Payload::ModuleSection { .. } => self.open.push(Part::Module(0)),
            Payload::ImportSection(imports) => {
                if let Some(Part::Module(found)) = self.open.last_mut() {
                    *found = found.saturating_add(imports.count() as usize);
                }
            }
            Payload::End(_) if self.open.len() > 1 => self.close(),
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases.clone() {
                    self.alias(&alias.map_err(damaged)?)?;
                }
            }
            _ => {
                if let Some(Part::Component(component)) = self.open.last_mut() {
                    component_payload(component, payload)?;
                }
            }
        }
        if let [Part::Component(outermost)] = &self.open[..] {
            // Nobody gives it instances that would be copied.
            bound("what its instances lay out together", outermost.lays_out.own, LAYOUT_MAX)?;
        }
        Ok(())
    }

    fn close(&mut self) {
        let closed = self.open.pop();
        let Some(Part::Component(around)) = self.open.last_mut() else { return };
        match closed {
            Some(Part::Component(component)) => {
                let known = component.done();
                around.lay_out(known.size());
                around.components.push(known);
            }
            Some(Part::Module(imports)) => around.modules.push(Form::of(imports.saturating_add(1))),
            None => {}
        }
    }

    fn alias(&mut self, alias: &ComponentAlias<'_>) -> Result<(), PrescanError> {
        match *alias {
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Component, .. } => Err(PASSED_AROUND),
            ComponentAlias::InstanceExport { kind, instance_index, .. } => {
                let component = self.here()?;
                let instance = component.instance(instance_index)?;
                let holds_more = matches!(kind, ComponentExternalKind::Instance | ComponentExternalKind::Module);
                component.known_as(kind, if holds_more { instance } else { Form::ONE });
                Ok(())
            }
            ComponentAlias::Outer { kind: ComponentOuterAliasKind::Component, count, index } => {
                let known = self.out(count)?.component(index)?;
                self.hold(count, known.size().own);
                self.here()?.components.push(known);
                Ok(())
            }
            ComponentAlias::Outer { kind: ComponentOuterAliasKind::CoreModule, count, index } => {
                let size = self.out(count)?.module(index)?;
                self.hold(count, 1);
                self.here()?.modules.push(size);
                Ok(())
            }
            ComponentAlias::Outer { .. } | ComponentAlias::CoreInstanceExport { .. } => {
                self.here()?.lay_out(Form::ONE);
                Ok(())
            }
        }
    }

    /// The component that is being read.
    fn here(&mut self) -> Result<&mut Component, PrescanError> {
        match self.open.last_mut() {
            Some(Part::Component(component)) => Ok(component),
            Some(Part::Module(_)) | None => Err(missing("component around", 0)),
        }
    }

    /// The component `count` further out.
    fn out(&self, count: u32) -> Result<&Component, PrescanError> {
        match self.open.iter().rev().nth(count as usize) {
            Some(Part::Component(component)) => Ok(component),
            Some(Part::Module(_)) | None => Err(missing("component further out", count)),
        }
    }

    /// All components up to the one that something was taken from hold it, and copy it.
    fn hold(&mut self, count: u32, size: usize) {
        for part in self.open.iter_mut().rev().take(count as usize) {
            if let Part::Component(component) = part {
                component.holds = component.holds.saturating_add(size);
            }
        }
        if let Ok(component) = self.here() {
            component.lay_out(Form::of(size));
        }
    }
}

fn component_payload(component: &mut Component, payload: &Payload<'_>) -> Result<(), PrescanError> {
    match payload {
        Payload::InstanceSection(instances) => {
            for instance in instances.clone() {
                component.core_instance_made(&instance.map_err(damaged)?)?;
            }
        }
        Payload::ComponentInstanceSection(instances) => {
            for instance in instances.clone() {
                component.instance_made(&instance.map_err(damaged)?)?;
            }
        }
        Payload::ComponentImportSection(imports) => {
            for import in imports.clone() {
                component.imported(import.map_err(damaged)?.ty)?;
            }
        }
        Payload::ComponentExportSection(exports) => {
            for export in exports.clone() {
                let export = export.map_err(damaged)?;
                component.exported(export.kind, export.index)?;
            }
        }
        Payload::ComponentCanonicalSection(canons) => component.lower(canons.count() as usize)?,
        Payload::ComponentTypeSection(types) => component.lay_out(Form::of(types.count() as usize)),
        _ => {}
    }
    Ok(())
}

fn missing(what: &str, index: u32) -> PrescanError {
    PrescanError::Damaged { detail: format!("no {what} {index}"), offset: 0 }
}

/// What such a component makes shows only when it is instantiated.
const PASSED_AROUND: PrescanError =
    PrescanError::Unsupported { what: "a component that is imported, or taken from an instance" };
