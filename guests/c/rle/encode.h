// Run-length encoding: pairs of a count and a byte, in the shapes of nodes.
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REFUSED "cannot encode 0xff"

static inline bool refused(const uint8_t *in, size_t n) { return n && in[0] == 0xff; }

// Writes at most 2 * n bytes to `out`, and returns how many.
static inline size_t encode(const uint8_t *in, size_t n, uint8_t *out) {
  size_t len = 0;
  for (size_t i = 0; i < n;) {
    uint8_t count = 1;
    while (count < 255 && i + count < n && in[i + count] == in[i]) count++;
    out[len++] = count;
    out[len++] = in[i];
    i += count;
  }
  return len;
}
