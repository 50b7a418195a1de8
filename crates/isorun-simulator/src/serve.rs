//! Calls that a host serves.

use std::time::Instant;

use bytes::Bytes;
use isorun_core::{CallContext, CallFailed, Failure, FunctionIndex, Reply};
use neorpc::RequestId;

use crate::application::{CallId, HostId, Incoming, ServeId};
use crate::channel::Asked;
use crate::world::{Due, EndAt, Mail, World};

/// A call that is served, and for whose answer somebody waits.
pub(crate) struct Serve {
    pub(crate) host: usize,
    at: EndAt,
    request: RequestId,
    /// In microseconds since the start; calls made within get no longer.
    pub(crate) deadline: u64,
    pub(crate) cx: CallContext,
    /// Calls that are made within it and have no outcome.
    pub(crate) children: Vec<CallId>,
    began: bool,
}

impl World {
    pub(crate) fn serve(
        &mut self,
        at: EndAt,
        request: RequestId,
        instance: String,
        function: FunctionIndex,
        cx: CallContext,
        args: Bytes,
    ) {
        let (host, from) = (self.end(at).host, self.end((at.0, 1 - at.1)).host);
        let id = ServeId(self.next_serve);
        self.next_serve += 1;
        let deadline = self.micros(cx.deadline);
        let left_us = deadline - self.now.min(deadline);
        let caller = ((at.0, 1 - at.1), request);
        let (calls, base) = (&self.calls, self.instant_at(0));
        let found = self.promises.arrived(caller, left_us, &cx, |call| context_of(calls, call, base), &args);
        self.trace.note(self.now, || {
            let call = found.map_or(u64::MAX, |call| call.0);
            format!("h{host}: serves call {call} as s{} with {left_us} us", id.0)
        });
        let serve = Serve { host, at, request, deadline, cx: cx.clone(), children: Vec::new(), began: false };
        self.serves.insert(id, serve);
        self.end_mut(at).asked.insert(request, Asked::Call(id));
        self.after(left_us, Due::ServeDeadline(id));
        let call = Incoming { id, from: HostId(from), instance, function, cx, args };
        self.mail.push_back((host, Mail::Serve(call)));
    }

    pub(crate) fn begin(&mut self, host: usize, id: ServeId) -> bool {
        let Some(serve) = self.serves.get_mut(&id).filter(|serve| serve.host == host) else { return false };
        if !std::mem::replace(&mut serve.began, true) {
            let at = ((serve.at.0, 1 - serve.at.1), serve.request);
            self.promises.began(at);
        }
        true
    }

    pub(crate) fn answer(&mut self, host: usize, id: ServeId, result: Result<Reply, CallFailed>) {
        if self.serves.get(&id).is_none_or(|serve| serve.host != host) {
            return;
        }
        let declined = matches!(
            &result,
            Err(CallFailed {
                failure: Failure::Refused(_) | Failure::NotSent { .. } | Failure::Deadline { .. } | Failure::Cancelled,
                ..
            })
        );
        if !declined {
            self.begin(host, id);
        }
        self.close_serve(id, Some(result));
    }

    /// The caller's time is over.
    pub(crate) fn serve_deadline(&mut self, id: ServeId) {
        let Some(serve) = self.serves.get(&id) else { return };
        let host = serve.host;
        self.close_serve(id, Some(Err(Failure::Deadline { waited_ms: 0 }.into())));
        self.mail.push_back((host, Mail::Stopped(id)));
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn stop(&mut self, id: ServeId) {
        let Some(serve) = self.serves.get(&id) else { return };
        let host = serve.host;
        self.close_serve(id, None);
        self.mail.push_back((host, Mail::Stopped(id)));
    }

    fn close_serve(&mut self, id: ServeId, answer: Option<Result<Reply, CallFailed>>) {
        let Some(serve) = self.serves.remove(&id) else { return };
        for child in serve.children {
            self.cancel(serve.host, child);
        }
        // It may have come in this very step.
        self.mail.retain(|(_, mail)| !matches!(mail, Mail::Serve(call) if call.id == id));
        let at = serve.at;
        let Some(result) = answer else { return };
        self.promises.answered(((at.0, 1 - at.1), serve.request), &result);
        let end = self.end_mut(at);
        end.asked.remove(&serve.request);
        if !end.connection.answer_call(serve.request, result) {
            self.promises.broken(format!("s{} could not be answered, and nobody gave it up", id.0));
        }
        self.after_use(at);
    }

    pub(crate) fn abandon_serves(&mut self, host: usize) {
        self.serves.retain(|_, serve| serve.host != host);
    }
}

fn context_of(calls: &[crate::calls::Call], call: CallId, base: Instant) -> CallContext {
    calls[call.0 as usize].context(base)
}
