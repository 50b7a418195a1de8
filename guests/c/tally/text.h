// Texts: views of others' bytes, and one of our own that grows.
#include <stdlib.h>
#include <string.h>

typedef tally_string_t str;

typedef struct {
  const uint8_t *ptr;
  size_t len;
} view;

static view literal(const char *text) { return (view){ (const uint8_t *)text, strlen(text) }; }
static view view_of(const str *text) { return (view){ text->ptr, text->len }; }

// What is passed to an import stays ours, and is not changed there.
static str lent(view text) { return (str){ (uint8_t *)text.ptr, text.len }; }

static bool is(view text, const char *word) {
  return text.len == strlen(word) && !memcmp(text.ptr, word, text.len);
}

static void append(str *to, view from) {
  if (!from.len) return;
  to->ptr = realloc(to->ptr, to->len + from.len);
  memcpy(to->ptr + to->len, from.ptr, from.len);
  to->len += from.len;
}

static void say(str *to, const char *text) { append(to, literal(text)); }

static void say_count(str *to, uint64_t value) {
  uint8_t digits[20];
  size_t at = sizeof digits;
  do {
    digits[--at] = (uint8_t)('0' + value % 10);
    value /= 10;
  } while (value);
  append(to, (view){ digits + at, sizeof digits - at });
}

static void say_number(str *to, int64_t value) {
  if (value < 0) say(to, "-");
  say_count(to, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

static void say_bool(str *to, bool value) { say(to, value ? "true" : "false"); }

// What comes before the sign, which is taken from the text; all of it where there is none.
static view upto(view *text, uint8_t sign) {
  size_t n = 0;
  while (n < text->len && text->ptr[n] != sign) n++;
  view head = { text->ptr, n };
  size_t past = n < text->len ? n + 1 : n;
  text->ptr += past;
  text->len -= past;
  return head;
}

// Up to `digits_max` digits, and a sign.
static bool read_number(view text, size_t digits_max, int64_t *value) {
  bool minus = text.len && text.ptr[0] == '-';
  size_t at = minus;
  if (text.len == at || text.len - at > digits_max) return false;
  *value = 0;
  for (; at < text.len; at++) {
    if (text.ptr[at] < '0' || text.ptr[at] > '9') return false;
    *value = *value * 10 + (text.ptr[at] - '0');
  }
  if (minus) *value = -*value;
  return true;
}
