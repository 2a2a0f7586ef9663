#include "include/kernels.h"
#include "vector.h"
#include "philox.h"

void philox_block(uint64_t key, uint64_t stream, uint64_t block, uint32_t out[4]) {
  uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32), c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
  uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
  for (int round = 0; round < 10; round++) {
    const uint64_t a = (uint64_t)PHILOX_M0 * c0, b = (uint64_t)PHILOX_M1 * c2;
    c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
    c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
    c1 = (uint32_t)b;
    c3 = (uint32_t)a;
    k0 += PHILOX_W0;
    k1 += PHILOX_W1;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

// The 32 words of blocks `block` to `block + 7`, in order. Each state word sits in the low half of a 64-bit lane;
// the high halves hold leftovers that no product reads.
HELPER void philox8(uint64_t key, uint64_t stream, uint64_t block, uint32_t out[32]) {
  const u64x8 index = {0, 1, 2, 3, 4, 5, 6, 7};
  const u64x8 low = (u64x8)UINT64_C(0xFFFFFFFF);
  u64x8 c0 = index + block, c1 = c0 >> 32, c2 = (u64x8)stream, c3 = c2 >> 32;
  uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
  for (int round = 0; round < 10; round++) {
    const u64x8 a = (c0 & low) * (uint64_t)PHILOX_M0, b = (c2 & low) * (uint64_t)PHILOX_M1;
    c0 = (b >> 32) ^ c1 ^ (uint64_t)k0;
    c2 = (a >> 32) ^ c3 ^ (uint64_t)k1;
    c1 = b;
    c3 = a;
    k0 += PHILOX_W0;
    k1 += PHILOX_W1;
  }
  // Pairs of words as 64-bit lanes (little-endian), then the pairs of each block side by side.
  const u64x8 first = (c0 & low) | (c1 << 32), second = (c2 & low) | (c3 << 32);
  const u64x8 head = __builtin_shufflevector(first, second, 0, 8, 1, 9, 2, 10, 3, 11);
  const u64x8 tail = __builtin_shufflevector(first, second, 4, 12, 5, 13, 6, 14, 7, 15);
  memcpy(out, &head, 64);
  memcpy(out + 16, &tail, 64);
}

// Run the statements over chunks of the word sequence: `words` holds the `count` words of y[done ...].
#define EACH_WORDS(...)                                             \
  for (size_t done = 0; done < n;) {                                \
    const uint64_t at = first + done;                               \
    const size_t skip = (size_t)(at & 3), room = 32 - skip;         \
    const size_t count = n - done < room ? n - done : room;         \
    uint32_t buffer[32];                                            \
    philox8(key, stream, at >> 2, buffer);                          \
    const uint32_t *words = buffer + skip;                          \
    __VA_ARGS__                                                     \
    done += count;                                                  \
  }

#define GET_WORDS(name)                                  \
  u32x16 name = (u32x16)0u;                              \
  memcpy(&name, words + i, lanes * sizeof(uint32_t))

CLONED void dropout_f32(float *y, const float *x, double p, uint64_t key, uint64_t stream, uint64_t first, size_t n) {
  const uint64_t threshold = dropout_threshold(p);
  const float factor = threshold >> 32 ? 0 : (float)(1 / (1 - p));
  const uint32_t least = threshold >> 32 ? UINT32_MAX : (uint32_t)threshold;
  EACH_WORDS(EACH(count, GET_WORDS(w); GET(v, x + done);
                  PUT(y + done, (w >= least) ? v * factor : (f32x16)0.0f);););
}
