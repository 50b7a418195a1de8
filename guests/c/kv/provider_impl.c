// demo:kv/store in memory: at most ENTRIES_MAX entries, kept sorted by key.
#include "kv_provider.h"
#include <stdlib.h>
#include <string.h>

typedef exports_demo_kv_store_entry_t entry;
typedef exports_demo_kv_store_error_t error;
typedef kv_provider_string_t str;

#define ENTRIES_MAX 1024
static entry entries[ENTRIES_MAX];
static size_t count;

static int compare(const str *a, const str *b) {
  size_t shared = a->len < b->len ? a->len : b->len;
  int order = shared ? memcmp(a->ptr, b->ptr, shared) : 0;
  return order ? order : a->len < b->len ? -1 : a->len > b->len;
}

static bool is(const str *a, const char *s) { return a->len == strlen(s) && !memcmp(a->ptr, s, a->len); }

static bool starts_with(const str *a, const str *prefix) {
  return a->len >= prefix->len && !memcmp(a->ptr, prefix->ptr, prefix->len);
}

static str copy_string(const str *a) {
  str copy;
  kv_provider_string_dup_n(&copy, (const char *)a->ptr, a->len);
  return copy;
}

static void copy_entry(entry *to, const entry *from) {
  to->key = copy_string(&from->key);
  to->version = from->version;
  to->value.len = from->value.len;
  to->value.ptr = malloc(from->value.len);
  memcpy(to->value.ptr, from->value.ptr, from->value.len);
  to->tags.len = from->tags.len;
  to->tags.ptr = malloc(from->tags.len * sizeof(str));
  for (size_t i = 0; i < from->tags.len; i++) to->tags.ptr[i] = copy_string(&from->tags.ptr[i]);
}

// The first entry whose key is not before `key`.
static size_t position(const str *key) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (compare(&entries[middle].key, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

bool exports_demo_kv_store_get(str *key, exports_demo_kv_store_option_entry_t *ret, error *err) {
  if (is(key, "denied")) {
    err->tag = EXPORTS_DEMO_KV_STORE_ERROR_DENIED;
    kv_provider_string_free(key);
    return false;
  }
  if (is(key, "missing")) {
    err->tag = EXPORTS_DEMO_KV_STORE_ERROR_NOT_FOUND;
    err->val.not_found = *key;
    return false;
  }
  size_t at = position(key);
  ret->is_some = at < count && !compare(&entries[at].key, key);
  if (ret->is_some) copy_entry(&ret->val, &entries[at]);
  kv_provider_string_free(key);
  return true;
}

static bool refuse(entry *e, error *err, const char *why) {
  err->tag = EXPORTS_DEMO_KV_STORE_ERROR_IO;
  kv_provider_string_dup(&err->val.io, why);
  exports_demo_kv_store_entry_free(e);
  return false;
}

bool exports_demo_kv_store_put(entry *e, uint64_t *ret, error *err) {
  if (!e->key.len) return refuse(e, err, "empty key");
  size_t at = position(&e->key);
  if (at < count && !compare(&entries[at].key, &e->key)) {
    e->version = entries[at].version + 1;
    exports_demo_kv_store_entry_free(&entries[at]);
  } else {
    if (count == ENTRIES_MAX) return refuse(e, err, "full");
    memmove(&entries[at + 1], &entries[at], (count - at) * sizeof(entry));
    count++;
    e->version = 1;
  }
  entries[at] = *e;
  *ret = e->version;
  return true;
}

void exports_demo_kv_store_scan(str *prefix, exports_demo_kv_store_list_entry_t *ret) {
  size_t from = position(prefix), to = from;
  while (to < count && starts_with(&entries[to].key, prefix)) to++;
  ret->len = to - from;
  ret->ptr = malloc(ret->len * sizeof(entry));
  for (size_t i = 0; i < ret->len; i++) copy_entry(&ret->ptr[i], &entries[from + i]);
  kv_provider_string_free(prefix);
}

void exports_demo_kv_store_clear(void) {
  for (size_t i = 0; i < count; i++) exports_demo_kv_store_entry_free(&entries[i]);
  count = 0;
}

// The bindings ask for wit-bindgen's object file, which carries the WIT; here
// the WIT is embedded after linking.
void __component_type_object_force_link_kv_provider(void) {}
