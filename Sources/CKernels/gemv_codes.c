// Coded matrix times vector. Codes become floats in registers and are gone again: writing them out and reading them back would take
// longer than all else.
#include "include/kernels.h"
#include "vector.h"

// Sixteen codes of constant width, and not a byte beyond them.
HELPER void unpack16_whole(f32x16 *y, const uint8_t *from, size_t bits) {
  if (bits == 8) {
    u8x16 v;
    load_u8(&v, from, 16);
    *y = __builtin_convertvector(__builtin_convertvector(v, i32x16), f32x16);
    return;
  }
  // A half of the codes begins at a whole byte too.
  uint64_t word = 0;
  memcpy(&word, from, 2 * bits);
  const uint32_t low = (uint32_t)word, high = (uint32_t)(word >> 8 * bits);
  const u32x8 index = {0, 1, 2, 3, 4, 5, 6, 7}, mask = (u32x8)((1u << bits) - 1);
  u32x16 v;
  v.lo = ((u32x8)low >> (index * (uint32_t)bits)) & mask;
  v.hi = ((u32x8)high >> (index * (uint32_t)bits)) & mask;
  *y = __builtin_convertvector((i32x16)v, f32x16);
}

HELPER float dot_grid(const uint8_t *bytes, const float *scales, const uint8_t *zeros, const float *x, size_t bits,
                      size_t group, size_t cols) {
  f32x16 total = (f32x16)0.0f;
  for (size_t at = 0; at < cols; at += group, bytes += group * bits / 8, x += group) {
    const float zero = *zeros++;
    f32x16 s = (f32x16)0.0f;
    for (size_t i = 0; i < group; i += 16) {
      const size_t lanes = 16;
      f32x16 q;
      unpack16_whole(&q, bytes + i / 8 * bits, bits);
      GET(v, x);
      s = (q - zero) * v + s;
    }
    total = s * *scales++ + total;
  }
  return sum16(&total);
}

CLONED void gemv_grid_f32(float *y, const uint32_t *codes, const float *scales, const uint8_t *zeros, const float *x,
                          size_t bits, size_t group, size_t row_begin, size_t row_end, size_t words, size_t cols) {
#define ROWS_OF(width)                                                                                      \
  case width:                                                                                               \
    for (size_t o = row_begin; o < row_end; o++) {                                                          \
      const size_t g = o * (cols / group);                                                                  \
      y[o] = dot_grid((const uint8_t *)(codes + o * words), scales + g, zeros + g, x, width, group, cols);  \
    }                                                                                                       \
    break;
  switch (bits) {
    ROWS_OF(2)
    ROWS_OF(3)
    ROWS_OF(4)
    ROWS_OF(8)
  }
#undef ROWS_OF
}

// Sixteen values of a book from eight bytes of codes, the even one of a byte high. Where the processor permutes by a vector, the
// book stays in registers. A clone cannot choose its body, so these versions are chosen by hand.
#define DEFINE_GEMV_NIBBLES(attributes, suffix)                                                                      \
  attributes void gemv_nibbles##suffix(float *y, const uint8_t *codes, const float *book, const float *peaks,        \
                                       const float *x, size_t block, size_t row_begin, size_t row_end, size_t cols) { \
    const uint8_t *p = codes + row_begin * (cols / 2);                                                               \
    for (size_t o = row_begin; o < row_end; o++) {                                                                   \
      f32x16 total = (f32x16)0.0f;                                                                                   \
      for (size_t at = 0; at < cols; at += block) {                                                                  \
        f32x16 s = (f32x16)0.0f;                                                                                     \
        for (size_t i = at; i < at + block; i += 16, p += 8) {                                                       \
          const size_t lanes = 16;                                                                                   \
          f32x16 w;                                                                                                  \
          lookup##suffix(&w, p, book);                                                                               \
          GET(v, x);                                                                                                 \
          s = w * v + s;                                                                                             \
        }                                                                                                            \
        total = s * *peaks++ + total;                                                                                \
      }                                                                                                              \
      y[o] = sum16(&total);                                                                                          \
    }                                                                                                                \
  }

HELPER void lookup_f32(f32x16 *y, const uint8_t *p, const float *book) {
  UNROLLED for (size_t k = 0; k < 8; k++) {
    (*y)[2 * k] = book[p[k] >> 4];
    (*y)[2 * k + 1] = book[p[k] & 15];
  }
}

#if defined(__x86_64__) && defined(__linux__) && !defined(CK_BASELINE)
#include <immintrin.h>
#define V3 __attribute__((target("arch=x86-64-v3")))
#define V4 __attribute__((target("arch=x86-64-v4")))

HELPER __m128i indices(const uint8_t *p) {
  const __m128i bytes = _mm_loadl_epi64((const __m128i *)p), low = _mm_set1_epi8(15);
  return _mm_unpacklo_epi8(_mm_and_si128(_mm_srli_epi16(bytes, 4), low), _mm_and_si128(bytes, low));
}

V4 HELPER void lookup_v4(f32x16 *y, const uint8_t *p, const float *book) {
  *y = (f32x16)_mm512_permutexvar_ps(_mm512_cvtepu8_epi32(indices(p)), _mm512_loadu_ps(book));
}

// A value of either half of the book, and the code's highest bit says which.
V3 HELPER __m256 lookup8(__m256i j, const float *book) {
  const __m256 first = _mm256_loadu_ps(book), second = _mm256_loadu_ps(book + 8);
  return _mm256_blendv_ps(_mm256_permutevar8x32_ps(first, j), _mm256_permutevar8x32_ps(second, j),
                          _mm256_castsi256_ps(_mm256_slli_epi32(j, 28)));
}

V3 HELPER void lookup_v3(f32x16 *y, const uint8_t *p, const float *book) {
  const __m128i j = indices(p);
  y->lo = (f32x8)lookup8(_mm256_cvtepu8_epi32(j), book);
  y->hi = (f32x8)lookup8(_mm256_cvtepu8_epi32(_mm_srli_si128(j, 8)), book);
}

#define lookup_baseline lookup_f32
DEFINE_GEMV_NIBBLES(V4 static, _v4)
DEFINE_GEMV_NIBBLES(V3 static, _v3)
DEFINE_GEMV_NIBBLES(static, _baseline)

void gemv_nibbles_f32(float *y, const uint8_t *codes, const float *book, const float *peaks, const float *x, size_t block,
                      size_t row_begin, size_t row_end, size_t cols) {
  if (__builtin_cpu_supports("x86-64-v4")) {
    gemv_nibbles_v4(y, codes, book, peaks, x, block, row_begin, row_end, cols);
  } else if (__builtin_cpu_supports("x86-64-v3")) {
    gemv_nibbles_v3(y, codes, book, peaks, x, block, row_begin, row_end, cols);
  } else {
    gemv_nibbles_baseline(y, codes, book, peaks, x, block, row_begin, row_end, cols);
  }
}
#else
DEFINE_GEMV_NIBBLES(, _f32)
#endif
