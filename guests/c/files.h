// What the guests with files share: text that grows, and whole files read and written.
//
// The generated bindings name their types after the guest's world, so each
// guest names its own before it includes this: `str`, `bytes`, `bytes_and_end`
// and `bytes_and_end_free`.
#include <stdlib.h>
#include <string.h>

typedef wasi_filesystem_types_borrow_descriptor_t borrowed;
typedef wasi_filesystem_types_own_descriptor_t owned;
typedef wasi_filesystem_types_error_code_t code;

#define READ WASI_FILESYSTEM_TYPES_DESCRIPTOR_FLAGS_READ
#define WRITE WASI_FILESYSTEM_TYPES_DESCRIPTOR_FLAGS_WRITE
#define FOLLOW WASI_FILESYSTEM_TYPES_PATH_FLAGS_SYMLINK_FOLLOW
#define READ_BYTES_MAX 65536

// In the order of `error-code`.
static const char *const CODE_NAMES[] = {
  "access", "would-block", "already", "bad-descriptor", "busy", "deadlock", "quota", "exist", "file-too-large",
  "illegal-byte-sequence", "in-progress", "interrupted", "invalid", "io", "is-directory", "loop", "too-many-links",
  "message-size", "name-too-long", "no-device", "no-entry", "no-lock", "insufficient-memory", "insufficient-space",
  "not-directory", "not-empty", "not-recoverable", "unsupported", "no-tty", "no-such-device", "overflow",
  "not-permitted", "pipe", "read-only", "invalid-seek", "text-file-busy", "cross-device",
};

static const char *code_name(code c) {
  return c < sizeof CODE_NAMES / sizeof *CODE_NAMES ? CODE_NAMES[c] : "unknown error-code";
}

static void append(str *to, const uint8_t *from, size_t n) {
  to->ptr = realloc(to->ptr, to->len + n);
  memcpy(to->ptr + to->len, from, n);
  to->len += n;
}

static void append_decimal(str *to, uint64_t value) {
  uint8_t digits[20];
  size_t at = sizeof digits;
  do {
    digits[--at] = (uint8_t)('0' + value % 10);
    value /= 10;
  } while (value);
  append(to, digits + at, sizeof digits - at);
}

// Creates or truncates the file. `done` is the number of bytes the host took: fewer than all when it takes no more.
static bool write_file(borrowed dir, str *path, const str *data, uint64_t *done, code *c) {
  owned file;
  uint8_t how = WASI_FILESYSTEM_TYPES_OPEN_FLAGS_CREATE | WASI_FILESYSTEM_TYPES_OPEN_FLAGS_TRUNCATE;
  if (!wasi_filesystem_types_method_descriptor_open_at(dir, FOLLOW, path, how, WRITE, &file, c)) return false;
  borrowed f = wasi_filesystem_types_borrow_descriptor(file);
  uint64_t wrote = 1;
  bool ok = true;
  *done = 0;
  while (ok && *done < data->len && wrote) {
    bytes rest = { data->ptr + *done, data->len - (size_t)*done };
    ok = wasi_filesystem_types_method_descriptor_write(f, &rest, *done, &wrote, c);
    if (ok) *done += wrote;
  }
  wasi_filesystem_types_descriptor_drop_own(file);
  return ok;
}

// Appends the file's content, up to `max` bytes in all, to the empty `ret`.
static bool read_file(borrowed dir, str *path, size_t max, str *ret, code *c) {
  owned file;
  if (!wasi_filesystem_types_method_descriptor_open_at(dir, FOLLOW, path, 0, READ, &file, c)) return false;
  borrowed f = wasi_filesystem_types_borrow_descriptor(file);
  bool ok = true, end = false;
  while (ok && !end && ret->len < max) {
    bytes_and_end chunk;
    size_t room = max - ret->len;
    if (room > READ_BYTES_MAX) room = READ_BYTES_MAX;
    ok = wasi_filesystem_types_method_descriptor_read(f, room, ret->len, &chunk, c);
    if (!ok) break;
    append(ret, chunk.f0.ptr, chunk.f0.len);
    end = chunk.f1 || !chunk.f0.len;
    bytes_and_end_free(&chunk);
  }
  wasi_filesystem_types_descriptor_drop_own(file);
  return ok;
}
