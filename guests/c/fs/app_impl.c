// Does one thing with the file system, as it is told. guests/wit/fs/fs.wit says what.
#include "fs_app.h"

typedef fs_app_string_t str;
typedef fs_app_list_u8_t bytes;
typedef fs_app_tuple2_list_u8_bool_t bytes_and_end;
#define bytes_and_end_free fs_app_tuple2_list_u8_bool_free

#include "../files.h"

static bool fail(str *err, code c) {
  fs_app_string_dup(err, code_name(c));
  return false;
}

static bool is(const str *a, const char *s) { return a->len == strlen(s) && !memcmp(a->ptr, s, a->len); }

static void append_line(str *to, const str *line) {
  if (to->len) append(to, (const uint8_t *)"\n", 1);
  append(to, line->ptr, line->len);
}

static bool write(borrowed dir, str *path, str *data, str *ret, str *err) {
  uint64_t done;
  code c;
  if (!write_file(dir, path, data, &done, &c)) return fail(err, c);
  append_decimal(ret, done);
  return true;
}

static bool read(borrowed dir, str *path, str *ret, str *err) {
  code c;
  return read_file(dir, path, READ_BYTES_MAX, ret, &c) ? true : fail(err, c);
}

static bool list(borrowed dir, str *path, str *ret, str *err) {
  owned opened;
  code c;
  uint8_t how = WASI_FILESYSTEM_TYPES_OPEN_FLAGS_DIRECTORY;
  if (!wasi_filesystem_types_method_descriptor_open_at(dir, FOLLOW, path, how, READ, &opened, &c)) return fail(err, c);
  wasi_filesystem_types_own_directory_entry_stream_t names;
  borrowed d = wasi_filesystem_types_borrow_descriptor(opened);
  bool ok = wasi_filesystem_types_method_descriptor_read_directory(d, &names, &c);
  if (ok) {
    wasi_filesystem_types_borrow_directory_entry_stream_t s = wasi_filesystem_types_borrow_directory_entry_stream(names);
    wasi_filesystem_types_option_directory_entry_t entry;
    while ((ok = wasi_filesystem_types_method_directory_entry_stream_read_directory_entry(s, &entry, &c)) && entry.is_some) {
      append_line(ret, &entry.val.name);
      wasi_filesystem_types_option_directory_entry_free(&entry);
    }
    wasi_filesystem_types_directory_entry_stream_drop_own(names);
  }
  wasi_filesystem_types_descriptor_drop_own(opened);
  return ok ? true : fail(err, c);
}

static bool act(str *op, borrowed dir, str *path, str *data, str *ret, str *err) {
  code c;
  bool ok;
  if (is(op, "write")) return write(dir, path, data, ret, err);
  if (is(op, "read")) return read(dir, path, ret, err);
  if (is(op, "list")) return list(dir, path, ret, err);
  if (is(op, "mkdir")) ok = wasi_filesystem_types_method_descriptor_create_directory_at(dir, path, &c);
  else if (is(op, "remove")) ok = wasi_filesystem_types_method_descriptor_unlink_file_at(dir, path, &c);
  else if (is(op, "symlink")) ok = wasi_filesystem_types_method_descriptor_symlink_at(dir, data, path, &c);
  else if (is(op, "rename")) ok = wasi_filesystem_types_method_descriptor_rename_at(dir, path, dir, data, &c);
  else {
    fs_app_string_dup(err, "unknown op");
    return false;
  }
  return ok ? true : fail(err, c);
}

// Whether `path` is the directory `name` or lies in it; then `path` is what follows.
static bool within(str *path, const str *name) {
  size_t n = name->len;
  if (n && name->ptr[n - 1] == '/') n--;
  if (path->len < n || memcmp(path->ptr, name->ptr, n)) return false;
  if (path->len > n) {
    if (path->ptr[n] != '/') return false;
    n++;
  }
  path->ptr += n;
  path->len -= n;
  if (!path->len) fs_app_string_set(path, ".");
  return true;
}

bool exports_fs_app_run(str *op, str *path, str *data, str *ret, str *err) {
  wasi_filesystem_preopens_list_tuple2_own_descriptor_string_t dirs;
  wasi_filesystem_preopens_get_directories(&dirs);
  *ret = (str){ 0 };
  *err = (str){ 0 };
  bool ok = true;
  if (is(op, "preopens")) {
    for (size_t i = 0; i < dirs.len; i++) append_line(ret, &dirs.ptr[i].f1);
  } else if (!dirs.len) {
    fs_app_string_dup(err, "no preopened directory");
    ok = false;
  } else {
    size_t at = 0;
    str rest = *path;
    while (at < dirs.len && !within(&rest, &dirs.ptr[at].f1)) at++;
    if (at == dirs.len) at = 0;
    ok = act(op, wasi_filesystem_types_borrow_descriptor(dirs.ptr[at].f0), &rest, data, ret, err);
  }
  for (size_t i = 0; i < dirs.len; i++) wasi_filesystem_types_descriptor_drop_own(dirs.ptr[i].f0);
  wasi_filesystem_preopens_list_tuple2_own_descriptor_string_free(&dirs);
  fs_app_string_free(op);
  fs_app_string_free(path);
  fs_app_string_free(data);
  return ok;
}

// The bindings ask for wit-bindgen's object file, which carries the WIT; here
// the WIT is embedded after linking.
void __component_type_object_force_link_fs_app(void) {}
