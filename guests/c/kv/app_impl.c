// Uses every function of demo:kv/store and checks every answer.
#include "kv_app.h"
#include <stdlib.h>
#include <string.h>

typedef demo_kv_store_entry_t entry;
typedef demo_kv_store_error_t error;
typedef demo_kv_store_option_entry_t option_entry;
typedef kv_app_string_t str;

static bool fail(str *err, const char *why) {
  kv_app_string_dup(err, why);
  return false;
}

static void decimal(char *digits, uint32_t value, int width) {
  while (width--) {
    digits[width] = (char)('0' + value % 10);
    value /= 10;
  }
}

static bool same_bytes(const void *a, size_t a_len, const void *b, size_t b_len) {
  return a_len == b_len && !memcmp(a, b, a_len);
}

static bool same_entry(const entry *a, const entry *b) {
  if (!same_bytes(a->key.ptr, a->key.len, b->key.ptr, b->key.len)) return false;
  if (!same_bytes(a->value.ptr, a->value.len, b->value.ptr, b->value.len)) return false;
  if (a->tags.len != b->tags.len || a->version != b->version) return false;
  for (size_t i = 0; i < a->tags.len; i++)
    if (!same_bytes(a->tags.ptr[i].ptr, a->tags.ptr[i].len, b->tags.ptr[i].ptr, b->tags.ptr[i].len)) return false;
  return true;
}

// The key's answer; false with an error, whose strings are freed here.
static bool get(const char *key, option_entry *ret, uint8_t *error_case) {
  str k;
  error e;
  kv_app_string_set(&k, key);
  if (demo_kv_store_get(&k, ret, &e)) return true;
  *error_case = e.tag;
  demo_kv_store_error_free(&e);
  return false;
}

// Puts entry `i` (`i` bytes of value `i`), gets it back and compares.
static bool put_and_get(uint32_t i, uint64_t *version, str *err) {
  char key[] = "k/0000", tag[] = "t0000";
  decimal(key + 2, i, 4);
  decimal(tag + 1, i, 4);
  str tags[2];
  kv_app_string_set(&tags[0], "a");
  kv_app_string_set(&tags[1], tag);
  uint8_t *value = malloc(i);
  memset(value, (uint8_t)i, i);
  entry in = { .value = { value, i }, .tags = { tags, 2 }, .version = 0 };
  kv_app_string_set(&in.key, key);

  error e;
  if (!demo_kv_store_put(&in, version, &e)) return fail(err, "put failed");
  in.version = *version;
  option_entry out;
  uint8_t error_case;
  if (!get(key, &out, &error_case)) return fail(err, "get failed");
  if (!out.is_some) return fail(err, "an entry was lost");
  if (!same_entry(&in, &out.val)) return fail(err, "an entry differs");
  demo_kv_store_option_entry_free(&out);
  free(value);
  return true;
}

bool exports_kv_app_run(uint32_t n, uint64_t *ret, str *err) {
  uint64_t sum = 0, version;
  demo_kv_store_clear();
  for (uint32_t i = 0; i < n; i++) {
    if (!put_and_get(i, &version, err)) return false;
    sum += version;
  }

  option_entry out;
  uint8_t error_case;
  if (get("denied", &out, &error_case) || error_case != DEMO_KV_STORE_ERROR_DENIED)
    return fail(err, "`denied` was not denied");
  if (get("missing", &out, &error_case) || error_case != DEMO_KV_STORE_ERROR_NOT_FOUND)
    return fail(err, "`missing` was not missing");
  if (!get("nope", &out, &error_case) || out.is_some) return fail(err, "`nope` is there");

  str prefix;
  demo_kv_store_list_entry_t all;
  kv_app_string_set(&prefix, "k/");
  demo_kv_store_scan(&prefix, &all);
  if (all.len != n) return fail(err, "the scan has another number of entries");
  for (size_t i = 0; i < all.len; i++) sum += all.ptr[i].value.len;
  demo_kv_store_list_entry_free(&all);
  *ret = sum;
  return true;
}

// The bindings ask for wit-bindgen's object file, which carries the WIT; here
// the WIT is embedded after linking.
void __component_type_object_force_link_kv_app(void) {}
