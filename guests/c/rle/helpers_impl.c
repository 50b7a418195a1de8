// The shape of helpers: the host hands over the input and fetches the output by
// offsets, which need not be addresses. Here they are of two buffers: those below
// OUTPUT of the input's, with the output's length behind it, the others of the
// output's. Both live until the next input, so that nobody frees anything.
#include "rle_helpers.h"
#include "encode.h"
#include <stdlib.h>
#include <string.h>

#define OUTPUT ((uint32_t)1 << 31)

static uint8_t *input;
static size_t input_size;
static uint8_t *output;
static size_t output_size;

static bool fits(uint64_t offset, uint64_t len, uint64_t size) { return offset <= size && len <= size - offset; }

// Makes room for the input and, behind it, for where the output's length goes.
static void reserve(size_t size) {
  if (size <= input_size) return;
  if (size < input_size * 2) size = input_size * 2;
  input = realloc(input, size);
  input_size = size;
}

void exports_rle_helpers_write_input(uint32_t offset, rle_helpers_list_u8_t *data) {
  // There is no result that could say so.
  if (!fits(offset, data->len, OUTPUT - 16)) __builtin_trap();
  reserve(offset + data->len + 16);
  memcpy(input + offset, data->ptr, data->len);
  rle_helpers_list_u8_free(data);
}

bool exports_rle_helpers_process(
    uint32_t input_ptr, uint64_t input_len, uint32_t output_len_ptr, uint32_t *ret, rle_helpers_string_t *err) {
  if (!fits(input_ptr, input_len, input_size) || !fits(output_len_ptr, sizeof(uint64_t), input_size)) {
    rle_helpers_string_dup(err, "there is no such input");
    return false;
  }
  const uint8_t *in = input + input_ptr;
  if (refused(in, input_len)) {
    rle_helpers_string_dup(err, REFUSED);
    return false;
  }
  free(output);
  output = malloc(input_len * 2);
  output_size = encode(in, input_len, output);
  uint64_t out_len = output_size;
  memcpy(input + output_len_ptr, &out_len, sizeof out_len);
  *ret = OUTPUT;
  return true;
}

bool exports_rle_helpers_read_output(
    uint32_t offset, uint64_t len, rle_helpers_list_u8_t *ret, rle_helpers_string_t *err) {
  bool of_output = offset >= OUTPUT;
  if (of_output) offset -= OUTPUT;
  if (!fits(offset, len, of_output ? output_size : input_size)) {
    rle_helpers_string_dup(err, "there is no such output");
    return false;
  }
  // A copy, because the bindings free what they return.
  ret->ptr = malloc(len);
  ret->len = len;
  memcpy(ret->ptr, (of_output ? output : input) + offset, len);
  return true;
}

void __component_type_object_force_link_rle_helpers(void) {}
