//! How many instances a component makes when it starts.

use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, ComponentTypeRef, Payload,
};

use super::{INSTANTIATIONS_MAX, PrescanError, bound, damaged};

/// Follows the parts of a file, and keeps of each component what instantiating it makes.
#[derive(Default)]
pub(super) struct Weight {
    /// The components around the present place, and modules, which make nothing.
    open: Vec<Option<Component>>,
}

/// A component that is being read.
#[derive(Default)]
struct Component {
    /// What each component in its index space makes.
    known: Vec<usize>,
    /// What it makes itself.
    makes: usize,
}

impl Weight {
    /// Takes note of one payload.
    pub(super) fn add(&mut self, payload: &Payload<'_>) -> Result<(), PrescanError> {
        match payload {
            // The outermost component has no section of its own.
            Payload::Version { .. } if self.open.is_empty() => self.open.push(Some(Component::default())),
            Payload::ComponentSection { .. } => self.open.push(Some(Component::default())),
            Payload::ModuleSection { .. } => self.open.push(None),
            Payload::End(_) => {
                if let Some(Some(done)) = self.open.pop()
                    && let Some(Some(around)) = self.open.last_mut()
                {
                    around.known.push(done.makes.saturating_add(1));
                }
            }
            Payload::InstanceSection(instances) => self.make(instances.count() as usize)?,
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances.clone() {
                    let makes = match instance.map_err(damaged)? {
                        ComponentInstance::Instantiate { component_index, .. } => self.known(0, component_index)?,
                        ComponentInstance::FromExports(_) => 1,
                    };
                    self.make(makes)?;
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases.clone() {
                    match alias.map_err(damaged)? {
                        ComponentAlias::Outer { kind: ComponentOuterAliasKind::Component, count, index } => {
                            let makes = self.known(count as usize, index)?;
                            self.know(makes);
                        }
                        ComponentAlias::InstanceExport { kind: ComponentExternalKind::Component, .. } => {
                            return Err(PASSED_AROUND);
                        }
                        ComponentAlias::Outer { .. }
                        | ComponentAlias::InstanceExport { .. }
                        | ComponentAlias::CoreInstanceExport { .. } => {}
                    }
                }
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports.clone() {
                    if let ComponentTypeRef::Component(_) = import.map_err(damaged)?.ty {
                        return Err(PASSED_AROUND);
                    }
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports.clone() {
                    let export = export.map_err(damaged)?;
                    if export.kind == ComponentExternalKind::Component {
                        let makes = self.known(0, export.index)?;
                        self.know(makes);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What a component of the index space `out` components further out makes.
    fn known(&self, out: usize, index: u32) -> Result<usize, PrescanError> {
        let around = self.open.iter().rev().nth(out).and_then(Option::as_ref);
        let makes = around.and_then(|component| component.known.get(index as usize)).copied();
        makes.ok_or_else(|| PrescanError::Damaged { detail: format!("no component {index}"), offset: 0 })
    }

    fn know(&mut self, makes: usize) {
        if let Some(Some(component)) = self.open.last_mut() {
            component.known.push(makes);
        }
    }

    fn make(&mut self, more: usize) -> Result<(), PrescanError> {
        let Some(Some(component)) = self.open.last_mut() else { return Ok(()) };
        component.makes = component.makes.saturating_add(more);
        bound("the number of instances", component.makes, INSTANTIATIONS_MAX)
    }
}

/// What such a component makes shows only when it is instantiated.
const PASSED_AROUND: PrescanError =
    PrescanError::Unsupported { what: "a component that is imported, or taken from an instance" };
