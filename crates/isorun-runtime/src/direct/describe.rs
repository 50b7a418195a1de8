//! Plans, for those who ask how values are translated.

use isorun_ledger::{Function, TypeId, TypeRegistry};

use super::abi::{FLAT_PARAMS_MAX, FLAT_RESULTS_MAX};
use super::plan::{Kind, Plan, Rows};

/// How the direct codec translates one function's values.
///
/// ```
/// use isorun_ledger::{Function, Param, RegistryBuilder, TypeDef};
/// use isorun_runtime::CodecPlan;
///
/// let mut types = RegistryBuilder::new();
/// let bytes = types.intern(TypeDef::U8, None)?;
/// let bytes = types.intern(TypeDef::List(bytes), None)?;
/// let param = Param { name: "data".into(), ty: bytes };
/// let types = types.finish();
/// let plan = CodecPlan::of(&types, &Function::new(&types, "put", vec![param], None, false)?)?;
/// // A pointer and a length, and all bytes in one copy.
/// assert_eq!(plan.params.to_string(), "2 core values, 1 list copied whole");
/// assert_eq!(plan.results.to_string(), "nothing");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecPlan {
    /// How its arguments are.
    pub params: PlanSide,
    /// How its results are.
    pub results: PlanSide,
}

/// How a function's arguments, or its results, are translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanSide {
    /// Core values that they are passed in; `None` where they go through memory.
    pub core_values: Option<u32>,
    /// Bytes of memory that they lie in, without what they point to.
    pub memory_bytes: u32,
    /// Types that the plan goes through, each counted once.
    pub types: usize,
    /// Lists whose items are one copy, since they lie in memory as they travel.
    pub lists_whole: usize,
    /// Lists whose items are copied in runs of bytes, around what lies between values.
    pub lists_by_runs: usize,
    /// Lists, and maps, whose items are translated one by one.
    pub lists_by_item: usize,
}

impl CodecPlan {
    /// The plan of a function.
    ///
    /// # Errors
    /// Which type no link carries; such a function is not linked at all.
    pub fn of(types: &TypeRegistry, function: &Function) -> Result<Self, NoPlan> {
        let side = |items: &mut dyn Iterator<Item = TypeId>, flat_max: usize| {
            Plan::new(types, items).map(|plan| PlanSide::of(&plan, flat_max)).map_err(|e| NoPlan(e.to_string()))
        };
        Ok(Self {
            params: side(&mut function.params.iter().map(|param| param.ty), FLAT_PARAMS_MAX)?,
            results: side(&mut function.result.into_iter(), FLAT_RESULTS_MAX)?,
        })
    }
}

/// Why a function has no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoPlan(String);

impl PlanSide {
    fn of(plan: &Plan, flat_max: usize) -> Self {
        let (memory_bytes, _, flat) = plan.layout();
        let mut side = Self {
            core_values: (flat as usize <= flat_max).then_some(flat),
            memory_bytes,
            types: plan.nodes.len(),
            lists_whole: 0,
            lists_by_runs: 0,
            lists_by_item: 0,
        };
        for node in &plan.nodes {
            match &node.kind {
                Kind::Bytes | Kind::FixedBytes { .. } => side.lists_whole += 1,
                Kind::Rows(rows) | Kind::FixedRows { rows, .. } if Rows::is_plain(rows) => side.lists_whole += 1,
                Kind::Rows(_) | Kind::FixedRows { .. } => side.lists_by_runs += 1,
                Kind::List { .. } | Kind::FixedList { .. } | Kind::Map { .. } => side.lists_by_item += 1,
                Kind::Scalar(_)
                | Kind::Enum { .. }
                | Kind::Flags { .. }
                | Kind::Text
                | Kind::Struct(_)
                | Kind::Choice { .. } => {}
            }
        }
        side
    }
}

impl std::fmt::Display for PlanSide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.core_values {
            Some(0) => return f.write_str("nothing"),
            Some(1) => f.write_str("1 core value")?,
            Some(n) => write!(f, "{n} core values")?,
            None => write!(f, "{} bytes of memory", self.memory_bytes)?,
        }
        let lists = [
            (self.lists_whole, "copied whole"),
            (self.lists_by_runs, "copied by runs"),
            (self.lists_by_item, "item by item"),
        ];
        for (count, how) in lists.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {} {how}", if count == 1 { "list" } else { "lists" })?;
        }
        Ok(())
    }
}
