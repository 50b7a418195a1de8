// The shape of pointers: the host writes and reads this component's memory, and
// frees what it was given.
#include "rle_pointers.h"
#include "encode.h"
#include <stdlib.h>
#include <string.h>

// More than a 32-bit memory could give beside what is in it.
#define ALLOCATION_BYTES_MAX ((uint64_t)1 << 30)

bool exports_rle_pointers_allocate(uint64_t size, uint32_t *ret, rle_pointers_string_t *err) {
  if (size > ALLOCATION_BYTES_MAX) {
    rle_pointers_string_dup(err, "cannot allocate more than 1 GiB");
    return false;
  }
  // Every allocation has an address of its own, one of no bytes too.
  *ret = (uint32_t)malloc(size ? size : 1);
  return true;
}

bool exports_rle_pointers_process(
    uint32_t input_ptr, uint64_t input_len, uint32_t output_len_ptr, uint32_t *ret, rle_pointers_string_t *err) {
  const uint8_t *in = (const uint8_t *)input_ptr;
  if (refused(in, input_len)) {
    rle_pointers_string_dup(err, REFUSED);
    return false;
  }
  // The host frees it, as it frees what it allocated itself.
  uint8_t *out = malloc(input_len ? input_len * 2 : 1);
  uint64_t out_len = encode(in, input_len, out);
  memcpy((void *)output_len_ptr, &out_len, sizeof out_len);
  *ret = (uint32_t)out;
  return true;
}

bool exports_rle_pointers_deallocate(uint32_t ptr, uint64_t size, rle_pointers_string_t *err) {
  (void)size;
  (void)err;
  free((void *)ptr);
  return true;
}

void __component_type_object_force_link_rle_pointers(void) {}
