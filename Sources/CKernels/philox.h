// Philox4x32-10 (Salmon et al. 2011).
#pragma once
#include <stdint.h>

#define PHILOX_M0 0xD2511F53u
#define PHILOX_M1 0xCD9E8D57u
#define PHILOX_W0 0x9E3779B9u
#define PHILOX_W1 0xBB67AE85u

// An element is kept when its word is at or above this.
static inline uint64_t dropout_threshold(double p) {
  return p <= 0 ? 0 : p >= 1 ? UINT64_C(1) << 32 : (uint64_t)(p * 0x1p32);
}
