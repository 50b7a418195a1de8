"""Keeps a count, and does as messages tell it. guests/README.md has the messages and their answers."""

import re
from dataclasses import dataclass, field

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import component_lifecycle as lifecycle
from wit_world.imports import host_messaging, host_services, storage, types

# Where a durable count is stored.
SUM = "sum"


@dataclass
class State:
    """What it remembers between calls."""

    settings: dict[str, str] = field(default_factory=dict)
    restarts: int = 0
    sum: int = 0
    asked: str = ""  # The request that was made last.
    last: str = "none"  # The outcome that came last,
    heard: int = 0  # and how many came.


state = State()


def is_durable() -> bool:
    return state.settings.get("durable") == "true"


def rejected(reason: str) -> Err:
    return Err(lifecycle.Error_Rejected(reason))


def failed(reason: str) -> Err:
    return Err(lifecycle.Error_Failed(reason))


def payload(text: str) -> types.Payload:
    return types.Payload(text.encode(), None)


def messaging_error(e: types.MessagingError) -> str:
    match e:
        case types.MessagingError_DeliveryFailed(why):
            return f"delivery-failed{', may have arrived' if why.may_have_arrived else ''}: {why.reason}"
        case types.MessagingError_CorrelationTimeout():
            return "correlation-timeout"
        case types.MessagingError_InvalidMessage(reason):
            return f"invalid-message: {reason}"
        case types.MessagingError_QueueFull():
            return "queue-full"
        case types.MessagingError_TargetNotFound(id):
            return f"target-not-found: {id}"


def storage_error(e: storage.StorageError) -> str:
    match e:
        case storage.StorageError_QuotaExceeded(_):
            return "quota-exceeded"
        case storage.StorageError_InvalidKey(reason):
            return f"invalid-key: {reason}"
        case storage.StorageError_ValueTooLarge(bytes_max):
            return f"value-too-large: {bytes_max}"
        case storage.StorageError_Unavailable(reason):
            return f"unavailable: {reason}"
        case storage.StorageError_Unknown(reason):
            return f"unknown: {reason}"


def number(text: str) -> int:
    if not re.fullmatch("-?[0-9]{1,9}", text):
        raise rejected("no number")
    return int(text)


def unsigned(text: str) -> int:
    n = number(text)
    if n < 0:
        raise rejected("no number")
    return n


def spin():
    while True:
        pass


def trap():
    # No error of the interface's: it can't be handed to the host.
    raise RuntimeError("told to trap")


def obey(name: str) -> None:
    """What `at-start` and `at-shutdown` may say."""
    match state.settings.get(name):
        case "fail":
            raise failed("told to fail")
        case "reject":
            raise rejected("told to reject")
        case "trap":
            trap()
        case "spin":
            spin()


def add(n: int) -> str:
    """Adds, and stores the sum before it counts, where it is to last."""
    total = state.sum + n
    if is_durable():
        try:
            storage.set(SUM, str(total).encode())
        except Err as e:
            raise rejected(storage_error(e.value))
    state.sum = total
    return str(total)


def went(one) -> str:
    return messaging_error(one.value) if isinstance(one, Err) else "ok"


def boolean(value: bool) -> str:
    return "true" if value else "false"


def message(word: str, rest: str, msg: types.Message) -> str | None:
    """The answer to a message; an error of messaging and of storage is one too."""
    try:
        return MESSAGES[word](rest, msg)
    except KeyError:
        raise rejected("not understood") from None
    except Err as e:
        match e.value:
            case lifecycle.Error_Rejected(_) | lifecycle.Error_Failed(_):
                raise
            case error if isinstance(error, MESSAGING_ERRORS):
                return messaging_error(error)
            case error:
                return storage_error(error)


def fail(rest: str, msg: types.Message):
    raise failed("told to fail")


def reject(rest: str, msg: types.Message):
    raise rejected("told to reject")


def forward(rest: str, msg: types.Message) -> str:
    target, _, text = rest.partition(" ")
    host_messaging.send(target, payload(text))
    return "ok"


def ask(rest: str, msg: types.Message) -> str:
    target, _, text = rest.partition(" ")
    timeout_ms = unsigned(state.settings.get("timeout-ms", "5000"))
    state.asked = host_messaging.request(target, payload(text), timeout_ms)
    return state.asked


def broadcast(rest: str, msg: types.Message) -> str:
    targets, _, text = rest.partition(" ")
    return "\n".join(went(one) for one in host_messaging.broadcast(targets.split(","), payload(text)))


