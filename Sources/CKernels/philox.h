// Philox4x32-10 (Salmon et al. 2011), one block. The counter is (block, stream), 64 bits each.
#pragma once
#include <stdint.h>

#define PHILOX_M0 0xD2511F53u
#define PHILOX_M1 0xCD9E8D57u
#define PHILOX_W0 0x9E3779B9u
#define PHILOX_W1 0xBB67AE85u

static inline void philox_block(uint64_t key, uint64_t stream, uint64_t block, uint32_t out[4]) {
  const uint32_t k[2] = {(uint32_t)key, (uint32_t)(key >> 32)};
  const uint32_t c[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)stream, (uint32_t)(stream >> 32)};
  philox(k, c, out);
}

// 53 bits of two words, in [0,1).
static inline double philox_unit(uint32_t high, uint32_t low) {
  return (double)((((uint64_t)high << 32) | low) >> 11) * 0x1p-53;
}

// The two standard normals of a block.
static inline void philox_normals(const uint32_t w[4], double out[2]) {
  const double radius = sqrt(-2 * log(1 - philox_unit(w[0], w[1])));
  const double angle = 6.283185307179586476925 * philox_unit(w[2], w[3]);
  out[0] = radius * cos(angle);
  out[1] = radius * sin(angle);
}

// An element is kept when its word is at or above this.
static inline uint64_t dropout_threshold(double p) {
  return p <= 0 ? 0 : p >= 1 ? UINT64_C(1) << 32 : (uint64_t)(p * 0x1p32);
}
