// The typed shape: the canonical ABI brings the input and takes the output away.
#include "rle.h"
#include "encode.h"
#include <stdlib.h>

bool exports_rle_process(rle_list_u8_t *input, rle_list_u8_t *ret, rle_string_t *err) {
  if (refused(input->ptr, input->len)) {
    rle_list_u8_free(input);
    rle_string_dup(err, REFUSED);
    return false;
  }
  ret->ptr = malloc(input->len * 2);
  ret->len = encode(input->ptr, input->len, ret->ptr);
  rle_list_u8_free(input);
  return true;
}

// The bindings ask for wit-bindgen's object file, which carries the WIT; here
// the WIT is embedded after linking.
void __component_type_object_force_link_rle(void) {}
