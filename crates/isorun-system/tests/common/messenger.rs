//! A messenger that keeps what it is given.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use isorun_core::{ComponentId, ComponentMetadata, CorrelationId, MessagePayload, MessagingError, Messenger};
use parking_lot::Mutex;

/// What came, as lines: `send FROM TO BYTES TYPE`.
#[derive(Default)]
pub struct Kept {
    pub lines: Mutex<Vec<String>>,
    /// What the next messages get instead of being taken.
    pub refusals: Mutex<Vec<MessagingError>>,
    pub components: Mutex<Vec<ComponentId>>,
    requests: AtomicU64,
    pub open: Mutex<Vec<CorrelationId>>,
}

impl Kept {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn lines(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines.lock())
    }

    fn take(&self, line: String) -> Result<(), MessagingError> {
        self.lines.lock().push(line);
        self.refusals.lock().pop().map_or(Ok(()), Err)
    }
}

fn shown(payload: &MessagePayload) -> String {
    format!("{} bytes, {}", payload.data.len(), payload.content_type.as_deref().unwrap_or("no type"))
}

impl Messenger for Kept {
    fn send(&self, from: &ComponentId, to: &ComponentId, payload: MessagePayload) -> Result<(), MessagingError> {
        self.take(format!("{from} sends {to} {}", shown(&payload)))
    }

    fn request(
        &self,
        from: &ComponentId,
        to: &ComponentId,
        payload: MessagePayload,
        timeout_ms: u64,
    ) -> Result<CorrelationId, MessagingError> {
        self.take(format!("{from} asks {to} {}, {timeout_ms} ms", shown(&payload)))?;
        let n = self.requests.fetch_add(1, Ordering::Relaxed);
        let id = CorrelationId::from_random(u128::from(n).to_be_bytes());
        self.open.lock().push(id);
        Ok(id)
    }

    fn cancel_request(&self, from: &ComponentId, id: CorrelationId) -> bool {
        self.lines.lock().push(format!("{from} cancels {id}"));
        let mut open = self.open.lock();
        let before = open.len();
        open.retain(|known| *known != id);
        open.len() < before
    }

    fn broadcast(
        &self,
        from: &ComponentId,
        to: &[ComponentId],
        payload: MessagePayload,
    ) -> Vec<Result<(), MessagingError>> {
        self.lines.lock().push(format!("{from} tells {} {}", to.len(), shown(&payload)));
        to.iter().map(|_| self.refusals.lock().pop().map_or(Ok(()), Err)).collect()
    }

    fn components(&self) -> Vec<ComponentId> {
        self.components.lock().clone()
    }

    fn metadata(&self, id: &ComponentId) -> Option<ComponentMetadata> {
        self.components.lock().contains(id).then(|| ComponentMetadata {
            name: id.name().into(),
            version: "1.2.3".into(),
            description: "kept".into(),
            properties: vec![("a".into(), "b".into()), ("c".into(), "d".into())],
        })
    }
}
