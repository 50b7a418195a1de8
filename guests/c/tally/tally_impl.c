// Keeps a count, and does as messages tell it. guests/README.md has the messages and their answers.
#include "tally.h"
#include "text.h"

typedef isorun_actor_types_payload_t payload;
typedef isorun_actor_types_messaging_error_t messaging_error;
typedef isorun_actor_storage_storage_error_t storage_error;
typedef exports_isorun_actor_component_lifecycle_error_t error;

// What it remembers between calls.
static tally_list_tuple2_string_string_t settings;
static uint32_t restarts;
static int64_t sum;
static str asked;  // The request that was made last.
static str last;   // The outcome that came last,
static uint32_t heard;  // and how many came.

// Where a durable count is stored.
#define SUM "sum"
// A number in a message has nine digits at most, so that no sum overflows.
#define DIGITS_MAX 9
#define SUM_DIGITS_MAX 18

// What becomes of a message.
typedef enum { ANSWERED, QUIET, REJECTED, FAILED } end;

static const str *setting(view name) {
  for (size_t i = 0; i < settings.len; i++) {
    const str *known = &settings.ptr[i].f0;
    if (known->len == name.len && !memcmp(known->ptr, name.ptr, name.len)) return &settings.ptr[i].f1;
  }
  return NULL;
}

static bool is_durable(void) {
  const str *durable = setting(literal("durable"));
  return durable && is(view_of(durable), "true");
}

static end told(str *out, const char *why, end how) {
  say(out, why);
  return how;
}

static void say_messaging(str *out, messaging_error *e) {
  switch (e->tag) {
    case ISORUN_ACTOR_TYPES_MESSAGING_ERROR_DELIVERY_FAILED:
      say(out, e->val.delivery_failed.may_have_arrived ? "delivery-failed, may have arrived: " : "delivery-failed: ");
      append(out, view_of(&e->val.delivery_failed.reason));
      break;
    case ISORUN_ACTOR_TYPES_MESSAGING_ERROR_CORRELATION_TIMEOUT: say(out, "correlation-timeout"); break;
    case ISORUN_ACTOR_TYPES_MESSAGING_ERROR_INVALID_MESSAGE:
      say(out, "invalid-message: ");
      append(out, view_of(&e->val.invalid_message));
      break;
    case ISORUN_ACTOR_TYPES_MESSAGING_ERROR_QUEUE_FULL: say(out, "queue-full"); break;
    default:
      say(out, "target-not-found: ");
      append(out, view_of(&e->val.target_not_found));
  }
}

static void say_storage(str *out, storage_error *e) {
  switch (e->tag) {
    case ISORUN_ACTOR_STORAGE_STORAGE_ERROR_QUOTA_EXCEEDED: say(out, "quota-exceeded"); break;
    case ISORUN_ACTOR_STORAGE_STORAGE_ERROR_INVALID_KEY:
      say(out, "invalid-key: ");
      append(out, view_of(&e->val.invalid_key));
      break;
    case ISORUN_ACTOR_STORAGE_STORAGE_ERROR_VALUE_TOO_LARGE:
      say(out, "value-too-large: ");
      say_count(out, e->val.value_too_large);
      break;
    case ISORUN_ACTOR_STORAGE_STORAGE_ERROR_UNAVAILABLE:
      say(out, "unavailable: ");
      append(out, view_of(&e->val.unavailable));
      break;
    default:
      say(out, "unknown: ");
      append(out, view_of(&e->val.unknown));
  }
  isorun_actor_storage_storage_error_free(e);
}

static void say_refused(str *out, messaging_error *e) {
  say_messaging(out, e);
  isorun_actor_types_messaging_error_free(e);
}

static payload plain(view text) { return (payload){ .data = { (uint8_t *)text.ptr, text.len } }; }

static bool store(view key, view value, storage_error *e) {
  str k = lent(key);
  tally_list_u8_t v = { (uint8_t *)value.ptr, value.len };
  return isorun_actor_storage_set(&k, &v, e);
}

static _Noreturn void spin(void) {
  for (volatile uint32_t turns = 0;;) turns = turns + 1;
}

// What `at-start` and `at-shutdown` may say.
static end obey(const char *name, str *out) {
  const str *what = setting(literal(name));
  if (!what) return ANSWERED;
  if (is(view_of(what), "fail")) return told(out, "told to fail", FAILED);
  if (is(view_of(what), "reject")) return told(out, "told to reject", REJECTED);
  if (is(view_of(what), "trap")) __builtin_trap();
  if (is(view_of(what), "spin")) spin();
  return ANSWERED;
}

