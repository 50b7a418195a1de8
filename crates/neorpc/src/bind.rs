//! What is asked once: bindings and descriptions.

use bytes::Bytes;
use isorun_core::{BindRequest, Failure};

use crate::codec::{Reader, Writer, required, set};
use crate::failure::{read_failure, write_failure};
use crate::frame::FrameError;
use crate::id::{BindingId, RequestId};
use crate::limits::{FUNCTIONS_MAX, NAME_BYTES_MAX};

/// Asks to call functions of one interface of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindFrame {
    /// The request's number.
    pub id: RequestId,
    /// The instance's name where it runs.
    pub instance: String,
    /// The interface and its functions.
    pub want: BindRequest,
}

/// Answers a bind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundFrame {
    /// The request's number.
    pub id: RequestId,
    /// The function table, or why there is none: [`Incompatible`](isorun_core::Refusal::Incompatible) carries the ledger
    /// that shows the difference.
    pub result: Result<FunctionTable, Failure>,
}

/// What calls through a binding name: the binding, and the functions in the order that the bind asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionTable {
    /// The binding's number at the end that serves it.
    pub binding: BindingId,
    /// How many functions it has: as many as were asked for.
    pub functions: u32,
}

/// Asks for an instance's ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeFrame {
    /// The request's number.
    pub id: RequestId,
    /// The instance's name where it runs.
    pub instance: String,
}

/// Answers a describe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedFrame {
    /// The request's number.
    pub id: RequestId,
    /// What the instance is, or why that is not said.
    pub result: Result<Description, Failure>,
}

/// What an instance says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its packed ledger.
    pub ledger: Bytes,
    /// Whether what one call leaves behind a later one may find, so that all calls of a link belong to one place; `None`
    /// where it does not say.
    pub keeps_state: Option<bool>,
}

impl From<Bytes> for Description {
    /// A ledger, and nothing said of state.
    fn from(ledger: Bytes) -> Self {
        Self { ledger, keeps_state: None }
    }
}

impl BindFrame {
    pub(crate) fn write(&self, out: &mut Writer) -> Result<(), FrameError> {
        out.begin()?;
        out.u64(self.id.0)?;
        out.name("instance", &self.instance)?;
        out.optional_name("interface", self.want.interface.as_deref())?;
        if self.want.functions.len() > FUNCTIONS_MAX {
            let (size, max) = (self.want.functions.len(), FUNCTIONS_MAX);
            return Err(FrameError::TooMany { what: "functions", size, max });
        }
        out.list(self.want.functions.len())?;
        for (name, hash) in &self.want.functions {
            out.begin()?;
            out.name("function", name)?;
            out.bytes(hash)?;
            out.end()?;
        }
        out.list_end()?;
        out.end()
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, FrameError> {
        input.begin()?;
        let id = RequestId(input.u64()?);
        let instance = input.name("instance", NAME_BYTES_MAX)?;
        let interface = input.optional_name("interface")?;
        let count = input.list("functions", FUNCTIONS_MAX)?;
        let mut functions = Vec::new();
        for _ in 0..count {
            input.begin()?;
            let name = input.name("function", NAME_BYTES_MAX)?;
            functions.push((name, input.array("hash")?));
            input.end()?;
        }
        input.list_end()?;
        input.end()?;
        Ok(Self { id, instance, want: BindRequest { interface, functions } })
    }
}

impl BoundFrame {
    pub(crate) fn write(&self, out: &mut Writer) -> Result<(), FrameError> {
        out.begin()?;
        out.u64(self.id.0)?;
        match &self.result {
            Ok(table) => {
                out.ok()?;
                out.begin()?;
                out.u32(table.binding.0)?;
                out.u32(table.functions)?;
                out.end()?;
            }
            Err(failure) => {
                out.err()?;
                write_failure(failure, out)?;
            }
        }
        out.end()
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, FrameError> {
        input.begin()?;
        let id = RequestId(input.u64()?);
        let result = if input.result()? {
            input.begin()?;
            let table = FunctionTable { binding: BindingId(input.u32()?), functions: input.u32()? };
            input.end()?;
            Ok(table)
        } else {
            Err(read_failure(input)?)
        };
        input.end()?;
        Ok(Self { id, result })
    }
}

impl DescribeFrame {
    pub(crate) fn write(&self, out: &mut Writer) -> Result<(), FrameError> {
        out.begin()?;
        out.u64(self.id.0)?;
        out.name("instance", &self.instance)?;
        out.end()
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, FrameError> {
        input.begin()?;
        let id = RequestId(input.u64()?);
        let instance = input.name("instance", NAME_BYTES_MAX)?;
        input.end()?;
        Ok(Self { id, instance })
    }
}

impl DescribedFrame {
    pub(crate) fn write(&self, out: &mut Writer) -> Result<(), FrameError> {
        out.begin()?;
        out.u64(self.id.0)?;
        match &self.result {
            Ok(Description { ledger, keeps_state }) => {
                out.ok()?;
                out.map(if keeps_state.is_some() { 2 } else { 1 })?;
                out.key("ledger")?;
                out.bytes(ledger)?;
                if let Some(keeps_state) = keeps_state {
                    out.key("keeps-state")?;
                    out.bool(*keeps_state)?;
                }
                out.map_end()?;
            }
            Err(failure) => {
                out.err()?;
                write_failure(failure, out)?;
            }
        }
        out.end()
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, FrameError> {
        input.begin()?;
        let id = RequestId(input.u64()?);
        let result = if input.result()? { Ok(read_description(input)?) } else { Err(read_failure(input)?) };
        input.end()?;
        Ok(Self { id, result })
    }
}

fn read_description(input: &mut Reader<'_>) -> Result<Description, FrameError> {
    let (mut ledger, mut keeps_state) = (None, None);
    for _ in 0..input.map()? {
        match input.key()? {
            "ledger" => set(&mut ledger, "ledger", input.bytes()?)?,
            "keeps-state" => set(&mut keeps_state, "keeps-state", input.bool()?)?,
            _ => input.skip()?,
        }
    }
    input.map_end()?;
    Ok(Description { ledger: required(ledger, "ledger")?, keeps_state })
}
