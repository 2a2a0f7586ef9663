// Weights in few bits. A row of grid codes is one stream of bits, lowest first, as files hold it on little-endian machines.
#include "include/kernels.h"
#include "vector.h"

// Sixteen codes start at a whole byte, whatever their width: 16 bits codes / 8.
HELPER void unpack16(f32x16 *y, const uint8_t *from, size_t left, size_t bits) {
  if (bits == 8) {
    u8x16 v;
    load_u8(&v, from, left < 16 ? left : 16);
    *y = __builtin_convertvector(v, f32x16);
    return;
  }
  uint64_t word = 0;
  if (left >= 8) {
    memcpy(&word, from, 8);
  } else {
    memcpy(&word, from, left);
  }
  const u32x16 index = {0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7};
  u32x16 v;
  v.lo = (u32x8)(uint32_t)word;
  v.hi = (u32x8)(uint32_t)(word >> (8 * bits));
  v = (v >> (index * (uint32_t)bits)) & (uint32_t)((1u << bits) - 1);
  *y = __builtin_convertvector((i32x16)v, f32x16);
}

HELPER void unpack_span(float *y, const uint8_t *from, size_t left, size_t bits, float zero, float scale, size_t n) {
  EACH(n, const size_t at = i * bits / 8; f32x16 v; unpack16(&v, from + at, left - at, bits); PUT(y, (v - zero) * scale););
}

CLONED void decode_grid_f32(float *y, const uint32_t *codes, const float *scales, const uint8_t *zeros, size_t bits,
                            size_t group, size_t n) {
  const uint8_t *bytes = (const uint8_t *)codes;
  const size_t end = (n * bits + 31) / 32 * 4;
  if (group % 16 == 0) {
    for (size_t g = 0; g * group < n; g++) {
      const size_t at = g * group * bits / 8;
      unpack_span(y + g * group, bytes + at, end - at, bits, zeros[g], scales[g], group);
    }
    return;
  }
  // Groups begin within a block of sixteen: codes first, values in a second pass over what is still in the cache.
  unpack_span(y, bytes, end, bits, 0.0f, 1.0f, n);
  for (size_t g = 0; g * group < n; g++) {
    float *part = y + g * group;
    const float zero = zeros[g], scale = scales[g];
    for (size_t i = 0; i < group; i++) part[i] = (part[i] - zero) * scale;
  }
}

CLONED void decode_nibbles_f32(float *y, const uint8_t *codes, const float *book, const float *peaks, size_t first,
                               size_t block, size_t n) {
  float pairs[256][2];
  for (size_t b = 0; b < 256; b++) {
    pairs[b][0] = book[b >> 4];
    pairs[b][1] = book[b & 15];
  }
  const uint8_t *p = codes + first / 2;
  size_t k = 0;
  if (n > 0 && first % 2 == 1) y[k++] = book[*p++ & 15];
  for (; k + 2 <= n; k += 2) memcpy(y + k, pairs[*p++], sizeof pairs[0]);
  if (k < n) y[k] = book[*p >> 4];
  size_t room = block - first % block;
  for (size_t at = 0, b = 0; at < n; at += room, room = block, b++) {
    float *part = y + at;
    const float peak = peaks[b];
    if (room > n - at) room = n - at;
    EACH(room, GET(v, part); PUT(part, v * peak););
  }
}
