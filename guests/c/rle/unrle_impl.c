// The way back from run-length encoding.
#include "unrle.h"
#include <stdlib.h>
#include <string.h>

static bool failed(unrle_list_u8_t *input, const char *why, unrle_string_t *err) {
  unrle_list_u8_free(input);
  unrle_string_dup(err, why);
  return false;
}

bool exports_unrle_process(unrle_list_u8_t *input, unrle_list_u8_t *ret, unrle_string_t *err) {
  if (input->len % 2) return failed(input, "the last pair has a count and no byte", err);
  size_t len = 0;
  for (size_t i = 0; i < input->len; i += 2) {
    if (!input->ptr[i]) return failed(input, "a count is 0", err);
    len += input->ptr[i];
  }
  uint8_t *out = malloc(len);
  ret->ptr = out;
  ret->len = len;
  for (size_t i = 0; i < input->len; i += 2) {
    memset(out, input->ptr[i + 1], input->ptr[i]);
    out += input->ptr[i];
  }
  unrle_list_u8_free(input);
  return true;
}

void __component_type_object_force_link_unrle(void) {}
