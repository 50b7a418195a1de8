//! What the code of all modules together costs the compiler.

use wasmparser::{
    BinaryReaderError, BlockType, CompositeInnerType, ContType, FrameKind, FuncType, FunctionBody, ModuleArity,
    Operator, Payload, RefType, SubType, TypeRef,
};

use super::{
    CORE_TYPES_MAX, FLOW_MAX, FLOW_TOTAL_MAX, FUNCTION_BYTES_MAX, FUNCTIONS_MAX, HANDED_MAX, LOCALS_MAX, PrescanError,
    bound, damaged,
};

/// Follows the code of a file, and adds up what it comes to.
#[derive(Default)]
pub(super) struct Code {
    module: Module,
    functions: usize,
    types: usize,
    locals: usize,
    flow: usize,
    handed: usize,
}

/// The module that is being read, as far as its functions' shapes go.
#[derive(Default)]
struct Module {
    types: Vec<SubType>,
    /// The type of each function, imported ones first.
    functions: Vec<u32>,
    /// Which function the next body is of.
    next: usize,
}

impl Code {
    /// Takes note of one payload.
    pub(super) fn add(&mut self, payload: &Payload<'_>) -> Result<(), PrescanError> {
        match payload {
            Payload::ModuleSection { .. } => self.module = Module::default(),
            Payload::TypeSection(groups) => {
                for group in groups.clone() {
                    for ty in group.map_err(damaged)?.into_types() {
                        self.types += 1;
                        bound("the number of core types", self.types, CORE_TYPES_MAX)?;
                        self.module.types.push(ty);
                    }
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.clone().into_imports() {
                    if let TypeRef::Func(ty) | TypeRef::FuncExact(ty) = import.map_err(damaged)?.ty {
                        self.module.declare(ty)?;
                    }
                }
                self.module.next = self.module.functions.len();
            }
            Payload::FunctionSection(functions) => {
                for ty in functions.clone() {
                    self.module.declare(ty.map_err(damaged)?)?;
                }
            }
            Payload::CodeSectionStart { count, .. } => {
                self.functions = self.functions.saturating_add(*count as usize);
                bound("the number of functions", self.functions, FUNCTIONS_MAX)?;
            }
            Payload::CodeSectionEntry(body) => self.body(body)?,
            _ => {}
        }
        Ok(())
    }

    fn body(&mut self, body: &FunctionBody<'_>) -> Result<(), PrescanError> {
        bound("a function's body in bytes", body.range().len(), FUNCTION_BYTES_MAX)?;
        let ty = self.module.functions.get(self.module.next).copied();
        self.module.next += 1;
        let Some(ty) = ty else {
            return Err(PrescanError::Damaged { detail: "a body of no function".into(), offset: body.range().start });
        };
        let mut locals = match self.module.types.get(ty as usize).map(|ty| &ty.composite_type.inner) {
            Some(CompositeInnerType::Func(ty)) => ty.params().len(),
            _ => 0,
        };
        for group in body.get_locals_reader().map_err(damaged)? {
            locals = locals.saturating_add(group.map_err(damaged)?.0 as usize);
        }
        self.locals = self.locals.saturating_add(locals);
        bound("the number of all functions' locals", self.locals, LOCALS_MAX)?;
        let (flow, handed) = flow(&self.module, body, ty, locals).map_err(damaged)?;
        bound("a function's blocks times its values", flow, FLOW_MAX)?;
        self.handed = self.handed.saturating_add(handed);
        bound("the number of values that are handed on together", self.handed, HANDED_MAX)?;
        self.flow = self.flow.saturating_add(flow);
        bound("all functions' blocks times their values", self.flow, FLOW_TOTAL_MAX)
    }
}

impl Module {
    fn declare(&mut self, ty: u32) -> Result<(), PrescanError> {
        self.functions.push(ty);
        bound("the number of a module's functions", self.functions.len(), FUNCTIONS_MAX)
    }
}

/// A function's blocks times its values, and how many values it hands on together.
///
/// The first has for each block the values that may be alive where it begins
/// (locals, and operands on the stack), and for each call the operands that have
/// to outlive it. The second has what one operator leaves beyond one value:
/// other values cost at least a byte of code each.
fn flow(module: &Module, body: &FunctionBody<'_>, ty: u32, locals: usize) -> Result<(usize, usize), BinaryReaderError> {
    let mut at = Place { module, frames: vec![Frame { ty: BlockType::FuncType(ty), kind: FrameKind::Block, base: 0 }] };
    let (mut height, mut flow, mut handed) = (0usize, 0usize, 0usize);
    for operator in body.get_operators_reader()? {
        let operator = operator?;
        // What has no arity that is known here is nothing that the engine takes.
        let (takes, leaves) = operator.operator_arity(&at).unwrap_or_default();
        let (takes, leaves) = (takes as usize, leaves as usize);
        let Some(frame) = at.frames.last_mut() else { break };
        // Code that is never reached may take what isn't there.
        height = height.saturating_sub(takes).max(frame.base).saturating_add(leaves);
        let mut opened = None;
        let mut blocks = 0;
        match &operator {
            Operator::Block { blockty } => opened = Some((*blockty, FrameKind::Block)),
            Operator::Loop { blockty } => opened = Some((*blockty, FrameKind::Loop)),
            Operator::If { blockty } => opened = Some((*blockty, FrameKind::If)),
            Operator::TryTable { try_table } => opened = Some((try_table.ty, FrameKind::TryTable)),
            Operator::Else => {
                height = frame.base.saturating_add(leaves);
                frame.kind = FrameKind::Else;
                blocks = 1;
            }
            Operator::End => {
                height = frame.base.saturating_add(leaves);
                at.frames.pop();
            }
            Operator::BrIf { .. } => blocks = 1,
            Operator::Call { .. } | Operator::CallIndirect { .. } => flow = flow.saturating_add(height),
            Operator::BrTable { targets } => {
                handed = handed.saturating_add((targets.len() as usize).saturating_mul(takes.saturating_sub(1)))
            }
            _ => {}
        }
        if let Some((ty, kind)) = opened {
            blocks = 1;
            let (params, _) = at.block_type_arity(ty).unwrap_or_default();
            at.frames.push(Frame { ty, kind, base: height.saturating_sub(params as usize) });
        }
        let alive = locals.saturating_add(height).saturating_mul(blocks);
        flow = flow.saturating_add(alive);
        handed = handed.saturating_add(leaves.saturating_sub(1));
    }
    Ok((flow, handed))
}

/// A place in a function's body.
struct Place<'a> {
    module: &'a Module,
    /// The function itself, and the blocks around the place.
    frames: Vec<Frame>,
}

struct Frame {
    ty: BlockType,
    kind: FrameKind,
    /// How many operands are on the stack below its own.
    base: usize,
}

impl ModuleArity for Place<'_> {
    fn sub_type_at(&self, type_idx: u32) -> Option<&SubType> {
        self.module.types.get(type_idx as usize)
    }

    fn type_index_of_function(&self, function_idx: u32) -> Option<u32> {
        self.module.functions.get(function_idx as usize).copied()
    }

    fn tag_type_arity(&self, _: u32) -> Option<(u32, u32)> {
        None
    }

    fn func_type_of_cont_type(&self, _: &ContType) -> Option<&FuncType> {
        None
    }

    fn sub_type_of_ref_type(&self, _: &RefType) -> Option<&SubType> {
        None
    }

    fn control_stack_height(&self) -> u32 {
        u32::try_from(self.frames.len()).unwrap_or(u32::MAX)
    }

    fn label_block(&self, depth: u32) -> Option<(BlockType, FrameKind)> {
        let frame = self.frames.iter().rev().nth(depth as usize)?;
        Some((frame.ty, frame.kind))
    }
}
