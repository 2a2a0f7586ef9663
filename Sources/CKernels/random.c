#include "include/kernels.h"
#include "vector.h"
#include "philox.h"

void philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]) {
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
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

// The 64 words of blocks `block` to `block + 15`, in order.
HELPER void philox16(uint64_t key, uint64_t stream, uint64_t block, uint32_t out[64]) {
  const u64x16 index = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const u64x16 blocks = index + block;
  u32x16 c0 = __builtin_convertvector(blocks, u32x16), c1 = __builtin_convertvector(blocks >> 32, u32x16);
  u32x16 c2 = (u32x16)(uint32_t)stream, c3 = (u32x16)(uint32_t)(stream >> 32);
  uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
  for (int round = 0; round < 10; round++) {
    const u64x16 a = __builtin_convertvector(c0, u64x16) * (uint64_t)PHILOX_M0;
    const u64x16 b = __builtin_convertvector(c2, u64x16) * (uint64_t)PHILOX_M1;
    c0 = __builtin_convertvector(b >> 32, u32x16) ^ c1 ^ k0;
    c2 = __builtin_convertvector(a >> 32, u32x16) ^ c3 ^ k1;
    c1 = __builtin_convertvector(b, u32x16);
    c3 = __builtin_convertvector(a, u32x16);
    k0 += PHILOX_W0;
    k1 += PHILOX_W1;
  }
  uint32_t words[4][16];
  memcpy(words[0], &c0, 64);
  memcpy(words[1], &c1, 64);
  memcpy(words[2], &c2, 64);
  memcpy(words[3], &c3, 64);
  for (int j = 0; j < 16; j++) {
    for (int w = 0; w < 4; w++) out[4 * j + w] = words[w][j];
  }
}

// Run the statements over chunks of the word sequence: `words` holds the `count` words of y[done ...].
#define EACH_WORDS(...)                                             \
  for (size_t done = 0; done < n;) {                                \
    const uint64_t at = first + done;                               \
    const size_t skip = (size_t)(at & 3), room = 64 - skip;         \
    const size_t count = n - done < room ? n - done : room;         \
    uint32_t buffer[64];                                            \
    philox16(key, stream, at >> 2, buffer);                         \
    const uint32_t *words = buffer + skip;                          \
    __VA_ARGS__                                                     \
    done += count;                                                  \
  }

#define GET_WORDS(name)                                  \
  u32x16 name = (u32x16)0u;                              \
  memcpy(&name, words + i, lanes * sizeof(uint32_t))

CLONED void uniform_f32(float *y, uint64_t key, uint64_t stream, uint64_t first, size_t n) {
  EACH_WORDS(EACH(count, GET_WORDS(w);
                  PUT(y + done, __builtin_convertvector((i32x16)(w >> 8), f32x16) * 0x1p-24f);););
}

CLONED void dropout_f32(float *y, const float *x, double p, uint64_t key, uint64_t stream, uint64_t first, size_t n) {
  const uint64_t threshold = dropout_threshold(p);
  const float factor = threshold >> 32 ? 0 : (float)(1 / (1 - p));
  const uint32_t least = threshold >> 32 ? UINT32_MAX : (uint32_t)threshold;
  EACH_WORDS(EACH(count, GET_WORDS(w); GET(v, x + done);
                  PUT(y + done, (w >= least) ? v * factor : (f32x16)0.0f);););
}

CLONED void dropout_acc_f32(float *y, const float *x, double p, uint64_t key, uint64_t stream, uint64_t first,
                            size_t n) {
  const uint64_t threshold = dropout_threshold(p);
  const float factor = threshold >> 32 ? 0 : (float)(1 / (1 - p));
  const uint32_t least = threshold >> 32 ? UINT32_MAX : (uint32_t)threshold;
  EACH_WORDS(EACH(count, GET_WORDS(w); GET(v, x + done); GET(o, y + done);
                  PUT(y + done, o + ((w >= least) ? v * factor : (f32x16)0.0f));););
}

void normal_f32(float *y, uint64_t key, uint64_t stream, uint64_t first, size_t n) {
  double chunk[64];
  for (size_t done = 0; done < n; done += 64) {
    const size_t count = n - done < 64 ? n - done : 64;
    normal_f64(chunk, key, stream, first + done, count);
    for (size_t i = 0; i < count; i++) y[done + i] = (float)chunk[i];
  }
}