// Adds, and stores the sum before it counts, where it is to last.
static end add(view number, str *out) {
  int64_t n;
  if (!read_number(number, DIGITS_MAX, &n)) return told(out, "no number", REJECTED);
  say_number(out, sum + n);
  storage_error e;
  if (is_durable() && !store(literal(SUM), view_of(out), &e)) {
    free(out->ptr);
    *out = (str){ 0 };
    say_storage(out, &e);
    return REJECTED;
  }
  sum += n;
  return ANSWERED;
}

static end forward(view target, view text, str *out) {
  str to = lent(target);
  payload p = plain(text);
  messaging_error e;
  if (isorun_actor_host_messaging_send(&to, &p, &e)) say(out, "ok");
  else say_refused(out, &e);
  return ANSWERED;
}

static end ask(view target, view text, str *out) {
  const str *timeout = setting(literal("timeout-ms"));
  int64_t timeout_ms = 5000;
  if (timeout && (!read_number(view_of(timeout), DIGITS_MAX, &timeout_ms) || timeout_ms < 0))
    return told(out, "no number", REJECTED);
  str to = lent(target), id;
  payload p = plain(text);
  messaging_error e;
  if (!isorun_actor_host_messaging_request(&to, &p, (uint64_t)timeout_ms, &id, &e)) {
    say_refused(out, &e);
    return ANSWERED;
  }
  tally_string_free(&asked);
  asked = id;
  append(out, view_of(&id));
  return ANSWERED;
}

static end broadcast(view targets, view text, str *out) {
  size_t n = 1;
  for (size_t i = 0; i < targets.len; i++) n += targets.ptr[i] == ',';
  str *to = malloc(n * sizeof *to);
  for (size_t i = 0; i < n; i++) to[i] = lent(upto(&targets, ','));
  isorun_actor_host_messaging_list_component_id_t all = { to, n };
  isorun_actor_host_messaging_list_result_void_messaging_error_t went;
  payload p = plain(text);
  isorun_actor_host_messaging_broadcast(&all, &p, &went);
  for (size_t i = 0; i < went.len; i++) {
    if (i) say(out, "\n");
    if (went.ptr[i].is_err) say_messaging(out, &went.ptr[i].val.err);
    else say(out, "ok");
  }
  isorun_actor_host_messaging_list_result_void_messaging_error_free(&went);
  free(to);
  return ANSWERED;
}

static end pause_for(view number, str *out) {
  int64_t ms;
  if (!read_number(number, DIGITS_MAX, &ms) || ms < 0) return told(out, "no number", REJECTED);
  isorun_actor_host_services_sleep_millis((uint64_t)ms);
  return told(out, "slept", ANSWERED);
}

static end write_line(view text, const str *sender, str *out) {
  str number = { 0 }, line = lent(text);
  say_number(&number, sum);
  tally_tuple2_string_string_t fields[] = { { lent(literal("sum")), number }, { lent(literal("sender")), *sender } };
  tally_list_tuple2_string_string_t all = { fields, 2 };
  isorun_actor_host_services_log(ISORUN_ACTOR_HOST_SERVICES_LEVEL_INFO, &line, &all);
  tally_string_free(&number);
  return told(out, "logged", ANSWERED);
}

static end who(str *out) {
  str self;
  isorun_actor_host_messaging_self_id(&self);
  append(out, view_of(&self));
  tally_string_free(&self);
  isorun_actor_host_services_list_component_id_t all;
  isorun_actor_host_services_list_components(&all);
  for (size_t i = 0; i < all.len; i++) {
    say(out, "\n");
    append(out, view_of(&all.ptr[i]));
  }
  isorun_actor_host_services_list_component_id_free(&all);
  return ANSWERED;
}

static end about(view id, str *out) {
  str text = lent(id);
  isorun_actor_types_component_metadata_t found;
  if (!isorun_actor_host_services_get_component_metadata(&text, &found)) return told(out, "unknown", ANSWERED);
  append(out, view_of(&found.name));
  say(out, " ");
  append(out, view_of(&found.version));
  isorun_actor_types_component_metadata_free(&found);
  return ANSWERED;
}

static end say_time(str *out) {
  isorun_actor_host_services_datetime_t now;
  say_count(out, isorun_actor_host_services_current_time_millis());
  isorun_actor_host_services_current_time(&now);
  say(out, " ");
  say_count(out, now.seconds);
  return ANSWERED;
}

