// Takes a file's lines to a store and a counter, and writes what they say. guests/wit/multi.wit says how.
#include "multi_app.h"

typedef multi_app_string_t str;
typedef multi_app_list_u8_t bytes;
typedef multi_app_tuple2_list_u8_bool_t bytes_and_end;
#define bytes_and_end_free multi_app_tuple2_list_u8_bool_free

#include "../files.h"

typedef demo_kv_store_entry_t entry;
typedef demo_kv_store_error_t error;

#define FILE_BYTES_MAX (1 << 20)
// What the keys' four digits can count.
#define LINES_MAX 10000
#define PREFIX "line/"
#define KEY_BYTES (sizeof PREFIX - 1 + 4)

static void append_text(str *to, const char *s) { append(to, (const uint8_t *)s, strlen(s)); }

// "STEP NAME: WHY"
static bool fail(str *err, const char *step, const str *name, const char *why) {
  append_text(err, step);
  append_text(err, " ");
  append(err, name->ptr, name->len);
  append_text(err, ": ");
  append_text(err, why);
  return false;
}

static str key_of(uint32_t line, uint8_t buffer[KEY_BYTES]) {
  memcpy(buffer, PREFIX, sizeof PREFIX - 1);
  for (size_t at = KEY_BYTES; at >= sizeof PREFIX; line /= 10) buffer[--at] = (uint8_t)('0' + line % 10);
  return (str){ buffer, KEY_BYTES };
}

// Takes the first line off `rest`; false when there is none. A newline at the end starts no further line.
static bool next_line(bytes *rest, bytes *line) {
  if (!rest->len) return false;
  size_t n = 0;
  while (n < rest->len && rest->ptr[n] != '\n') n++;
  *line = (bytes){ rest->ptr, n };
  if (n < rest->len) n++;
  rest->ptr += n;
  rest->len -= n;
  return true;
}

static bool same(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len) {
  return a_len == b_len && !memcmp(a, b, a_len);
}

static bool put(str key, bytes value, str *path, str *err) {
  entry in = { .key = key, .value = value, .tags = { path, 1 }, .version = 0 };
  uint64_t version;
  error e;
  if (demo_kv_store_put(&in, &version, &e)) return true;
  switch (e.tag) {
    case DEMO_KV_STORE_ERROR_NOT_FOUND: fail(err, "put", &key, "not-found"); break;
    case DEMO_KV_STORE_ERROR_DENIED: fail(err, "put", &key, "denied"); break;
    default:
      fail(err, "put", &key, "io: ");
      append(err, e.val.io.ptr, e.val.io.len);
  }
  demo_kv_store_error_free(&e);
  return false;
}

// Puts and counts every line.
static bool store_lines(bytes rest, str *path, uint32_t *lines, str *err) {
  uint8_t buffer[KEY_BYTES];
  bytes line;
  for (*lines = 0; next_line(&rest, &line); ++*lines) {
    if (*lines == LINES_MAX) return fail(err, "read", path, "more than 10000 lines");
    if (!put(key_of(*lines, buffer), line, path, err)) return false;
    test_counter_counter_add((uint32_t)line.len);
  }
  return true;
}

static bool compare_lines(bytes rest, uint32_t lines, str *err) {
  str prefix;
  demo_kv_store_list_entry_t all;
  multi_app_string_set(&prefix, PREFIX);
  demo_kv_store_scan(&prefix, &all);
  bool ok = all.len == lines;
  if (!ok) {
    fail(err, "scan", &prefix, "");
    append_decimal(err, all.len);
    append_text(err, " entries of ");
    append_decimal(err, lines);
  }
  uint8_t buffer[KEY_BYTES];
  bytes line;
  for (uint32_t i = 0; ok && next_line(&rest, &line); i++) {
    const entry *e = &all.ptr[i];
    str key = key_of(i, buffer);
    if (!same(e->key.ptr, e->key.len, key.ptr, key.len)) ok = fail(err, "scan", &key, "another key is in its place");
    else if (!same(e->value.ptr, e->value.len, line.ptr, line.len)) ok = fail(err, "scan", &key, "the bytes differ");
  }
  demo_kv_store_list_entry_free(&all);
  return ok;
}

static bool write_report(borrowed dir, const str *path, const str *report, str *err) {
  str name = { 0 }, text = { 0 };
  append(&name, path->ptr, path->len);
  append_text(&name, ".out");
  append(&text, report->ptr, report->len);
  append_text(&text, "\n");
  uint64_t done;
  code c;
  bool ok = write_file(dir, &name, &text, &done, &c);
  if (!ok) fail(err, "write", &name, code_name(c));
  else if (done < text.len) ok = fail(err, "write", &name, "not all bytes were taken");
  multi_app_string_free(&name);
  multi_app_string_free(&text);
  return ok;
}

static bool act(borrowed dir, str *path, str *ret, str *err) {
  str file = { 0 };
  code c;
  uint32_t lines = 0;
  bool ok = read_file(dir, path, FILE_BYTES_MAX + 1, &file, &c);
  if (!ok) fail(err, "read", path, code_name(c));
  else if (file.len > FILE_BYTES_MAX) ok = fail(err, "read", path, "more than 1 MiB");
  bytes content = { file.ptr, file.len };
  ok = ok && store_lines(content, path, &lines, err) && compare_lines(content, lines, err);
  if (ok) {
    append_text(ret, "lines=");
    append_decimal(ret, lines);
    append_text(ret, " bytes=");
    append_decimal(ret, test_counter_counter_get());
    ok = write_report(dir, path, ret, err);
    if (!ok) multi_app_string_free(ret);
  }
  multi_app_string_free(&file);
  return ok;
}

bool exports_multi_app_run(str *path, str *ret, str *err) {
  wasi_filesystem_preopens_list_tuple2_own_descriptor_string_t dirs;
  wasi_filesystem_preopens_get_directories(&dirs);
  *ret = (str){ 0 };
  *err = (str){ 0 };
  bool ok;
  if (dirs.len) ok = act(wasi_filesystem_types_borrow_descriptor(dirs.ptr[0].f0), path, ret, err);
  else ok = fail(err, "read", path, "no preopened directory");
  for (size_t i = 0; i < dirs.len; i++) wasi_filesystem_types_descriptor_drop_own(dirs.ptr[i].f0);
  wasi_filesystem_preopens_list_tuple2_own_descriptor_string_free(&dirs);
  multi_app_string_free(path);
  return ok;
}

// The bindings ask for wit-bindgen's object file, which carries the WIT; here
// the WIT is embedded after linking.
void __component_type_object_force_link_multi_app(void) {}
