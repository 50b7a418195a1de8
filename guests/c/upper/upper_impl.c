// Upper-cases letters in what is run-length encoded: the byte of each pair of a
// count and a byte. What is repeated a hundred times is looked at once.
#include "upper.h"
#include <stdlib.h>
#include <string.h>

bool exports_upper_allocate(uint64_t size, uint32_t *ret, upper_string_t *err) {
  if (size > (uint64_t)1 << 30) {
    upper_string_dup(err, "cannot allocate more than 1 GiB");
    return false;
  }
  *ret = (uint32_t)malloc(size ? size : 1);
  return true;
}

bool exports_upper_process(
    uint32_t input_ptr, uint64_t input_len, uint32_t output_len_ptr, uint32_t *ret, upper_string_t *err) {
  if (input_len % 2) {
    upper_string_dup(err, "the last pair has a count and no byte");
    return false;
  }
  // What the host wrote is the host's to free, so the output needs a place of its own.
  uint8_t *out = malloc(input_len ? input_len : 1);
  memcpy(out, (const void *)input_ptr, input_len);
  for (uint64_t i = 1; i < input_len; i += 2) {
    if (out[i] >= 'a' && out[i] <= 'z') out[i] -= 'a' - 'A';
  }
  memcpy((void *)output_len_ptr, &input_len, sizeof input_len);
  *ret = (uint32_t)out;
  return true;
}

bool exports_upper_deallocate(uint32_t ptr, uint64_t size, upper_string_t *err) {
  (void)size;
  (void)err;
  free((void *)ptr);
  return true;
}

void __component_type_object_force_link_upper(void) {}