static end load(view key, str *out) {
  str k = lent(key);
  tally_option_list_u8_t found;
  storage_error e;
  if (!isorun_actor_storage_get(&k, &found, &e)) {
    say_storage(out, &e);
    return ANSWERED;
  }
  if (found.is_some) append(out, (view){ found.val.ptr, found.val.len });
  else say(out, "absent");
  tally_option_list_u8_free(&found);
  return ANSWERED;
}

static end keys(view prefix, str *out) {
  str p = lent(prefix);
  tally_list_string_t found;
  storage_error e;
  if (!isorun_actor_storage_list_keys(&p, &found, &e)) {
    say_storage(out, &e);
    return ANSWERED;
  }
  for (size_t i = 0; i < found.len; i++) {
    if (i) say(out, "\n");
    append(out, view_of(&found.ptr[i]));
  }
  tally_list_string_free(&found);
  return ANSWERED;
}

static end usage(str *out) {
  isorun_actor_storage_storage_usage_t u;
  storage_error e;
  if (!isorun_actor_storage_usage(&u, &e)) {
    say_storage(out, &e);
    return ANSWERED;
  }
  const uint64_t numbers[] = { u.bytes, u.keys, u.quota_bytes, u.quota_keys };
  for (size_t i = 0; i < 4; i++) {
    if (i) say(out, " ");
    say_count(out, numbers[i]);
  }
  return ANSWERED;
}

typedef bool question(str *key, bool *ret, storage_error *err);

static end yes_or_no(question *of, view key, str *out) {
  str k = lent(key);
  bool answer;
  storage_error e;
  if (of(&k, &answer, &e)) say_bool(out, answer);
  else say_storage(out, &e);
  return ANSWERED;
}

static end keep(view key, view value, str *out) {
  storage_error e;
  if (store(key, value, &e)) say(out, "ok");
  else say_storage(out, &e);
  return ANSWERED;
}

static void or_none(str *out, bool is_some, const str *text) {
  say(out, " ");
  if (is_some) append(out, view_of(text));
  else say(out, "-");
}

static end envelope(const isorun_actor_types_message_t *msg, str *out) {
  append(out, view_of(&msg->sender));
  or_none(out, msg->reply_to.is_some, &msg->reply_to.val);
  or_none(out, msg->correlation_id.is_some, &msg->correlation_id.val);
  return ANSWERED;
}

static end answer(const isorun_actor_types_message_t *msg, str *out) {
  view rest = { msg->payload.data.ptr, msg->payload.data.len };
  view word = upto(&rest, ' '), tail = rest, first = upto(&tail, ' ');
  if (is(word, "echo")) append(out, rest);
  else if (is(word, "add")) return add(rest, out);
  else if (is(word, "get")) say_number(out, sum);
  else if (is(word, "quiet")) return QUIET;
  else if (is(word, "fail")) return told(out, "told to fail", FAILED);
  else if (is(word, "reject")) return told(out, "told to reject", REJECTED);
  else if (is(word, "trap")) __builtin_trap();
  else if (is(word, "spin")) spin();
  else if (is(word, "forward")) return forward(first, tail, out);
  else if (is(word, "ask")) return ask(first, tail, out);
  else if (is(word, "cancel")) say_bool(out, isorun_actor_host_messaging_cancel_request(&asked));
  else if (is(word, "last")) append(out, last.len ? view_of(&last) : literal("none"));
  else if (is(word, "heard")) say_count(out, heard);
  else if (is(word, "broadcast")) return broadcast(first, tail, out);
  else if (is(word, "sleep")) return pause_for(rest, out);
  else if (is(word, "log")) return write_line(rest, &msg->sender, out);
  else if (is(word, "who")) return who(out);
  else if (is(word, "about")) return about(rest, out);
  else if (is(word, "time")) return say_time(out);
  else if (is(word, "store")) return keep(first, tail, out);
  else if (is(word, "load")) return load(rest, out);
  else if (is(word, "forget")) return yes_or_no(isorun_actor_storage_delete, rest, out);
  else if (is(word, "has")) return yes_or_no(isorun_actor_storage_exists, rest, out);
  else if (is(word, "keys")) return keys(rest, out);
  else if (is(word, "usage")) return usage(out);
  else if (is(word, "envelope")) return envelope(msg, out);
  else if (is(word, "setting")) append(out, setting(rest) ? view_of(setting(rest)) : literal("absent"));
  else if (is(word, "restarts")) say_count(out, restarts);
  else return told(out, "not understood", REJECTED);
  return ANSWERED;
}

