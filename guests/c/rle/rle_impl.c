// Run-length encoding: pairs of a count and a byte.
#include "rle.h"
#include <stdlib.h>

bool exports_rle_process(rle_list_u8_t *input, rle_list_u8_t *ret, rle_string_t *err) {
  if (input->len && input->ptr[0] == 0xff) {
    rle_list_u8_free(input);
    rle_string_dup(err, "cannot encode 0xff");
    return false;
  }
  uint8_t *out = malloc(input->len * 2);
  size_t len = 0;
  for (size_t i = 0; i < input->len;) {
    uint8_t count = 1;
    while (count < 255 && i + count < input->len && input->ptr[i + count] == input->ptr[i]) count++;
    out[len++] = count;
    out[len++] = input->ptr[i];
    i += count;
  }
  rle_list_u8_free(input);
  ret->ptr = out;
  ret->len = len;
  return true;
}

// The bindings ask for wit-bindgen's object file, which carries the WIT; here
// the WIT is embedded after linking.
void __component_type_object_force_link_rle(void) {}
