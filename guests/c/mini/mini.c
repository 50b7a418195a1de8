// The few functions of a C library that the generated bindings call, so that a
// guest needs no C library, no start-up code and no WASI.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

extern unsigned char __heap_base;

// 16 bytes, so that what follows is aligned to 16 as well.
typedef struct header {
  size_t size;
  struct header *next;
  size_t padding[2];
} header;

static header *freed;
static uintptr_t top;

// First fit from the freed blocks, unless that wastes more than half; else
// fresh memory from the end. Traps when the host grants no more. Nothing for no
// bytes: the bindings don't free what is empty.
void *malloc(size_t n) {
  if (!n) return NULL;
  n = (n + 15) & ~(size_t)15;
  for (header **at = &freed; *at; at = &(*at)->next) {
    header *h = *at;
    if (h->size >= n && h->size <= 2 * n + 64) {
      *at = h->next;
      return h + 1;
    }
  }
  if (!top) top = ((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15;
  uintptr_t have = (uintptr_t)__builtin_wasm_memory_size(0) << 16;
  uintptr_t end = top + sizeof(header) + n;
  if (end < top) __builtin_trap();
  if (end > have && __builtin_wasm_memory_grow(0, (end - have + 65535) >> 16) == (size_t)-1) __builtin_trap();
  header *h = (header *)top;
  h->size = n;
  top = end;
  return h + 1;
}

void free(void *p) {
  if (!p) return;
  header *h = (header *)p - 1;
  h->next = freed;
  freed = h;
}

void *calloc(size_t count, size_t size) {
  void *p = malloc(count * size);
  memset(p, 0, count * size);
  return p;
}

void *realloc(void *p, size_t n) {
  if (!p) return malloc(n);
  size_t had = ((header *)p - 1)->size;
  if (had >= n) return p;
  void *q = malloc(n);
  memcpy(q, p, had);
  free(p);
  return q;
}

void *aligned_alloc(size_t align, size_t n) {
  if (align > 16) __builtin_trap();
  return malloc(n);
}

_Noreturn void abort(void) { __builtin_trap(); }

void *memcpy(void *restrict to, const void *restrict from, size_t n) {
  unsigned char *a = to;
  const unsigned char *b = from;
  while (n--) *a++ = *b++;
  return to;
}

void *memmove(void *to, const void *from, size_t n) {
  unsigned char *a = to;
  const unsigned char *b = from;
  if (a < b) while (n--) *a++ = *b++;
  else while (n--) a[n] = b[n];
  return to;
}

void *memset(void *to, int byte, size_t n) {
  unsigned char *a = to;
  while (n--) *a++ = (unsigned char)byte;
  return to;
}

int memcmp(const void *x, const void *y, size_t n) {
  const unsigned char *a = x, *b = y;
  for (; n--; a++, b++) if (*a != *b) return *a - *b;
  return 0;
}

size_t strlen(const char *s) {
  size_t n = 0;
  while (s[n]) n++;
  return n;
}