// What a function that may give an error returns; the text becomes the error's.
static bool ended(end how, str text, error *err) {
  if (how == ANSWERED || how == QUIET) return true;
  err->tag = how == FAILED ? EXPORTS_ISORUN_ACTOR_COMPONENT_LIFECYCLE_ERROR_FAILED
                           : EXPORTS_ISORUN_ACTOR_COMPONENT_LIFECYCLE_ERROR_REJECTED;
  err->val.failed = text;
  return false;
}

bool exports_isorun_actor_component_lifecycle_initialize(
    exports_isorun_actor_component_lifecycle_config_t *config, error *err) {
  settings = config->settings;
  restarts = config->restarts;
  tally_string_free(&config->id);
  str out = { 0 };
  if (is_durable()) {
    str key = lent(literal(SUM));
    tally_option_list_u8_t found;
    storage_error e;
    if (!isorun_actor_storage_get(&key, &found, &e)) {
      say_storage(&out, &e);
      return ended(FAILED, out, err);
    }
    if (found.is_some && !read_number((view){ found.val.ptr, found.val.len }, SUM_DIGITS_MAX, &sum))
      return ended(told(&out, "no sum", FAILED), out, err);
    tally_option_list_u8_free(&found);
  }
  end how = obey("at-start", &out);
  return ended(how, out, err);
}

bool exports_isorun_actor_component_lifecycle_handle_message(
    isorun_actor_types_message_t *msg, exports_isorun_actor_component_lifecycle_option_payload_t *ret, error *err) {
  str out = { 0 };
  end how = answer(msg, &out);
  *ret = (exports_isorun_actor_component_lifecycle_option_payload_t){ .is_some = how != QUIET };
  ret->val.data = (tally_list_u8_t){ out.ptr, out.len };
  view data = { msg->payload.data.ptr, msg->payload.data.len };
  if (is(upto(&data, ' '), "echo")) {
    ret->val.content_type = msg->payload.content_type;
    msg->payload.content_type.is_some = false;
  }
  isorun_actor_types_message_free(msg);
  return ended(how, out, err);
}

bool exports_isorun_actor_component_lifecycle_handle_callback(
    isorun_actor_types_callback_message_t *msg, error *err) {
  (void)err;
  heard++;
  tally_string_free(&last);
  last = (str){ 0 };
  append(&last, view_of(&msg->correlation_id));
  say(&last, " ");
  append(&last, view_of(&msg->target));
  switch (msg->outcome.tag) {
    case ISORUN_ACTOR_TYPES_OUTCOME_REPLIED:
      say(&last, " replied: ");
      append(&last, (view){ msg->outcome.val.replied.data.ptr, msg->outcome.val.replied.data.len });
      break;
    case ISORUN_ACTOR_TYPES_OUTCOME_NO_REPLY: say(&last, " no-reply"); break;
    case ISORUN_ACTOR_TYPES_OUTCOME_REFUSED:
      say(&last, " refused: ");
      append(&last, view_of(&msg->outcome.val.refused));
      break;
    default:
      say(&last, " failed: ");
      say_messaging(&last, &msg->outcome.val.failed);
  }
  isorun_actor_types_callback_message_free(msg);
  return true;
}

void exports_isorun_actor_component_lifecycle_metadata(isorun_actor_types_component_metadata_t *ret) {
  tally_string_dup(&ret->name, "tally");
  tally_string_dup(&ret->version, "0.1.0");
  tally_string_dup(&ret->description, "keeps a count, and does as messages tell it");
  ret->properties.ptr = malloc(sizeof *ret->properties.ptr);
  ret->properties.len = 1;
  tally_string_dup(&ret->properties.ptr->f0, "language");
  tally_string_dup(&ret->properties.ptr->f1, "c");
}

void exports_isorun_actor_component_lifecycle_health(exports_isorun_actor_component_lifecycle_health_report_t *ret) {
  ret->reason.is_some = sum < 0;
  if (sum < 0) tally_string_dup(&ret->reason.val, "the count is negative");
  ret->status = sum < 0 ? EXPORTS_ISORUN_ACTOR_COMPONENT_LIFECYCLE_HEALTH_STATUS_DEGRADED
                        : EXPORTS_ISORUN_ACTOR_COMPONENT_LIFECYCLE_HEALTH_STATUS_HEALTHY;
}

bool exports_isorun_actor_component_lifecycle_shutdown(error *err) {
  str out = { 0 };
  end how = obey("at-shutdown", &out);
  return ended(how, out, err);
}

// The bindings ask for wit-bindgen's object file, which carries the WIT; here
// the WIT is embedded after linking.
void __component_type_object_force_link_tally(void) {}