def sleep(rest: str, msg: types.Message) -> str:
    host_services.sleep_millis(unsigned(rest))
    return "slept"


def log(rest: str, msg: types.Message) -> str:
    host_services.log(host_services.Level.INFO, rest, [("sum", str(state.sum)), ("sender", msg.sender)])
    return "logged"


def about(rest: str, msg: types.Message) -> str:
    found = host_services.get_component_metadata(rest)
    return f"{found.name} {found.version}" if found else "unknown"


def store(rest: str, msg: types.Message) -> str:
    key, _, value = rest.partition(" ")
    storage.set(key, value.encode())
    return "ok"


def load(rest: str, msg: types.Message) -> str:
    found = storage.get(rest)
    return "absent" if found is None else bytes(found).decode()


def usage(rest: str, msg: types.Message) -> str:
    now = storage.usage()
    return f"{now.bytes} {now.keys} {now.quota_bytes} {now.quota_keys}"


MESSAGES = {
    "add": lambda rest, msg: add(number(rest)),
    "get": lambda rest, msg: str(state.sum),
    "quiet": lambda rest, msg: None,
    "fail": fail,
    "reject": reject,
    "trap": lambda rest, msg: trap(),
    "spin": lambda rest, msg: spin(),
    "forward": forward,
    "ask": ask,
    "cancel": lambda rest, msg: boolean(host_messaging.cancel_request(state.asked)),
    "last": lambda rest, msg: state.last,
    "heard": lambda rest, msg: str(state.heard),
    "broadcast": broadcast,
    "sleep": sleep,
    "log": log,
    "who": lambda rest, msg: "\n".join([host_messaging.self_id(), *host_services.list_components()]),
    "about": about,
    "time": lambda rest, msg: f"{host_services.current_time_millis()} {host_services.current_time().seconds}",
    "store": store,
    "load": load,
    "forget": lambda rest, msg: boolean(storage.delete(rest)),
    "has": lambda rest, msg: boolean(storage.exists(rest)),
    "keys": lambda rest, msg: "\n".join(storage.list_keys(rest)),
    "usage": usage,
    "envelope": lambda rest, msg: f"{msg.sender} {msg.reply_to or '-'} {msg.correlation_id or '-'}",
    "setting": lambda rest, msg: state.settings.get(rest, "absent"),
    "restarts": lambda rest, msg: str(state.restarts),
}
MESSAGING_ERRORS = (
    types.MessagingError_DeliveryFailed,
    types.MessagingError_CorrelationTimeout,
    types.MessagingError_InvalidMessage,
    types.MessagingError_QueueFull,
    types.MessagingError_TargetNotFound,
)


class ComponentLifecycle(exports.ComponentLifecycle):
    def initialize(self, config: lifecycle.Config) -> None:
        state.settings = dict(reversed(config.settings))
        state.restarts = config.restarts
        if is_durable():
            try:
                found = storage.get(SUM)
            except Err as e:
                raise failed(storage_error(e.value))
            if found is not None:
                if not re.fullmatch(b"-?[0-9]{1,18}", bytes(found)):
                    raise failed("no sum")
                state.sum = int(found)
        obey("at-start")

    def handle_message(self, msg: types.Message) -> types.Payload | None:
        word, _, rest = bytes(msg.payload.data).partition(b" ")
        if word == b"echo":
            return types.Payload(rest, msg.payload.content_type)
        answer = message(word.decode(), rest.decode(), msg)
        return None if answer is None else payload(answer)

    def handle_callback(self, msg: types.CallbackMessage) -> None:
        match msg.outcome:
            case types.Outcome_Replied(answer):
                outcome = f"replied: {bytes(answer.data).decode()}"
            case types.Outcome_NoReply():
                outcome = "no-reply"
            case types.Outcome_Refused(reason):
                outcome = f"refused: {reason}"
            case types.Outcome_Failed(error):
                outcome = f"failed: {messaging_error(error)}"
        state.heard += 1
        state.last = f"{msg.correlation_id} {msg.target} {outcome}"

    def metadata(self) -> types.ComponentMetadata:
        properties = [("language", "python")]
        return types.ComponentMetadata("tally", "0.1.0", "keeps a count, and does as messages tell it", properties)

    def health(self) -> lifecycle.HealthReport:
        if state.sum < 0:
            return lifecycle.HealthReport(lifecycle.HealthStatus.DEGRADED, "the count is negative")
        return lifecycle.HealthReport(lifecycle.HealthStatus.HEALTHY, None)

    def shutdown(self) -> None:
        obey("at-shutdown")
